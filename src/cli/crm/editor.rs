//! Texts that somebody edits, or reads page by page.

use super::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::private;

impl Context<'_> {
    /// A text after the editor has ended, the one of the options, `VISUAL` or `EDITOR`.
    ///
    /// # Errors
    /// It failed, or said so.
    pub(super) fn edited(&self, text: &str) -> Result<String, Failure> {
        edited(text, self.preferences.program("core.editor").as_deref())
    }

    /// A configuration, or another long text; at a terminal through the pager that was chosen.
    pub(super) fn show(&mut self, text: &str) {
        let pager = self.preferences.program("core.pager");
        let pager = pager.filter(|_| self.console.interactive && text.lines().count() > PAGE_LINES);
        let read = pager.is_some_and(|pager| page(&pager, text).is_ok());
        if !read {
            self.console.configuration(text);
        }
    }
}

/// Gives a text to a pager, which may end before it has read all of it.
fn page(pager: &str, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut child = std::process::Command::new("sh")
        .args(["-c", pager])
        .stdin(std::process::Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(text.as_bytes());
    }
    child.wait().map(|_| ())
}

/// Lines that every terminal has room for.
const PAGE_LINES: usize = 24;

/// A text after its editor has ended.
///
/// # Errors
/// It failed, or said so.
pub(in crate::cli) fn edited(text: &str, editor: Option<&str>) -> Result<String, Failure> {
    let by_environment = || {
        ["VISUAL", "EDITOR"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
    };
    let editor = editor.map(str::to_owned).or_else(by_environment);
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    let path = std::env::temp_dir().join(format!("crm-edit-{}.txt", std::process::id()));
    let failed =
        |what: &str, error: std::io::Error| Failure::new(Exit::IoErr, format!("{what}: {error}"));
    private::write_new(&path, text).map_err(|e| failed(&path.display().to_string(), e))?;
    let ended = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("sh")
        .arg(&path)
        .status();
    let after = std::fs::read_to_string(&path);
    let _ = std::fs::remove_file(&path);
    match ended {
        Ok(status) if status.success() => after.map_err(|e| failed(&path.display().to_string(), e)),
        Ok(status) => Err(Failure::new(
            Exit::Error,
            format!("{editor} ended with {status}: nothing was changed"),
        )),
        Err(error) => Err(failed(&editor, error)),
    }
}
