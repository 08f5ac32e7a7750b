//! Changing one key of a corosync.conf and nothing else: comments, order and blanks stay.

use super::ConfError;
use super::cmap::{Key, walk};
use super::syntax;

/// The file with a key (named as in [`super::map_keys`]) set to a value. A key that is not there
/// is written behind the others of its section, and a section of its own at the end of the file
/// where there is none.
///
/// # Errors
/// The file's syntax; a key or value that cannot be written; a section inside another one that is
/// not there.
pub fn set(file: &str, text: &str, key: &str, value: &str) -> Result<String, ConfError> {
    let wrong = |what: &str| Err(ConfError::at(file, 1, key, what));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if value.trim().is_empty() || value.contains(['\n', '{', '}']) {
        return wrong("a value is one line without braces, and not empty");
    }
    let Some((section, name)) = key.rsplit_once('.').filter(|_| key.chars().all(plain)) else {
        return wrong("a key names its section, as totem.token does");
    };
    let root = syntax::parse(file, text)?;
    let mut keys = Vec::new();
    let mut openings = Vec::new();
    for inner in &root.sections {
        walk(inner, &inner.name, &mut keys, &mut openings);
    }
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    // What stands last counts, as corosync reads it.
    if let Some(found) = keys.iter().rev().find(|k| k.name == key) {
        let line = &mut lines[found.line - 1];
        *line = format!("{}{name}: {value}", indent(line));
        return Ok(join(&lines));
    }
    let last = |k: &&Key| k.name.rsplit_once('.').is_some_and(|(s, _)| s == section);
    let behind = keys.iter().rev().find(last).map(|k| k.line);
    let opening = openings.iter().rev().find(|(n, _)| n == section);
    match (behind, opening) {
        (Some(line), _) => {
            let new = format!("{}{name}: {value}", indent(&lines[line - 1]));
            lines.insert(line, new);
        }
        (None, Some((_, line))) => {
            let new = format!("{}    {name}: {value}", indent(&lines[line - 1]));
            lines.insert(*line, new);
        }
        (None, None) if !section.contains('.') => {
            lines.extend([
                String::new(),
                format!("{section} {{"),
                format!("    {name}: {value}"),
                "}".to_owned(),
            ]);
        }
        (None, None) => return wrong(&format!("there is no section {section} to write it into")),
    }
    Ok(join(&lines))
}

fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

fn join(lines: &[String]) -> String {
    lines.iter().map(|l| format!("{l}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "# of the shop\ntotem {\n    version: 2\n    token: 500  \n    interface {\n        linknumber: 0\n    }\n}\nnodelist {\n    node {\n        nodeid: 1\n    }\n    node {\n        nodeid: 2\n    }\n}\n";

    #[test]
    fn one_line_changes() {
        let cases = [
            ("totem.token", "700", "    token: 700\n"),
            (
                "totem.cluster_name",
                "shop",
                "    token: 500  \n    cluster_name: shop\n",
            ),
            (
                "totem.interface.0.mcastport",
                "5407",
                "        linknumber: 0\n        mcastport: 5407\n",
            ),
            (
                "nodelist.node.1.name",
                "b",
                "        nodeid: 2\n        name: b\n",
            ),
            (
                "quorum.two_node",
                "1",
                "}\n\nquorum {\n    two_node: 1\n}\n",
            ),
        ];
        for (key, value, wanted) in cases {
            let new = set("f", TEXT, key, value).unwrap();
            assert!(new.contains(wanted), "{key}: {new}");
            assert!(
                new.starts_with("# of the shop\ntotem {\n    version: 2\n"),
                "{new}"
            );
            let again = set("f", &new, key, value).unwrap();
            assert_eq!(again, new, "{key}: twice is once");
        }
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        for (key, value) in [
            ("token", "700"),
            ("totem.token", ""),
            ("totem.token", "7\n}"),
            ("totem.tok en", "7"),
            ("nodelist.node.7.nodeid", "7"),
        ] {
            assert!(set("f", TEXT, key, value).is_err(), "{key}={value}");
        }
    }

    proptest! {
        #[test]
        fn what_was_set_is_there_and_nothing_else_moved(
            key in proptest::sample::select(&[
                "totem.token", "totem.version", "totem.interface.0.mcastport",
                "nodelist.node.0.nodeid", "logging.debug", "totem.new_one",
            ][..]),
            value in "[a-z0-9]{1,8}",
        ) {
            let new = set("f", TEXT, key, &value).unwrap();
            let of = |text: &str| -> Vec<(String, String)> {
                let all = super::super::map_keys("f", text).unwrap();
                all.into_iter().filter(|(k, _)| k != key).collect()
            };
            prop_assert!(super::super::map_keys("f", &new).unwrap().contains(&(key.to_owned(), value)));
            prop_assert_eq!(of(&new), of(TEXT));
        }
    }
}
