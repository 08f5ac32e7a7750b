//! `mainstay cib conflict …`: changes that this node had made in a part of the cluster that lost.

use super::history::whom;
use super::verbs::ConflictVerb;
use crate::cli::console::Console;
use crate::cli::exit::{Exit, Failure};
use crate::conflicts::{self, Kept, Lost, What};
use crate::ipc::Edit;
use crate::paths::Paths;
use crate::view::asctime;

pub(super) fn run(verb: &ConflictVerb, console: &mut Console) -> Result<(), Failure> {
    let dir = Paths::from_env().conflicts();
    let kept = conflicts::all(&dir).map_err(|why| Failure::new(Exit::NoInput, why))?;
    match verb {
        ConflictVerb::List if kept.is_empty() => {
            console.line("No change of this node's was ever lost against another side's.");
        }
        ConflictVerb::List => kept.iter().for_each(|one| console.line(&summary(one))),
        ConflictVerb::Show { name } => {
            let one = kept.iter().find(|one| one.name == *name).ok_or_else(|| {
                let text = format!("nothing of the name {name} is kept here");
                Failure {
                    cure: Some("`mainstay cib conflict list` names what is".to_owned()),
                    ..Failure::no_such(text)
                }
            })?;
            for lost in &one.lost {
                console.print(&change(lost));
            }
        }
    }
    Ok(())
}

/// `1790000000-17  Mon Sep 21 14:13:20 2026  3 changes`.
fn summary(one: &Kept) -> String {
    let count = conflicts::count(one.lost.len());
    format!("{}  {}  {count}", one.name, asctime(one.at))
}

/// Who did what, and for a change of the configuration the difference as `cibadmin --patch`
/// takes it.
fn change(lost: &Lost) -> String {
    let seq = lost.seq;
    let (at, whom, edit) = match &lost.what {
        What::Step => return format!("<!-- entry {seq}: a step of the cluster itself -->\n"),
        What::Directory => {
            return format!("<!-- entry {seq}: a change of nodes, tokens or keys -->\n");
        }
        What::Configuration {
            at,
            user,
            client,
            origin,
            edit,
        } => (at, whom(user, client, origin), edit),
    };
    let (Edit::Patch(xml) | Edit::Configuration(xml)) = edit;
    let xml = match cib::xml::parse(xml) {
        Ok(element) => cib::xml::format(&element),
        Err(_) => format!("{xml}\n"),
    };
    // Names come from outside, and two hyphens would end the comment.
    let whom = whom.replace("--", "- -");
    format!("<!-- entry {seq}: {}  {whom} -->\n{xml}", asctime(*at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_change_says_whose_it_was_and_what() {
        let lost = |seq, what| Lost { seq, what };
        let by_joe = lost(
            17,
            What::Configuration {
                at: 1_790_000_000,
                user: "joe".to_owned(),
                client: "crm".to_owned(),
                origin: "node2".to_owned(),
                edit: Edit::Patch("<diff format=\"2\"/>".to_owned()),
            },
        );
        let text = change(&by_joe);
        let mut lines = text.lines();
        let first = lines.next().unwrap();
        assert!(
            first.starts_with("<!-- entry 17: ") && first.ends_with("  joe with crm on node2 -->"),
            "{text}"
        );
        assert_eq!(lines.next(), Some("<diff format=\"2\"/>"));
        let kept = Kept {
            name: "1790000000-17".to_owned(),
            at: 1_790_000_000,
            lost: vec![by_joe, lost(18, What::Step)],
        };
        assert!(
            summary(&kept).ends_with("  2 changes"),
            "{}",
            summary(&kept)
        );
        assert_eq!(
            change(&kept.lost[1]),
            "<!-- entry 18: a step of the cluster itself -->\n"
        );
    }
}
