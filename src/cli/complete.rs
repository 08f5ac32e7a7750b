//! `mainstay complete PROGRAM WORD…`: what may come next, a word a line. The completion files of
//! bash, zsh and fish ask it, so that they know what the cluster knows.

use super::backend::Lazy;
use super::console::Console;
use super::crm::agents::Agents;
use super::crm::complete::{Source, fitting};
use super::{crm, mainstay, pcs};
use crate::paths::Paths;

/// Prints what may stand in the place of the last word.
pub(super) fn run(program: &str, words: &[String], console: &mut Console) {
    // `mainstay crm …` is crm.
    let (program, words) = match (program, words) {
        ("mainstay", [first, rest @ ..])
            if ["crm", "pcs"].contains(&first.as_str()) && !rest.is_empty() =>
        {
            (first.as_str(), rest)
        }
        (program, words) => (program, words),
    };
    let (words, partial) = match words {
        [words @ .., partial] => (words, partial.as_str()),
        [] => (words, ""),
    };
    let agents = Agents::new(Paths::from_env());
    let mut backend = Lazy::new(None);
    let mut source = Source::new(&mut backend, &agents);
    let found = match program {
        "crm" => {
            // Options that stand before the first command open nothing.
            let words: Vec<String> = words
                .iter()
                .filter(|w| !w.starts_with('-'))
                .cloned()
                .collect();
            crm::complete::next(None, &words, partial, &mut source)
        }
        "pcs" => pcs::complete::next(words, partial, &mut source),
        _ => {
            let mut command = mainstay::definition();
            for word in words {
                let inner = command.find_subcommand(word).cloned();
                command = inner.unwrap_or(command);
            }
            let verbs = command.get_subcommands().filter(|c| !c.is_hide_set());
            let verbs = verbs.map(|c| c.get_name().to_owned());
            let options = command.get_arguments().filter_map(|a| a.get_long());
            let options = options.map(|long| format!("--{long}"));
            let mut found: Vec<String> = match partial.starts_with('-') {
                true => options.collect(),
                false => verbs.collect(),
            };
            if command.get_name() == "why" && !partial.starts_with('-') {
                found.extend(source.resources());
            }
            if command.get_name() == "fence" && !partial.starts_with('-') {
                found.extend(source.nodes());
            }
            fitting(found, partial)
        }
    };
    for word in found {
        console.line(&word);
    }
}
