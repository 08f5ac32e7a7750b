//! `crm report`, `pcs cluster report`: what somebody who helps from afar asks for, in one archive,
//! without secrets.

use super::backend::{self, Backend, ask};
use super::console::Console;
use super::exit::{Exit, Failure};
use super::tarball::Tarball;
use super::{crm, mainstay, private};
use crate::inputs;
use crate::ipc::{Request, Response};
use crate::paths::Paths;
use crate::view;
use cib::Element;
use std::path::{Path, PathBuf};

/// `crm_report`; `args` without its name.
#[must_use]
pub(super) fn main(args: &[String]) -> Exit {
    let mut console = Console::process();
    match run(args, &mut console) {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            console.err_line(&format!("crm_report: {failure}"));
            if let Some(cure) = &failure.cure {
                console.err_line(cure);
            }
            failure.exit
        }
    }
}

fn run(args: &[String], console: &mut Console) -> Result<(), Failure> {
    let asks = |names: [&str; 2]| args.iter().any(|arg| names.contains(&arg.as_str()));
    if asks(["-h", "--help"]) {
        console.line(USAGE);
        return Ok(());
    }
    if asks(["-v", "--version"]) {
        super::tool::version(console);
        return Ok(());
    }
    let (words, idle) = without_idle(args)?;
    for option in idle {
        console.err_line(&format!(
            "crm_report: {option} is without effect: this node alone is asked, and it knows where its log is"
        ));
    }
    let wanted = Wanted::read(&words, USAGE)?;
    let mut backend = backend::open()?;
    let path = write(backend.as_mut(), &wanted)?;
    console.line(&format!(
        "{} holds what this node knows, without secrets; the log and the decisions of another node lie there",
        path.display()
    ));
    Ok(())
}

/// The words that mean something, and the options of Pacemaker's script that do not.
fn without_idle(args: &[String]) -> Result<(Vec<String>, Vec<String>), Failure> {
    let (mut words, mut idle) = (Vec::new(), Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let name = arg.split('=').next().unwrap_or(arg);
        match name {
            "-M" | "-V" | "-C" | "--corosync" => {}
            "--dest" if name != arg => words.extend(arg.strip_prefix("--dest=").map(str::to_owned)),
            "--dest" => {}
            name if IDLE.contains(&name) => {
                idle.push(name.to_owned());
                if name == arg && args.next().is_none() {
                    return Err(Failure::usage(format!("{name} needs a value; {USAGE}")));
                }
            }
            _ => words.push(arg.clone()),
        }
    }
    Ok((words, idle))
}

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Nothing older; seconds since the epoch.
    pub(super) from: Option<i64>,
    /// Nothing newer.
    pub(super) to: Option<i64>,
    /// Where to, without `.tar.bz2`; a name with the time when not given.
    pub(super) destination: Option<String>,
}

impl Wanted {
    /// `[-f FROM] [-t TO] [DESTINATION]`, in crmsh's words and in pcs's.
    ///
    /// # Errors
    /// Anything else; the failure is `usage`.
    pub(super) fn read(words: &[String], usage: &str) -> Result<Self, Failure> {
        let mut wanted = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (flag, glued) = match word.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
                _ => (word.as_str(), None),
            };
            let mut time = || {
                let text = glued.clone().or_else(|| words.next().cloned());
                let at = text.as_deref().and_then(mainstay::point_in_time);
                at.map(Some).ok_or_else(|| {
                    Failure::usage(format!(
                        "{flag}: a time is expected, such as 2026-11-21T03:00; {usage}"
                    ))
                })
            };
            match flag {
                "-f" | "--from" => wanted.from = time()?,
                "-t" | "--to" => wanted.to = time()?,
                // Only this node is asked, and secrets are left out always.
                "-S" | "--single-node" | "-s" | "--sanitize" | "-Q" => {}
                other if other.starts_with('-') || wanted.destination.is_some() => {
                    return Err(Failure::usage(format!("`{other}`: {usage}")));
                }
                other => wanted.destination = Some(other.to_owned()),
            }
        }
        Ok(wanted)
    }

    fn has(&self, at: i64) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at <= to)
    }
}

/// Writes the archive; its name.
///
/// # Errors
/// It cannot be written, or is there already. What cannot be found out is named in it instead.
pub(super) fn write(backend: &mut dyn Backend, wanted: &Wanted) -> Result<PathBuf, Failure> {
    let now = backend::now_s();
    let (folder, path) = names(wanted, now);
    if path.exists() {
        return Err(Failure::new(
            Exit::Exists,
            format!("{} is there already: name another file", path.display()),
        ));
    }
    let failed =
        |e: std::io::Error| Failure::new(Exit::CantCreat, format!("{}: {e}", path.display()));
    let file = private::create(&path).map_err(failed)?;
    let mut tarball = Tarball::new(file, &folder, now);
    let mut missing = String::new();
    for (name, content) in contents(backend, wanted) {
        match content {
            Ok(bytes) => tarball.file(&name, &bytes).map_err(failed)?,
            Err(failure) => missing.push_str(&format!("{name}: {failure}\n")),
        }
    }
    tarball
        .file("missing.txt", missing.as_bytes())
        .and_then(|()| tarball.end())
        .and_then(|file| file.sync_all())
        .map_err(failed)?;
    Ok(path)
}

fn names(wanted: &Wanted, now: i64) -> (String, PathBuf) {
    let stamp = jiff::Timestamp::from_second(now).unwrap_or_default();
    let named = wanted.destination.clone();
    let name = named.unwrap_or_else(|| format!("report-{}", stamp.strftime("%Y%m%d-%H%M%S")));
    let name = name.strip_suffix(".tar.bz2").unwrap_or(&name);
    let folder = Path::new(name)
        .file_name()
        .map_or_else(|| "report".to_owned(), |n| n.to_string_lossy().into_owned());
    (folder, PathBuf::from(format!("{name}.tar.bz2")))
}

type Content = Result<Vec<u8>, Failure>;

/// Files of the archive by name.
fn contents(backend: &mut dyn Backend, wanted: &Wanted) -> Vec<(String, Content)> {
    let mut files: Vec<(String, Content)> = Vec::new();
    let status = backend::status(backend);
    let text = status.as_ref().map_err(Clone::clone).map(|s| {
        let options = view::text::Options {
            inactive: true,
            failcounts: true,
            operations: true,
            attributes: true,
            bans: true,
            ..view::text::Options::default()
        };
        let text = view::text::document(s, options) + &view::own::document(s);
        text.into_bytes()
    });
    files.push(("status.txt".to_owned(), text));
    let json = status.and_then(|s| {
        serde_json::to_vec_pretty(&s).map_err(|e| Failure::new(Exit::Error, e.to_string()))
    });
    files.push(("status.json".to_owned(), json));
    let cib = backend::cib(backend, true);
    let shown = cib.as_ref().map_err(Clone::clone).and_then(|cib| {
        let masked = masked(cib.root().clone());
        let masked = cib::Cib::from_element(masked)?;
        Ok(crm::configuration_text(&masked)?.into_bytes())
    });
    files.push(("configuration.txt".to_owned(), shown));
    let cib = cib.map(|cib| document(cib.root().clone()));
    files.push(("cib.xml".to_owned(), cib));
    files.push((
        "events.txt".to_owned(),
        crm::events_text(backend).map(String::into_bytes),
    ));
    files.push(("versions.txt".to_owned(), versions(backend)));
    files.extend(of_this_node());
    files.extend(decisions(wanted));
    files
}

fn document(root: Element) -> Vec<u8> {
    cib::xml::format(&masked(root)).into_bytes()
}

/// Who changed the configuration, when.
fn versions(backend: &mut dyn Backend) -> Content {
    let Response::Versions(versions) = ask(backend, &Request::Versions)? else {
        return Err(backend::unexpected());
    };
    let lines = versions.iter().map(|v| {
        let at = view::asctime(v.at);
        format!("{} {at} {} {} {}\n", v.number, v.user, v.client, v.origin)
    });
    Ok(lines.collect::<String>().into_bytes())
}

fn of_this_node() -> Vec<(String, Content)> {
    let paths = Paths::from_env();
    let read = |path: PathBuf| {
        std::fs::read_to_string(&path)
            .map_err(|e| Failure::new(Exit::NoInput, format!("{}: {e}", path.display())))
    };
    let conf = read(paths.corosync_conf()).map(|text| without_keys(&text).into_bytes());
    let (doctor, _) = mainstay::doctor_report();
    let kernel = nix::sys::utsname::uname().map(|u| {
        let (name, release) = (u.sysname().display(), u.release().display());
        let machine = u.machine().display();
        let version = env!("CARGO_PKG_VERSION");
        format!("mainstay {version}\n{name} {release} {machine}\n").into_bytes()
    });
    let kernel = kernel.map_err(|e| Failure::new(Exit::OsErr, e.to_string()));
    vec![
        ("corosync.conf".to_owned(), conf),
        ("doctor.txt".to_owned(), Ok(doctor.into_bytes())),
        ("system.txt".to_owned(), kernel),
        (
            "mainstay.log".to_owned(),
            crm::log_text().map(String::into_bytes),
        ),
    ]
}

/// What the DC decided from, the newest first, as many as are wanted.
fn decisions(wanted: &Wanted) -> Vec<(String, Content)> {
    let folder = Paths::from_env().inputs_dir();
    let kept = match inputs::list(&folder) {
        Ok(kept) => kept,
        Err(e) => {
            let failure = Failure::new(Exit::NoInput, format!("{}: {e}", folder.display()));
            return vec![("pengine".to_owned(), Err(failure))];
        }
    };
    let wanted = kept.iter().filter(|k| wanted.has(k.at));
    let files = wanted.take(DECISIONS_MAX).map(|kept| {
        let name = format!("pengine/{}-{}.xml", kept.series.name(), kept.number);
        let read = inputs::read(&kept.path).map(document);
        let path = kept.path.display();
        let content = read.map_err(|e| Failure::new(Exit::NoInput, format!("{path}: {e}")));
        (name, content)
    });
    files.collect()
}

/// Values of attributes whose names speak of secrets, and text that looks like them, give way to
/// stars.
fn masked(mut element: Element) -> Element {
    let secret = element.attr("name").is_some_and(is_secret);
    if secret && element.attr("value").is_some() {
        element.set("value", "******");
    }
    let children = std::mem::take(&mut element.children);
    element.children = children.into_iter().map(masked).collect();
    element
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRETS.iter().any(|word| name.contains(word))
}

/// corosync.conf may hold the key itself (`totem.key`).
fn without_keys(text: &str) -> String {
    let mask = |line: &str| match line.split_once(':') {
        Some((key, _)) if key.trim() == "key" || is_secret(key) => format!("{key}: ******\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(mask).collect()
}

/// Parts of names whose values nobody else should read.
const SECRETS: [&str; 5] = ["passw", "secret", "token_id", "community", "private_key"];
/// Options of Pacemaker's script that have a value, and nothing to say here.
const IDLE: [&str; 14] = [
    "-n",
    "--nodes",
    "-l",
    "--logfile",
    "-p",
    "-L",
    "-c",
    "--cluster",
    "-u",
    "--user",
    "-D",
    "--max-depth",
    "-e",
    "--rsh",
];
const USAGE: &str = "usage: crm_report [-f FROM] [-t TO] [DESTINATION]";
/// Most decisions of an archive.
const DECISIONS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_at_home() {
        let cib = r#"<cib><nvpair id="a" name="passwd" value="tiger"/><nvpair id="b" name="ip" value="10.0.0.1"/><x><nvpair id="c" name="Admin_Password" value="tiger"/></x></cib>"#;
        let text = String::from_utf8(document(cib::xml::parse(cib).unwrap())).unwrap();
        assert!(
            !text.contains("tiger") && text.contains("10.0.0.1"),
            "{text}"
        );
        let conf = "totem {\n    token: 500\n    key: abcdef\n}\n";
        assert_eq!(
            without_keys(conf),
            "totem {\n    token: 500\n    key: ******\n}\n"
        );
    }

    #[test]
    fn options_of_pacemakers_script_are_taken() {
        let args = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        let (words, idle) =
            without_idle(&args("-M -n a -f 2026-11-21 --logfile=/x -S --dest out")).unwrap();
        assert_eq!(words, ["-f", "2026-11-21", "-S", "out"]);
        assert_eq!(idle, ["-n", "--logfile"]);
        assert_eq!(without_idle(&args("--dest=out")).unwrap().0, ["out"]);
        assert_eq!(without_idle(&args("-n")).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn what_is_wanted() {
        let words =
            |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        let read = |text: &str| Wanted::read(&words(text), "usage");
        let wanted = read("-f 2026-11-21T03:00:00Z --to=2026-11-21T04:00:00Z /tmp/x").unwrap();
        assert!(wanted.has(1_795_230_000) && !wanted.has(1_795_233_601));
        assert_eq!(names(&wanted, 0).1, PathBuf::from("/tmp/x.tar.bz2"));
        assert_eq!(names(&wanted, 0).0, "x");
        let default = names(&Wanted::default(), 0);
        assert_eq!(default.0, "report-19700101-000000");
        for wrong in ["-f yesterday", "-f", "--nodes=a", "a b"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
