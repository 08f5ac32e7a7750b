//! A file of options: sections in brackets, `name = value`, comments. What is not ours stays as it is.

use crate::cli::exit::{Exit, Failure};
use crate::cli::private;
use std::path::Path;

/// Its lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct File {
    lines: Vec<String>,
}

impl File {
    /// Reads it; one that is not there, or too long, holds nothing.
    pub(super) fn read(path: &Path) -> Self {
        let small = path.metadata().is_ok_and(|m| m.len() <= BYTES_MAX);
        let text = small.then(|| std::fs::read_to_string(path).ok()).flatten();
        Self::parse(&text.unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        Self {
            lines: text.lines().map(str::to_owned).collect(),
        }
    }

    fn text(&self) -> String {
        self.lines.iter().map(|l| format!("{l}\n")).collect()
    }

    /// Writes it, for nobody else to read; the old one stays until the new one is whole.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn write(&self, path: &Path) -> Result<(), Failure> {
        let new = path.with_extension(format!("new{}", std::process::id()));
        let written = private::folder_of(path)
            .and_then(|()| private::write_over(&new, &self.text()))
            .and_then(|()| std::fs::rename(&new, path));
        written.map_err(|e| Failure::new(Exit::CantCreat, format!("{}: {e}", path.display())))
    }

    /// The value of `SECTION.NAME`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let at = self.place(name)?;
        pair(self.lines.get(at)?).map(|(_, value)| value)
    }

    /// Sets it, or takes it out.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) {
        let (section, key) = name.split_once('.').unwrap_or(("core", name));
        let line = value.map(|value| format!("{key} = {value}"));
        match (self.place(name), line) {
            (Some(at), Some(line)) => self.lines[at] = line,
            (Some(at), None) => drop(self.lines.remove(at)),
            (None, None) => {}
            (None, Some(line)) => {
                let header = format!("[{section}]");
                let found = self.lines.iter().position(|l| l.trim() == header);
                match found {
                    Some(at) => self.lines.insert(at + 1, line),
                    None => self.lines.extend([header, line]),
                }
            }
        }
    }

    /// The line of `SECTION.NAME`.
    fn place(&self, name: &str) -> Option<usize> {
        let (section, key) = name.split_once('.')?;
        let mut open = "";
        self.lines.iter().position(|line| {
            let line = line.trim();
            if let Some(header) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                open = header.trim();
            }
            open == section && pair(line).is_some_and(|(k, _)| k == key)
        })
    }
}

/// `name = value` or `name: value`, without comments.
fn pair(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if line.starts_with(['#', ';', '[']) {
        return None;
    }
    let (key, value) = line.split_once(['=', ':'])?;
    Some((key.trim(), value.trim()))
}

/// Most of a file that is read, in bytes.
const BYTES_MAX: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_stays() {
        let mut file = File::parse("; mine\n[core]\neditor = vi\nodd = 1\n[path]\nx: y\n");
        assert_eq!(file.get("core.editor"), Some("vi"));
        assert_eq!(file.get("path.x"), Some("y"));
        assert_eq!(file.get("core.x"), None);
        file.set("core.editor", Some("nano -w"));
        file.set("core.wait", Some("yes"));
        file.set("color.style", Some("plain"));
        file.set("path.z", None);
        assert_eq!(
            file.text(),
            "; mine\n[core]\nwait = yes\neditor = nano -w\nodd = 1\n[path]\nx: y\n[color]\nstyle = plain\n"
        );
        file.set("core.wait", None);
        assert_eq!(file.get("core.wait"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "([\\[\\]a-z.=:; ]{0,12}\n){0,6}") {
            let mut file = File::parse(&text);
            file.set("core.editor", Some("vi"));
            proptest::prop_assert_eq!(file.get("core.editor"), Some("vi"));
        }
    }
}
