//! `crm_simulate` as far as measuring needs it: `-x FILE` decides on a CIB and prints the
//! Transition Summary, `-G FILE` writes the transition graph. Other options are accepted and
//! ignored.

mod graph_xml;

use cib::Element;
use scheduler::{Options, schedule};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("crm_simulate: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let (mut input, mut graph_file, mut time, mut why) = (None, None, None, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-x" => input = args.next(),
            "-G" => graph_file = args.next(),
            "-t" => time = args.next(),
            "-D" => drop(args.next()),
            "--why" => why = true,
            _ => {}
        }
    }
    let input = input.ok_or("-x FILE is missing")?;
    let bytes = std::fs::read(&input).map_err(|e| format!("{input}: {e}"))?;
    let cib = cib::xml::parse_bytes(&bytes).map_err(|e| format!("{input}: {e}"))?;
    let options = Options {
        now: now(&cib, time.as_deref()),
    };
    let plan = schedule(&cib, &options);
    println!("Transition Summary:");
    for line in &plan.summary {
        println!("  * {line}");
    }
    println!("\nExecuting Cluster Transition:");
    for message in plan.errors.iter().chain(&plan.warnings) {
        println!("note: {message}");
    }
    if why {
        for reason in &plan.reasons {
            println!("why: {reason:?}");
        }
        for resource in &plan.resources {
            println!("status: {resource:?}");
        }
    }
    if let Some(file) = graph_file {
        let text = cib::xml::format(&graph_xml::graph_xml(&plan.graph));
        std::fs::write(&file, text).map_err(|e| format!("{file}: {e}"))?;
    }
    Ok(())
}

/// `-t`, else the CIB's execution date, else the clock.
fn now(cib: &Element, time: Option<&str>) -> i64 {
    let given = time.and_then(|text| {
        let text = text.replace(' ', "T");
        let zoned = text.parse::<jiff::Timestamp>();
        let bare = text.parse::<jiff::civil::DateTime>();
        zoned.ok().or_else(|| {
            Some(
                bare.ok()?
                    .to_zoned(jiff::tz::TimeZone::UTC)
                    .ok()?
                    .timestamp(),
            )
        })
    });
    given
        .map(jiff::Timestamp::as_second)
        .or_else(|| cib.attr("execution-date")?.parse().ok())
        .unwrap_or_else(|| jiff::Timestamp::now().as_second())
}
