//! `mainstay quorum simulate`: what would decide if the cluster fell apart like this.

use crate::cli::console::Console;
use crate::cli::exit::{Exit, Failure};
use crate::conf::{self, Strictness};
use crate::on_paper::play;
use std::io::Read;
use std::path::Path;

/// Plays a script: the words given, or standard input where there are none.
pub(super) fn simulate(
    file: &Path,
    words: &[String],
    console: &mut Console,
) -> Result<(), Failure> {
    let usage = |text: String| Failure::new(Exit::Usage, text);
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|e| Failure::new(Exit::Error, format!("{shown}: {e}")))?;
    let conf = conf::read(&shown, &text, Strictness::Lenient)
        .map_err(|e| Failure::new(Exit::Error, e.to_string()))?;
    let script = match words {
        [] => from_stdin().map_err(usage)?,
        words => words.join(" ").replace(';', "\n"),
    };
    let told = play(&conf, &script).map_err(usage)?;
    console.print(&told);
    Ok(())
}

fn from_stdin() -> Result<String, String> {
    let mut script = String::new();
    let input = std::io::stdin().take(SCRIPT_BYTES_MAX);
    std::io::BufReader::new(input)
        .read_to_string(&mut script)
        .map_err(|e| format!("the script cannot be read: {e}"))?;
    Ok(script)
}

/// Longest script, in bytes.
const SCRIPT_BYTES_MAX: u64 = 1024 * 1024;
