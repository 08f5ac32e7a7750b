//! `pacemakerd`: agents ask it for a version, and nothing else.

use super::console::Console;
use super::exit::Exit;

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    let mut console = Console::process();
    match args.first().map(String::as_str) {
        Some("-$" | "--version" | "-F" | "--features") => {
            console.line(&format!("Pacemaker {}", crate::DC_VERSION));
            console.line(&format!(
                "Served by mainstay {}, CRM feature set {}",
                env!("CARGO_PKG_VERSION"),
                cib::document::FEATURE_SET
            ));
            Exit::Ok
        }
        Some("-?" | "-h" | "--help") => {
            console.line(USAGE);
            Exit::Ok
        }
        _ => {
            console.err_line(&format!(
                "pacemakerd: the daemon is mainstayd: start it with `systemctl start mainstay` or /etc/init.d/mainstay start\n{USAGE}"
            ));
            Exit::Usage
        }
    }
}

const USAGE: &str = "usage: pacemakerd --version";
