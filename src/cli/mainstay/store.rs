//! `mainstay store …`: this node's store while the daemon is down (a running daemon holds its
//! lock, and says so).

use super::verbs::StoreVerb;
use crate::cli::console::Console;
use crate::cli::exit::{Exit, Failure};
use crate::paths::Paths;
use crate::salvage;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use store::{OpenError, StoreError, VerifyReport};

pub(super) fn run(verb: &StoreVerb, console: &mut Console) -> Result<Exit, Failure> {
    let paths = Paths::from_env();
    let dir = paths.store_dir();
    match verb {
        StoreVerb::Verify => verify(&dir, console),
        StoreVerb::Export { file } => export(&dir, file.as_deref(), console),
        StoreVerb::Import { file } => import(&dir, file, console),
        StoreVerb::Reset { yes_lose_state } => reset(&paths, *yes_lose_state, console),
    }
}

fn verify(dir: &Path, console: &mut Console) -> Result<Exit, Failure> {
    must_exist(dir)?;
    let report = store::verify(dir).map_err(open_failed)?;
    console.print(&summary(dir, &report));
    Ok(if report.sound() {
        Exit::Ok
    } else {
        Exit::DataErr
    })
}

fn summary(dir: &Path, report: &VerifyReport) -> String {
    let log = match report.log {
        Some((first, last)) => format!("log {first} to {last}"),
        None => "no log".to_owned(),
    };
    let mut text = format!(
        "{}: {} values, {} bytes; {log}; {} versions of the CIB kept\n",
        dir.display(),
        report.values,
        report.bytes,
        report.versions.len()
    );
    if let Some(why) = &report.recovering {
        text.push_str(&format!(
            "it does not vote until it has met the others: {why}\n"
        ));
    }
    for problem in &report.problems {
        text.push_str(&format!("damaged: {problem}\n"));
    }
    text.push_str(match report.sound() {
        true => "everything in it is sound\n",
        false => "the daemon repairs what it can at its next start, or tells what to do\n",
    });
    text
}

fn export(dir: &Path, file: Option<&Path>, console: &mut Console) -> Result<Exit, Failure> {
    must_exist(dir)?;
    let written = match file {
        None => store::export(dir, &mut std::io::stdout().lock()),
        Some(path) => {
            let failed = |e: &std::io::Error| {
                Failure::new(Exit::CantCreat, format!("{}: {e}", path.display()))
            };
            let file = File::create(path).map_err(|e| failed(&e))?;
            let mut out = BufWriter::new(file);
            let written = store::export(dir, &mut out);
            out.flush().map_err(|e| failed(&e))?;
            written
        }
    };
    let summary = written.map_err(open_failed)?;
    console.err_line(&format!(
        "exported {} log records and {} versions of the CIB",
        summary.records, summary.versions
    ));
    Ok(Exit::Ok)
}

fn import(dir: &Path, path: &Path, console: &mut Console) -> Result<Exit, Failure> {
    let file = File::open(path)
        .map_err(|e| Failure::new(Exit::NoInput, format!("{}: {e}", path.display())))?;
    let summary = store::import(dir, &mut BufReader::new(file)).map_err(open_failed)?;
    console.line(&format!(
        "imported {} log records and {} versions of the CIB into {}",
        summary.records,
        summary.versions,
        dir.display()
    ));
    Ok(Exit::Ok)
}

/// Both stores that a machine can have: a node's, and a witness'.
fn reset(paths: &Paths, sure: bool, console: &mut Console) -> Result<Exit, Failure> {
    let mut in_use = Vec::new();
    for dir in [paths.store_dir(), paths.witness_dir()] {
        if store::in_use(&dir).map_err(open_failed)? {
            in_use.push(dir);
        }
    }
    let Some(first) = in_use.first() else {
        let dir = paths.store_dir();
        console.line(&format!(
            "{} holds nothing: there is nothing to reset",
            dir.display()
        ));
        return Ok(Exit::Ok);
    };
    if !sure {
        return Err(Failure {
            exit: Exit::Unsafe,
            text: format!(
                "this makes the node forget everything it has promised to others ({})",
                first.display()
            ),
            cure: Some(format!(
                "if that is what you want: {}",
                store::RESET_COMMAND
            )),
        });
    }
    for dir in in_use {
        let aside = store::reset(&dir).map_err(open_failed)?;
        console.line(&format!("the old state lies in {}", aside.display()));
        // A witness keeps none.
        if dir == paths.store_dir()
            && let Some(line) = configuration_in(&aside)
        {
            console.line(&line);
        }
    }
    Ok(Exit::Ok)
}

/// What a state that was moved aside has of the configuration, and how it comes back.
fn configuration_in(aside: &Path) -> Option<String> {
    let (file, cib) = salvage::configuration(aside)?;
    let written = cib.root().attr("cib-last-written");
    let written = written.map_or_else(String::new, |at| format!(", written {at}"));
    Some(format!(
        "the configuration in it is version {}{written}; where no other node has a newer one: cibadmin --replace --scope configuration --xml-file {}",
        cib.version(),
        file.display()
    ))
}

/// Looking must not create.
fn must_exist(dir: &Path) -> Result<(), Failure> {
    if store::in_use(dir).map_err(open_failed)? {
        return Ok(());
    }
    Err(Failure::new(
        Exit::NoInput,
        format!(
            "there is no store in {}: this node has never run",
            dir.display()
        ),
    ))
}

fn open_failed(error: OpenError) -> Failure {
    let exit = match &error {
        OpenError::Store(error) => return store_failed(error),
        OpenError::Exists { .. } => Exit::Exists,
        _ => Exit::Unavailable,
    };
    Failure {
        exit,
        text: error.to_string(),
        cure: Some(error.cure().to_owned()),
    }
}

fn store_failed(error: &StoreError) -> Failure {
    Failure::new(Exit::IoErr, error.to_string())
}
