//! `crm_mon`: the status, once, as text, XML or a line for monitoring.

use super::backend;
use super::console::Console;
use super::exit::{Exit, Failure};
use crate::view;

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Options {
    text: view::text::Options,
    form: Form,
    output: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    #[default]
    Text,
    Xml,
    Simple,
    Legacy,
    Help,
    Version,
}

/// The whole program; `args` without its name.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    let mut console = Console::process();
    let options = match parse(args) {
        Ok(options) => options,
        Err(failure) => {
            console.err_line(&format!("crm_mon: {failure}\n{USAGE}"));
            return failure.exit;
        }
    };
    match options.form {
        Form::Help => {
            console.line(USAGE);
            return Exit::Ok;
        }
        Form::Version => {
            console.line(&format!("Pacemaker {}", crate::DC_VERSION));
            return Exit::Ok;
        }
        _ => {}
    }
    match show(args, &options, &mut console) {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            if options.form == Form::Simple {
                console.line(&format!("CLUSTER CRIT: {failure}"));
            }
            // Monitoring searches this line.
            console.err_line(&format!("crm_mon: {failure}"));
            if let Some(cure) = &failure.cure {
                console.err_line(cure);
            }
            failure.exit
        }
    }
}

fn show(args: &[String], options: &Options, console: &mut Console) -> Result<(), Failure> {
    let mut backend = backend::open()?;
    let status = backend::status(backend.as_mut())?;
    let text = match options.form {
        Form::Xml => {
            let request = format!("crm_mon {}", args.join(" "));
            view::xml::document(&status, request.trim_end())
        }
        Form::Simple => format!("{}\n", view::nagios::simple(&status).0),
        Form::Legacy => view::legacy::document(&status),
        _ => view::text::document(&status, options.text),
    };
    match &options.output {
        None => console.print(&text),
        Some(path) => std::fs::write(path, text)
            .map_err(|e| Failure::new(Exit::CantCreat, format!("{path}: {e}")))?,
    }
    Ok(())
}

fn parse(args: &[String]) -> Result<Options, Failure> {
    let mut options = Options::default();
    for arg in args {
        if let Some(letters) = arg.strip_prefix('-').filter(|l| !l.starts_with('-')) {
            for letter in letters.chars() {
                short(&mut options, letter)?;
            }
        } else {
            long(&mut options, arg)?;
        }
    }
    Ok(options)
}

fn short(options: &mut Options, letter: char) -> Result<(), Failure> {
    match letter {
        'r' => options.text.inactive = true,
        'n' => options.text.by_node = true,
        'f' => options.text.failcounts = true,
        's' => options.form = Form::Simple,
        'X' => options.form = Form::Xml,
        '?' | 'h' => options.form = Form::Help,
        '$' => options.form = Form::Version,
        // Once is the only way; the rest adds detail that is not kept apart here.
        '1' | 'V' | 'A' | 'o' | 't' | 'c' | 'L' | 'R' | 'b' | 'j' | 'D' | 'N' | 'm' | 'Q' => {}
        other => return Err(Failure::usage(format!("unknown option -{other}"))),
    }
    Ok(())
}

fn long(options: &mut Options, arg: &str) -> Result<(), Failure> {
    match arg {
        "--one-shot"
        | "--verbose"
        | "--show-node-attributes"
        | "--operations"
        | "--timing-details"
        | "--tickets"
        | "--neg-locations"
        | "--show-detail"
        | "--brief"
        | "--pending"
        | "--hide-headers"
        | "--quiet" => {}
        "--inactive" => options.text.inactive = true,
        "--group-by-node" => options.text.by_node = true,
        "--failcounts" => options.text.failcounts = true,
        "--simple-status" => options.form = Form::Simple,
        "--as-xml" | "--output-as=xml" => options.form = Form::Xml,
        "--output-as=text" => options.form = Form::Text,
        "--legacy" | "--output-as=text-1.1" => options.form = Form::Legacy,
        "--help" => options.form = Form::Help,
        "--version" => options.form = Form::Version,
        other => match other.strip_prefix("--output-to=") {
            Some("-") => {}
            Some(path) => options.output = Some(path.to_owned()),
            None => return Err(Failure::usage(format!("unknown option {other}"))),
        },
    }
    Ok(())
}

const USAGE: &str = "usage: crm_mon [-1] [-r] [-n] [-f] [-s] [-X|--output-as=text|xml] [--legacy]";
