//! `crm`: the shell of levels that crmsh made known, on one line, on standard input, or typed.

pub(crate) mod agents;
mod assist;
mod cibstatus;
mod cluster;
pub(super) mod complete;
mod configure;
mod corosync;
pub(super) mod editor;
mod history;
mod maintenance;
mod node;
mod not_offered;
mod preferences;
pub(crate) mod ra;
mod resource;
mod scripts;
pub(crate) mod session;
mod shadows;
mod shell;
mod site;
mod switch;
mod templates;
#[cfg(test)]
mod tests;
mod usage;
mod validate;
mod wizards;
pub(crate) mod words;

use super::backend::{self, Backend, CibFile, Lazy, ask_done, shadow};
use super::console::Console;
use super::exit::{Exit, Failure};
use super::outcome::{Goal, Watch};
use super::{crm_resource, getopt};
use crate::ipc::Request;
use crate::paths::Paths;
use agents::Agents;
use preferences::Preferences;
use shell::Shell;
use std::io::{BufRead, Write};
use switch::Switch;

/// What the command line said before the first command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// `-w`: return when the cluster has nothing left to do.
    pub wait: bool,
    /// `-F`: no questions, no refusals for the user's own good.
    pub force: bool,
    /// `-n`: every question is answered with no.
    pub no: bool,
    /// `-f FILE`: commands from a file.
    pub file: Option<String>,
    /// `-c FILE`: work on a CIB in a file.
    pub cib: Option<String>,
    /// What the user prefers.
    pub preferences: Preferences,
    /// The commands.
    pub words: Vec<String>,
}

/// What a level's verbs work with.
pub(crate) struct Context<'a> {
    /// Whom to ask.
    pub backend: Switch<'a>,
    /// Where the words go.
    pub console: &'a mut Console,
    /// Options of the command line.
    pub options: Options,
    /// Agents of this machine.
    pub agents: Agents,
    /// What `history` looks at.
    period: history::Period,
    /// What the user prefers.
    pub preferences: Preferences,
    /// The status that `cibstatus` works on.
    imagined: Option<cibstatus::Imagined>,
    /// The configuration that `template` works on.
    template: Option<String>,
    /// What is waited for, with `-w`.
    watch: Option<Watch>,
}

impl Context<'_> {
    /// Somebody is going to wait for what comes of a change: notes what stands before it.
    ///
    /// # Errors
    /// As [`backend::status`].
    pub(crate) fn watch(&mut self) -> Result<(), Failure> {
        self.watch = Watch::begin(&mut self.backend)?;
        Ok(())
    }

    /// What the change is for, should anybody wait for it.
    pub(crate) fn expect(&mut self, id: &str, goal: Goal) {
        if let Some(watch) = &mut self.watch {
            watch.expect(id, goal);
        }
    }

    /// Waits until the cluster has nothing left to do, and looks what came of what is watched.
    ///
    /// # Errors
    /// [`Exit::Timeout`] after [`WAIT_MS_MAX`]; as [`Watch::judge`].
    pub(crate) fn wait(&mut self) -> Result<(), Failure> {
        let watch = self.watch.take();
        let request = Request::WaitIdle {
            timeout_ms: WAIT_MS_MAX,
        };
        ask_done(&mut self.backend, &request)?;
        let Some(watch) = watch else {
            return Ok(());
        };
        watch.judge(&backend::status(&mut self.backend)?, "crm")
    }

    /// Asks when somebody is there to answer; without a terminal, `-F` is the answer.
    ///
    /// # Errors
    /// [`Exit::Unsafe`] when nobody can be asked.
    pub(crate) fn confirm(&mut self, question: &str) -> Result<bool, Failure> {
        if self.options.force {
            return Ok(true);
        }
        if self.options.no {
            return Ok(false);
        }
        if !self.console.interactive {
            return Err(Failure::new(
                Exit::Unsafe,
                format!("{question} Nobody is there to answer: say -F if it shall be done"),
            ));
        }
        self.console.print(&format!("{question} (y/n) "));
        let _ = std::io::stdout().flush();
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        Ok(read.is_ok() && answer.trim().to_ascii_lowercase().starts_with('y'))
    }
}

impl Context<'_> {
    /// As `crm_resource` with these words does it.
    ///
    /// # Errors
    /// The tool's own.
    pub(crate) fn crm_resource(&mut self, words: &[&str]) -> Result<(), Failure> {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        let found = getopt::parse(crm_resource::OPTIONS, &words)?;
        crm_resource::run(&mut self.backend, self.console, &found)
    }
}

/// The whole program; `args` without its name. Exit code 0 or 1, as crmsh.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    let mut console = Console::process();
    let options = match parse(args, Preferences::of_this_user()) {
        Ok(Parsed::Run(options)) => options,
        Ok(Parsed::Help) => {
            console.print(shell::HELP);
            return Exit::Ok;
        }
        Ok(Parsed::Version) => {
            console.line(&format!("crm {} (mainstay)", env!("CARGO_PKG_VERSION")));
            return Exit::Ok;
        }
        Err(failure) => return report(&mut console, &failure),
    };
    let opened: Result<Box<dyn Backend>, Failure> = match &options.cib {
        Some(name) => named_cib(name).map(|file| Box::new(file) as Box<dyn Backend>),
        None => lazy(&options, console.interactive),
    };
    let mut backend = match opened {
        Ok(backend) => backend,
        Err(failure) => return report(&mut console, &prefixed(&options.words, failure)),
    };
    run(backend.as_mut(), &mut console, options)
}

/// The cluster; asked at once where the command is nothing without it, so that a daemon that is
/// down is told under the command's name. Whoever sits at a prompt may start it from there.
fn lazy(options: &Options, interactive: bool) -> Result<Box<dyn Backend>, Failure> {
    let mut backend = Lazy::new(None);
    let needed = match options.words.as_slice() {
        [] => !interactive,
        words => shell::needs_cluster(words),
    };
    if needed {
        backend.open()?;
    }
    Ok(Box::new(backend))
}

/// `-c NAME`: a shadow, else a CIB in a file.
fn named_cib(name: &str) -> Result<CibFile, Failure> {
    match shadow::existing(name) {
        Ok(path) => CibFile::open(path),
        Err(no_shadow) if !std::path::Path::new(name).exists() => Err(no_shadow),
        Err(_) => CibFile::open(name.into()),
    }
}

/// Carries out the commands of a command line, a file, or standard input.
pub(crate) fn run(backend: &mut dyn Backend, console: &mut Console, options: Options) -> Exit {
    let agents = Agents::new(Paths::from_env());
    run_on(
        backend,
        console,
        options,
        agents,
        &mut std::io::BufReader::new(std::io::stdin()),
    )
}

/// As [`run`], with the agents and the input given.
pub(crate) fn run_on(
    backend: &mut dyn Backend,
    console: &mut Console,
    options: Options,
    agents: Agents,
    input: &mut dyn BufRead,
) -> Exit {
    let file = options.file.clone();
    let mut single = options.words.clone();
    for word in &mut single {
        if let Some(plain) = words::without_typography(word, "") {
            console.warning(words::TYPOGRAPHY);
            *word = plain;
        }
    }
    let preferences = options.preferences.clone();
    console.paint(preferences.colours());
    let context = Context {
        backend: Switch::new(backend),
        console,
        options,
        agents,
        period: history::Period::default(),
        preferences,
        imagined: None,
        template: None,
        watch: None,
    };
    let mut shell = Shell::new(context);
    if !single.is_empty() && !shell.single(&single) {
        // `crm configure` alone opens the level.
        return shell.exit();
    }
    match file.as_deref() {
        Some("-") | None if shell.interactive() => shell.prompt(),
        Some("-") | None => shell.script(input),
        Some(path) => match std::fs::File::open(path) {
            Ok(file) => shell.script(&mut std::io::BufReader::new(file)),
            Err(error) => shell.fail(&Failure::new(Exit::NoInput, format!("{path}: {error}"))),
        },
    }
    shell.exit()
}

/// `status: …`: crmsh names the command that failed.
fn prefixed(words: &[String], failure: Failure) -> Failure {
    let command: Vec<&str> = words.iter().take(2).map(String::as_str).collect();
    if command.is_empty() {
        return failure;
    }
    Failure {
        text: format!("{}: {}", command.join("."), failure.text),
        ..failure
    }
}

fn report(console: &mut Console, failure: &Failure) -> Exit {
    console.error(&failure.text);
    if let Some(cure) = &failure.cure {
        console.err_line(cure);
    }
    Exit::Error
}

/// What the command line asks for.
enum Parsed {
    Run(Options),
    Help,
    Version,
}

fn parse(args: &[String], preferences: Preferences) -> Result<Parsed, Failure> {
    let mut options = Options {
        wait: preferences.is_on("core.wait"),
        force: preferences.is_on("core.force"),
        preferences,
        ..Options::default()
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let (flag, glued) = match arg.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
            _ => (arg.as_str(), None),
        };
        let mut value = |what: &str| {
            glued
                .clone()
                .or_else(|| args.next().cloned())
                .ok_or_else(|| Failure::usage(format!("{flag} needs {what}")))
        };
        match flag {
            "-w" | "--wait" => options.wait = true,
            "-F" | "--force" => options.force = true,
            "-f" | "--file" => options.file = Some(value("a file")?),
            "-c" | "--cib" => options.cib = Some(value("a file with a CIB")?),
            "-n" | "--no" => options.no = true,
            "-D" | "--display" => {
                let style = value("plain, color, color-always or uppercase")?;
                options.preferences.put_for_now("color.style", &style)?;
            }
            "-R" | "--regression-tests" | "-d" | "--debug" => {}
            "-o" | "--opt" => set_option(&mut options, &value("an option, core.wait=yes")?)?,
            "-H" | "--history" => {
                return Err(Failure::usage(format!(
                    "{flag} is not offered: the level `history` shows what this cluster keeps"
                )));
            }
            "-h" | "--help" => return Ok(Parsed::Help),
            "--version" => return Ok(Parsed::Version),
            other if other.starts_with('-') && other.len() > 1 => {
                return Err(Failure::usage(format!(
                    "crm has no option {other}; `crm --help` lists them"
                )));
            }
            _ => {
                options.words.push(arg.clone());
                options.words.extend(args.by_ref().cloned());
            }
        }
    }
    Ok(Parsed::Run(options))
}

/// `-o NAME=VALUE`: an option for this command alone.
fn set_option(options: &mut Options, word: &str) -> Result<(), Failure> {
    let (name, value) = word.split_once('=').ok_or_else(|| {
        Failure::usage(format!("-o {word}: an option is NAME=VALUE, core.wait=yes"))
    })?;
    options.preferences.put_for_now(name, value)?;
    options.wait |= options.preferences.is_on("core.wait");
    options.force |= options.preferences.is_on("core.force");
    Ok(())
}

pub(crate) use session::describe as describe_finding;

/// A configuration as `crm configure show` prints it.
///
/// # Errors
/// It holds what cannot be printed.
pub(crate) fn configuration_text(cib: &cib::Cib) -> Result<String, Failure> {
    configure::show(cib, None, &[])
}

/// Everything that is known to have happened, a line each.
///
/// # Errors
/// As [`backend::ask`].
pub(super) fn events_text(backend: &mut dyn Backend) -> Result<String, Failure> {
    history::events_text(backend)
}

/// The end of this node's log.
///
/// # Errors
/// It goes to no file, or the file cannot be read.
pub(super) fn log_text() -> Result<String, Failure> {
    history::log_text()
}

/// Longest `-w`, in milliseconds: an hour.
pub(crate) const WAIT_MS_MAX: u64 = 60 * 60 * 1000;
