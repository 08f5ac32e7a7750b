//! corosync.conf as corosync's configuration map names its keys (cmap_keys(7)).

use super::ConfError;
use super::syntax::{self, Section};

/// Every key with its value as written, in the file's order: `totem.version`,
/// `nodelist.node.0.nodeid`, `totem.interface.1.mcastport`, `logging.logger_subsys.QUORUM.debug`.
///
/// # Errors
/// The file's syntax.
pub fn keys(file: &str, text: &str) -> Result<Vec<(String, String)>, ConfError> {
    let root = syntax::parse(file, text)?;
    let (mut found, mut openings) = (Vec::new(), Vec::new());
    for section in &root.sections {
        walk(section, &section.name, &mut found, &mut openings);
    }
    Ok(found.into_iter().map(|k| (k.name, k.value)).collect())
}

/// A key with its whole name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) value: String,
    /// From 1.
    pub(super) line: usize,
}

/// Every key of a section that is called `prefix`, and of those inside; and where the sections
/// begin.
pub(super) fn walk(
    section: &Section,
    prefix: &str,
    found: &mut Vec<Key>,
    openings: &mut Vec<(String, usize)>,
) {
    openings.push((prefix.to_owned(), section.line));
    for item in &section.items {
        found.push(Key {
            name: format!("{prefix}.{}", item.key),
            value: item.value.clone(),
            line: item.line,
        });
    }
    let mut nodes = 0;
    for (number, child) in section.sections.iter().enumerate() {
        let value = |keys: &[&str]| {
            let item = child.items.iter().find(|i| keys.contains(&i.key.as_str()));
            item.map(|i| i.value.clone())
        };
        let name = match child.name.as_str() {
            "node" => {
                nodes += 1;
                format!("{prefix}.node.{}", nodes - 1)
            }
            "interface" => {
                let link = value(&["linknumber", "ringnumber"]);
                format!(
                    "{prefix}.interface.{}",
                    link.unwrap_or_else(|| "0".to_owned())
                )
            }
            "logger_subsys" => {
                let subsystem = value(&["subsys"]).unwrap_or_else(|| number.to_string());
                format!("{prefix}.logger_subsys.{subsystem}")
            }
            other => format!("{prefix}.{other}"),
        };
        walk(child, &name, found, openings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_names_of_the_map() {
        let text = "totem {\n version: 2\n interface {\n  linknumber: 1\n  mcastport: 5407\n }\n}\nnodelist {\n node {\n  nodeid: 1\n }\n node {\n  nodeid: 2\n }\n}\nlogging {\n logger_subsys {\n  subsys: QUORUM\n  debug: on\n }\n}\n";
        let found = keys("f", text).unwrap();
        let names: Vec<&str> = found.iter().map(|(k, _)| k.as_str()).collect();
        for name in [
            "totem.version",
            "totem.interface.1.mcastport",
            "nodelist.node.0.nodeid",
            "nodelist.node.1.nodeid",
            "logging.logger_subsys.QUORUM.debug",
        ] {
            assert!(names.contains(&name), "{name}: {names:?}");
        }
    }
}
