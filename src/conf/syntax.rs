//! The syntax of corosync.conf(5): sections in braces, `key: value` lines, `#` comments.

use super::ConfError;

/// A section with everything in it, in file order, each with its line (from 1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    /// Name before the brace; empty for the file itself.
    pub(super) name: String,
    /// Line of the opening brace.
    pub(super) line: usize,
    /// Keys with their values.
    pub(super) items: Vec<Item>,
    /// Sections inside.
    pub(super) sections: Vec<Self>,
}

/// One `key: value` line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Item {
    /// Key.
    pub(super) key: String,
    /// Value, trimmed.
    pub(super) value: String,
    /// Line, from 1.
    pub(super) line: usize,
}

impl Section {
    /// Sections of this name, in file order.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> + 'a {
        self.sections.iter().filter(move |s| s.name == name)
    }
}

/// Reads the syntax; `file` is for messages.
///
/// # Errors
/// [`ConfError`] with file, line and what was expected there.
pub(super) fn parse(file: &str, text: &str) -> Result<Section, ConfError> {
    if text.len() > FILE_BYTES_MAX {
        let what = format!(
            "the file has {} bytes; at most {FILE_BYTES_MAX} are read",
            text.len()
        );
        return Err(ConfError::at(file, 1, "", what));
    }
    // Editors of other systems begin a file with a mark of its encoding.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut open = vec![Section::default()];
    for (number, raw) in text.lines().enumerate() {
        read_line(file, number + 1, raw.trim(), &mut open)?;
    }
    let last = text.lines().count();
    match open.len() {
        1 => Ok(open.remove(0)),
        _ => {
            let inner = &open[open.len() - 1];
            let what = format!(
                "section `{}` opened in line {} is not closed: a `}}` is missing",
                inner.name, inner.line
            );
            Err(ConfError::at(file, last, &inner.name, what))
        }
    }
}

/// `open` holds the sections that are still open, outermost (the file) first; never empty.
fn read_line(
    file: &str,
    line: usize,
    text: &str,
    open: &mut Vec<Section>,
) -> Result<(), ConfError> {
    if text.is_empty() || text.starts_with('#') {
        return Ok(());
    }
    if let Some(name) = text.strip_suffix('{') {
        if open.len() > DEPTH_MAX {
            let what = format!("sections are nested deeper than {DEPTH_MAX} levels");
            return Err(ConfError::at(file, line, name.trim(), what));
        }
        let name = name.trim().to_owned();
        if let Some(plain) = name.strip_suffix(':') {
            let what = format!("a section has no colon: write `{} {{`", plain.trim_end());
            return Err(ConfError::at(file, line, &name, what));
        }
        open.push(Section {
            name,
            line,
            ..Section::default()
        });
        return Ok(());
    }
    if text == "}" {
        let Some(done) = open.pop() else {
            return Ok(());
        };
        match open.last_mut() {
            Some(outer) => outer.sections.push(done),
            None => {
                let what = "a `}` without a section that it could close".to_owned();
                return Err(ConfError::at(file, line, "}", what));
            }
        }
        return Ok(());
    }
    if let Some((name, rest)) = text.split_once('{').filter(|(n, _)| !n.contains(':')) {
        let what = format!(
            "`{}` stands on a line of its own: `{{` ends the line of a section",
            shorten(rest.trim())
        );
        return Err(ConfError::at(file, line, name.trim(), what));
    }
    let Some((key, value)) = text.split_once(':') else {
        let what = format!(
            "`{}` is neither `key: value` nor `section {{` nor `}}`",
            shorten(text)
        );
        return Err(ConfError::at(file, line, "", what));
    };
    let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
    let Some(section) = open.last_mut() else {
        return Ok(());
    };
    section.items.push(Item { key, value, line });
    Ok(())
}

fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Largest corosync.conf, in bytes: 100 times what the largest cluster needs.
const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Deepest nesting of sections; corosync.conf(5) needs three.
const DEPTH_MAX: usize = 8;
