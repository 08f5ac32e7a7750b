//! `mainstay import`: files of other cluster stacks, told line by line and taken over.

mod sysconfig;

use crate::cli::backend::{self, Backend};
use crate::cli::console::Console;
use crate::cli::crm::agents::Agents;
use crate::cli::crm::session::Session;
use crate::cli::crm::words;
use crate::cli::exit::{Exit, Failure};
use crate::conf::{self, ConfError, Strictness, keepalived};
use crate::paths::Paths;
use cib::Cib;
use clap::Args;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Files, and what is to be done with them.
#[derive(Debug, Args)]
pub(super) struct Wishes {
    /// corosync.conf, authkey, files of service.d, cib.xml, sysconfig files, keepalived.conf
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Tell only
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Unknown keys are remarks only
    #[arg(long)]
    lenient: bool,
    /// Node that the files come from; this one when not given
    #[arg(long)]
    node: Option<String>,
}

/// Reports on every file, and takes over what can be, unless a line of it was refused.
///
/// # Errors
/// The first file that could not be taken over; those before it are.
pub(super) fn run(wishes: &Wishes, console: &mut Console) -> Result<(), Failure> {
    let paths = Paths::from_env();
    // All of them can be read before the first one is taken over.
    let read: Result<Vec<_>, Failure> = wishes.files.iter().map(|f| Ok((f, read(f)?))).collect();
    for (file, bytes) in read? {
        let name = file.display().to_string();
        let text = std::str::from_utf8(&bytes).ok();
        match (kind(file, text), text) {
            (Kind::Authkey, _) => authkey(&name, &bytes, &paths, wishes, console)?,
            (Kind::Corosync, Some(text)) => corosync(&name, text, &paths, wishes, console)?,
            (Kind::Keepalived, Some(text)) => from_keepalived(&name, text, wishes, console)?,
            (Kind::Cib, Some(text)) => cib_xml(&name, text, wishes, console)?,
            (Kind::ServiceFile, Some(text)) => service_file(&name, text, wishes, console)?,
            (Kind::Sysconfig, Some(text)) => sysconfig::tell(&name, file, text, &paths, console),
            _ => return Err(unknown(&name, &bytes)),
        }
    }
    Ok(())
}

/// Why nothing is known to do with a file.
fn unknown(name: &str, bytes: &[u8]) -> Failure {
    let what = match std::str::from_utf8(bytes) {
        _ if bytes.is_empty() => "there is nothing in it".to_owned(),
        Err(error) if !bytes.contains(&0) => {
            let before = &bytes[..error.valid_up_to()];
            let line = before.iter().filter(|b| **b == b'\n').count() + 1;
            format!("line {line} is no UTF-8: convert the file, for example with iconv(1)")
        }
        _ => "neither a cluster's configuration nor a key".to_owned(),
    };
    Failure {
        exit: Exit::DataErr,
        text: format!("{name}: {what}"),
        cure: Some(KNOWN.to_owned()),
    }
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Authkey,
    Corosync,
    Keepalived,
    Cib,
    ServiceFile,
    Sysconfig,
    Unknown,
}

fn kind(file: &Path, text: Option<&str>) -> Kind {
    if file.file_name().is_some_and(|name| name == "authkey") {
        return Kind::Authkey;
    }
    let Some(text) = text else {
        return Kind::Unknown;
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = || text.lines().map(str::trim);
    let begins = |word: &str| lines().any(|l| l.strip_prefix(word).is_some_and(is_block));
    let is_setting = |l: &str| l.split_once('=').is_some_and(|(name, _)| is_name(name));
    if text.trim_start().starts_with('<') {
        Kind::Cib
    } else if begins("totem") || begins("nodelist") {
        Kind::Corosync
    } else if keepalived::is_one(text) {
        Kind::Keepalived
    } else if begins("service") {
        Kind::ServiceFile
    } else if lines().any(is_setting) {
        Kind::Sysconfig
    } else {
        Kind::Unknown
    }
}

fn is_block(rest: &str) -> bool {
    rest.trim_start().starts_with('{')
}

fn is_name(name: &str) -> bool {
    let name = name.strip_prefix("export ").unwrap_or(name);
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let name = file.display();
    let failed = |e: std::io::Error| Failure::new(Exit::NoInput, format!("{name}: {e}"));
    if file.is_dir() {
        return Err(Failure {
            cure: Some("name the files in it".to_owned()),
            ..Failure::new(Exit::NoInput, format!("{name} is a directory"))
        });
    }
    let opened = std::fs::File::open(file).map_err(failed)?;
    let mut bytes = Vec::new();
    let mut opened = opened.take(FILE_BYTES_MAX + 1);
    opened.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let text =
            format!("{name} has more than {FILE_BYTES_MAX} bytes: no configuration is so long");
        return Err(Failure::new(Exit::DataErr, text));
    }
    Ok(bytes)
}

fn authkey(
    name: &str,
    key: &[u8],
    paths: &Paths,
    wishes: &Wishes,
    console: &mut Console,
) -> Result<(), Failure> {
    // The daemon's own check says what is wrong with its length.
    wire::KeyRing::derive(key, "").map_err(|e| Failure {
        cure: Some("make one with corosync-keygen; every node needs the same".to_owned()),
        ..Failure::new(Exit::DataErr, format!("{name}: {e}"))
    })?;
    console.line(&format!(
        "{name}: maps: a key of {} bytes, as it is",
        key.len()
    ));
    put(&paths.authkey(), key, 0o400, wishes, console)
}

fn corosync(
    name: &str,
    text: &str,
    paths: &Paths,
    wishes: &Wishes,
    console: &mut Console,
) -> Result<(), Failure> {
    let conf = conf::read(name, text, wishes.strictness()).map_err(|e| refused(&e, text))?;
    remarks(name, &conf, console);
    if conf.nodes.is_empty() {
        return Err(Failure {
            exit: Exit::Config,
            text: format!(
                "{name}: no node is listed: the multicast form names no peers, and mainstay does not \
                 search for them"
            ),
            cure: Some(format!(
                "add nodelist {{ node {{ ring0_addr: ADDRESS }} … }}, with one node section per \
                 machine; {NOTHING_TAKEN}"
            )),
        });
    }
    let cluster = match conf.cluster_name.as_str() {
        "" => "a cluster without a name".to_owned(),
        cluster => format!("cluster {cluster}"),
    };
    console.line(&format!(
        "{name}: maps: {cluster}, {}; all other lines mean what they meant",
        count(conf.nodes.len(), "node")
    ));
    put(
        &paths.corosync_conf(),
        text.as_bytes(),
        0o644,
        wishes,
        console,
    )
}

/// What was accepted and means less than it says.
fn remarks(name: &str, conf: &conf::ClusterConf, console: &mut Console) {
    for remark in &conf.warnings {
        let fate = match remark.unknown {
            true => "unknown",
            false => "obsolete",
        };
        console.line(&format!(
            "{name}:{}: {fate}: {}: {}",
            remark.line, remark.key, remark.text
        ));
    }
}

fn service_file(
    name: &str,
    text: &str,
    wishes: &Wishes,
    console: &mut Console,
) -> Result<(), Failure> {
    let conf = conf::read(name, text, wishes.strictness()).map_err(|e| refused(&e, text))?;
    remarks(name, &conf, console);
    console.line(&format!(
        "{name}: obsolete: Pacemaker was loaded into Corosync by such a file; `ver: 0` and \
         `ver: 1` make no difference here, where one daemon does both"
    ));
    Ok(())
}

/// What is wrong, with the line it stands in.
fn refused(error: &ConfError, text: &str) -> Failure {
    let line = text.lines().nth(error.line.saturating_sub(1)).unwrap_or("");
    let column = line.find(&error.key).filter(|_| !error.key.is_empty());
    let column = column.unwrap_or(line.len() - line.trim_start().len());
    Failure {
        exit: Exit::Config,
        text: format!("{error}\n{}", marked(line, column + 1)),
        cure: Some(NOTHING_TAKEN.to_owned()),
    }
}

/// A line and a caret below its column.
fn marked(line: &str, column: usize) -> String {
    // A tab stays one, so that the caret stands below its word.
    let before = line.chars().take(column.saturating_sub(1));
    let blanks: String = before.map(|c| if c == '\t' { c } else { ' ' }).collect();
    format!("    {line}\n    {blanks}^")
}

fn from_keepalived(
    name: &str,
    text: &str,
    wishes: &Wishes,
    console: &mut Console,
) -> Result<(), Failure> {
    let node = wishes.node.clone().unwrap_or_else(backend::host_name);
    let done = keepalived::translate(name, text, &node).map_err(|e| refused(&e, text))?;
    for finding in &done.findings {
        console.line(&format!(
            "{name}:{}: {}: {}",
            finding.line, finding.fate, finding.text
        ));
        if finding.fate == keepalived::Fate::Refused {
            let line = text
                .lines()
                .nth(finding.line.saturating_sub(1))
                .unwrap_or("");
            console.line(&marked(line, finding.column));
        }
    }
    console.line(match done.lines.is_empty() {
        true => "nothing of this file becomes configuration",
        false => "crm configure:",
    });
    for line in &done.lines {
        console.line(&format!("  {line}"));
    }
    if wishes.dry_run || done.lines.is_empty() {
        return Ok(());
    }
    let mut backend = backend::open()?;
    let mut session = Session::begin(backend.as_mut())?;
    let agents = Agents::new(Paths::from_env());
    for line in &done.lines {
        let words = words::split(line)?;
        let Some((verb, rest)) = words.split_first() else {
            continue;
        };
        session.run(verb, rest, &agents, console)?;
    }
    commit(&mut session, backend.as_mut(), console)
}

fn cib_xml(name: &str, text: &str, wishes: &Wishes, console: &mut Console) -> Result<(), Failure> {
    let cib = Cib::parse(text).map_err(|e| Failure {
        text: format!("{name}: {e}"),
        ..Failure::from(e)
    })?;
    for finding in cib::check::verify(&cib) {
        console.line(&format!("{name}: {finding}"));
    }
    let number = cib::config::Config::new(&cib).resources().len();
    console.line(&format!(
        "{name}: maps: version {} with {}; its status section is left out",
        cib.version(),
        count(number, "resource")
    ));
    if wishes.dry_run {
        return Ok(());
    }
    let mut backend = backend::open()?;
    let mut session = Session::begin(backend.as_mut())?;
    if !cib::config::Config::new(session.cib())
        .resources()
        .is_empty()
    {
        return Err(Failure {
            exit: Exit::Exists,
            text: format!("{name}: the cluster has resources already"),
            cure: Some(format!(
                "say `cibadmin --replace --xml-file {name}` to have them replaced"
            )),
        });
    }
    let mut work = session.cib().clone();
    let theirs = cib.section(cib::Section::Configuration).cloned();
    if let Some(theirs) = theirs {
        *work.section_mut(cib::Section::Configuration) = theirs;
    }
    session.replace(work);
    commit(&mut session, backend.as_mut(), console)
}

fn commit(
    session: &mut Session,
    backend: &mut dyn Backend,
    console: &mut Console,
) -> Result<(), Failure> {
    let changed = session.commit(backend, console, false)?;
    console.line(match changed {
        true => "taken over: see `crm configure show`",
        false => "nothing new in it",
    });
    Ok(())
}

/// Puts a file into its place, where there is none yet.
fn put(
    place: &Path,
    bytes: &[u8],
    mode: u32,
    wishes: &Wishes,
    console: &mut Console,
) -> Result<(), Failure> {
    let shown = place.display();
    let in_place = std::fs::read(place);
    if in_place.as_ref().is_ok_and(|there| there == bytes) {
        console.line(&format!("{shown} is the same already"));
        return Ok(());
    }
    if in_place.is_ok() {
        return Err(Failure {
            exit: Exit::Exists,
            text: format!("{shown} is there, and another one"),
            cure: Some("move it away if this one shall take its place".to_owned()),
        });
    }
    if wishes.dry_run {
        console.line(&format!("it would be written to {shown}"));
        return Ok(());
    }
    let failed = |e: std::io::Error| Failure::new(Exit::CantCreat, format!("{shown}: {e}"));
    if let Some(dir) = place.parent() {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    conf::replace_file(place, bytes, mode).map_err(failed)?;
    console.line(&format!("written to {shown}"));
    Ok(())
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

impl Wishes {
    const fn strictness(&self) -> Strictness {
        match self.lenient {
            true => Strictness::Lenient,
            false => Strictness::Strict,
        }
    }
}

/// Said where a file was refused.
const NOTHING_TAKEN: &str = "nothing of this file was taken over";
/// Longest file, in bytes.
const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// What can be imported.
const KNOWN: &str = "known are corosync.conf, a file named authkey, files of service.d, cib.xml, \
                     sysconfig files and keepalived.conf";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_what_is_in_them() {
        let kinds = [
            ("corosync.conf", "# x\ntotem {\n", Kind::Corosync),
            ("x", "nodelist{\n}\n", Kind::Corosync),
            ("k", "vrrp_instance a {\n}\n", Kind::Keepalived),
            (
                "pcmk",
                "service {\n name: pacemaker\n ver: 0\n}\n",
                Kind::ServiceFile,
            ),
            ("cib", "<cib/>", Kind::Cib),
            ("default", "# no\nSTART=yes\n", Kind::Sysconfig),
            ("authkey", "anything", Kind::Authkey),
            ("notes", "buy milk\n", Kind::Unknown),
        ];
        for (name, text, expected) in kinds {
            assert_eq!(kind(Path::new(name), Some(text)), expected, "{name}");
        }
        assert_eq!(kind(Path::new("x"), None), Kind::Unknown);
    }

    #[test]
    fn the_caret_stands_below_its_word() {
        assert_eq!(marked("\tmode: x", 2), "    \tmode: x\n    \t^");
        assert_eq!(marked("ab", 40), "    ab\n      ^");
    }
}
