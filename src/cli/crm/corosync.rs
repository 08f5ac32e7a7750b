//! `crm corosync`: the configuration of the membership, and how the membership stands.

use super::usage::misused;
use super::{Context, cluster};
use crate::cli::backend::{self, ask_done};
use crate::cli::exit::{Exit, Failure};
use crate::conf::{self, Strictness};
use crate::ipc::Request;
use crate::paths::Paths;
use std::path::{Path, PathBuf};

/// Verbs of the level.
pub(super) const VERBS: [&str; 11] = [
    "status", "show", "get", "set", "reload", "log", "edit", "diff", "push", "pull", "link",
];

pub(super) fn run(context: &mut Context<'_>, verb: &str, words: &[String]) -> Result<(), Failure> {
    match (verb, words) {
        ("status", []) => {
            let status = backend::status(&mut context.backend)?;
            context.console.print(&cluster::links(&status));
            for (name, ms) in &status.timers {
                context.console.line(&format!("{name}: {ms} ms"));
            }
            Ok(())
        }
        ("show", []) => {
            let (_, text) = file()?;
            context.console.print(&text);
            Ok(())
        }
        ("get", [key]) => get(context, key),
        ("set", [key, value]) => set(context, key, value),
        ("reload", []) => {
            let text = ask_done(&mut context.backend, &Request::Reload)?;
            context.console.line(&text);
            Ok(())
        }
        ("log", []) => log(context),
        ("status" | "show" | "get" | "set" | "reload" | "log", _) => Err(misused()),
        ("edit", _) => Err(Failure {
            cure: Some(
                "open /etc/corosync/corosync.conf in an editor, then `crm corosync reload`, which takes nothing over that is wrong".to_owned(),
            ),
            ..Failure::new(Exit::Unimplemented, "corosync edit is not offered")
        }),
        (other, _) => Err(Failure {
            cure: Some(
                "the file is each node's own: change it on every node, or copy it there".to_owned(),
            ),
            ..Failure::new(Exit::Unimplemented, format!("corosync {other} is not offered"))
        }),
    }
}

/// The file and its text.
fn file() -> Result<(PathBuf, String), Failure> {
    let path = Paths::from_env().corosync_conf();
    let text = std::fs::read_to_string(&path)
        .map_err(|e| Failure::new(Exit::NoInput, format!("{}: {e}", path.display())))?;
    Ok((path, text))
}

/// Every value of a key; a key may stand without the numbers of its sections.
fn get(context: &mut Context<'_>, key: &str) -> Result<(), Failure> {
    let (path, text) = file()?;
    let keys = keys(&path, &text)?;
    let mut found = keys.iter().filter(|(name, _)| {
        let unnumbered = name
            .split('.')
            .filter(|part| part.parse::<u32>().is_err())
            .collect::<Vec<_>>();
        name == key || unnumbered.join(".") == key
    });
    let Some((_, first)) = found.next() else {
        return Err(Failure::no_such(format!(
            "{key} is not set in {}",
            path.display()
        )));
    };
    context.console.line(first);
    for (_, value) in found {
        context.console.line(value);
    }
    Ok(())
}

/// The keys of the configuration, for completion.
pub(super) fn known_keys() -> Vec<String> {
    let found = file().and_then(|(path, text)| keys(&path, &text));
    let names = found.unwrap_or_default().into_iter().map(|(name, _)| name);
    names.collect()
}

fn keys(path: &Path, text: &str) -> Result<Vec<(String, String)>, Failure> {
    conf::map_keys(&path.display().to_string(), text)
        .map_err(|e| Failure::new(Exit::Config, e.to_string()))
}

/// Changes this node's file when what comes out is understood; running daemons take it over with
/// `reload`.
fn set(context: &mut Context<'_>, key: &str, value: &str) -> Result<(), Failure> {
    let (path, text) = file()?;
    let name = path.display().to_string();
    let wrong = |e: conf::ConfError| Failure {
        cure: Some("nothing was changed".to_owned()),
        ..Failure::new(Exit::Config, e.to_string())
    };
    let new = conf::set_key(&name, &text, key, value).map_err(wrong)?;
    let before = conf::read(&name, &text, Strictness::Lenient).map(|c| c.warnings);
    let read = conf::read(&name, &new, Strictness::Strict).map_err(wrong)?;
    for warning in &read.warnings {
        // Lines move when one is put in.
        let same = |old: &conf::Warning| (&old.key, &old.text) == (&warning.key, &warning.text);
        if before.as_ref().is_ok_and(|known| known.iter().any(same)) {
            continue;
        }
        context.console.warning(&format!("{name}: {warning}"));
    }
    if new == text {
        return Ok(());
    }
    replace(&path, &new).map_err(|e| Failure::new(Exit::CantCreat, format!("{name}: {e}")))?;
    context.console.info(&format!(
        "{name} is changed on this node alone; do the same on the others, then `crm corosync reload`"
    ));
    Ok(())
}

/// A reader sees the old file or the new one; mode and owner stay.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, chown};
    let old = std::fs::metadata(path)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(old.permissions())?;
    file.sync_all()?;
    chown(&beside, Some(old.uid()), Some(old.gid()))?;
    std::fs::rename(&beside, path)
}

/// The daemon's log, where it goes to a file.
fn log(context: &mut Context<'_>) -> Result<(), Failure> {
    let text = super::history::log_text()?;
    context.console.print(&text);
    Ok(())
}
