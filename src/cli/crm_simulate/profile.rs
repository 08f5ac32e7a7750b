//! `--profile`: how long the scheduler takes for each input in a folder.

use super::options::Wanted;
use super::source;
use crate::cli::console::Console;
use crate::cli::exit::{Exit, Failure};
use crate::view::printer::Printer;
use cib::Element;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Schedules every `.xml` and `.bz2` in a folder as often as asked, and tells the times.
pub(super) fn run(folder: &str, wanted: &Wanted, console: &mut Console) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::new(Exit::NoInput, format!("{folder}: {e}"));
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let kind = path.extension().and_then(|e| e.to_str());
        let hidden = entry_name(&path).starts_with('.');
        if matches!(kind, Some("xml" | "bz2")) && !hidden && path.is_file() {
            files.push(path);
        }
    }
    // As Pacemaker has them: the last comes first.
    files.sort();
    files.reverse();
    let mut out = Printer::new(wanted.form(), Element::default());
    out.list("Timings", Element::new("timings"), |out| {
        for path in &files {
            time(&path.display().to_string(), wanted, out, console);
            console.print(&out.take());
        }
    });
    for part in out.into_xml().unwrap_or_default().children {
        console.element(part);
    }
    Ok(())
}

fn entry_name(path: &Path) -> &str {
    let name = path.file_name();
    name.and_then(|name| name.to_str()).unwrap_or_default()
}

fn time(name: &str, wanted: &Wanted, out: &mut Printer, console: &mut Console) {
    let read = source::bytes_of(name).and_then(|bytes| source::parse(name, &bytes));
    let cib = match read {
        Ok(cib) => cib,
        Err(failure) => {
            console.err_line(&format!("crm_simulate: {failure}"));
            return;
        }
    };
    let original = source::decided_at(&cib);
    let given = wanted.date.as_ref().map(|(_, at)| *at);
    let now = given.or(original);
    let now = now.unwrap_or_else(source::now_s);
    let start = Instant::now();
    for _ in 0..wanted.repeat {
        let _ = scheduler::schedule(&cib, &scheduler::Options { now });
    }
    let seconds = start.elapsed().as_secs_f64();
    out.item(&format!("Testing {name} ... {seconds:.2} secs"), || {
        let timing = Element::new("timing").with("file", name);
        timing.with("duration", &format!("{seconds:.6}"))
    });
}
