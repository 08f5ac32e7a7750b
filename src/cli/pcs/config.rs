//! `pcs config`: everything that is configured, on one page.

use super::level::{Level, also, misused, refused, verb};
use super::resource::{defaults, show};
use super::{Context, alert, constraint, property, quorum, stonith, tag};
use crate::cli::exit::{Exit, Failure};
use crate::cli::tarball::Tarball;
use crate::cli::{backend, private};
use crate::paths::Paths;
use cib::config::Config;
use cib::{Cib, Section};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};

pub(super) const LEVEL: Level = Level {
    path: "pcs config",
    alone: Some("config"),
    rest: None,
    verbs: &[
        verb("config", "", &["file"], config),
        also("show", "config"),
        verb("backup", "[FILE]", &["force"], backup),
        refused(
            "restore",
            "unpack the backup with `tar -xjf FILE`; `pcs cluster cib-push backup/cib.xml --force` brings the configuration back, corosync.conf and authkey are copied to /etc/corosync",
        ),
        refused(
            "checkpoint",
            "`mainstay history` lists the kept versions, `mainstay history show N --xml` prints one, `pcs cluster cib-push` brings it back",
        ),
    ],
};

fn config(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(misused());
    }
    let cib = cx.cib()?;
    let mut text = String::new();
    if cx.backend.live() {
        let status = crate::cli::backend::status(cx.backend)?;
        let _ = writeln!(text, "Cluster Name: {}", status.cluster_name);
        let names: Vec<&str> = status.peers.iter().map(|p| p.name.as_str()).collect();
        let _ = writeln!(text, "Corosync Nodes:\n {}", names.join(" "));
    } else {
        let name = Config::new(&cib)
            .property("cluster-name")
            .unwrap_or_default();
        let _ = writeln!(text, "Cluster Name: {name}");
    }
    text.push_str(&body(&cib));
    if let Ok(options) = quorum::options(cx)
        && cx.backend.live()
    {
        text.push_str("\nQuorum:\n");
        for line in quorum::text(&options).lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    cx.console.print(&text);
    Ok(())
}

/// `backup [FILE]`: the configuration and this node's files in an archive; without a name, to
/// standard output.
fn backup(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let path = match words {
        [] => None,
        [path] if path.ends_with(".tar.bz2") => Some(path.clone()),
        [path] => Some(format!("{path}.tar.bz2")),
        _ => return Err(misused()),
    };
    let cib = cx.cib()?;
    let packed = archive(&cib, &files(&cx.paths)?)
        .map_err(|e| Failure::new(Exit::IoErr, format!("the backup: {e}")))?;
    let Some(path) = path else {
        if std::io::stdout().is_terminal() {
            return Err(Failure::usage(
                "an archive is nothing to look at: name a file, or pipe it somewhere",
            ));
        }
        let written = std::io::stdout().lock().write_all(&packed);
        return written.map_err(|e| Failure::new(Exit::IoErr, e.to_string()));
    };
    if cx.flags.force() && std::path::Path::new(&path).exists() {
        std::fs::remove_file(&path).map_err(|e| failed(&path, &e))?;
    }
    let written = private::create(path.as_ref()).and_then(|mut file| file.write_all(&packed));
    written.map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::new(
            Exit::CantCreat,
            format!("{path} already exists, use --force to overwrite"),
        ),
        _ => failed(&path, &e),
    })?;
    cx.note(&format!(
        "{path} holds the configuration, corosync.conf and the authkey: keep it where only you can read it"
    ));
    Ok(())
}

fn failed(path: &str, error: &std::io::Error) -> Failure {
    Failure::new(Exit::CantCreat, format!("{path}: {error}"))
}

/// The files of this node; those that there are not are left out.
fn files(paths: &Paths) -> Result<Vec<(&'static str, Vec<u8>)>, Failure> {
    let mut found = Vec::new();
    for (name, path) in [
        ("corosync.conf", paths.corosync_conf()),
        ("authkey", paths.authkey()),
    ] {
        match std::fs::read(&path) {
            Ok(bytes) => found.push((name, bytes)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => {
                return Err(Failure::new(
                    Exit::NoInput,
                    format!("{}: {e}", path.display()),
                ));
            }
        }
    }
    Ok(found)
}

fn archive(cib: &Cib, files: &[(&str, Vec<u8>)]) -> std::io::Result<Vec<u8>> {
    let mut tarball = Tarball::new(Vec::new(), "backup", backend::now_s());
    tarball.file("cib.xml", cib.to_xml().as_bytes())?;
    for (name, bytes) in files {
        tarball.file(name, bytes)?;
    }
    tarball.end()
}

/// What the CIB holds.
fn body(cib: &Cib) -> String {
    let names: Vec<&str> = Config::new(cib).nodes().iter().map(|n| n.uname).collect();
    let mut text = format!("Pacemaker Nodes:\n {}\n", names.join(" "));
    let of = |fencing| show::chosen(cib, &[], fencing).unwrap_or_default();
    let _ = write!(text, "\nResources:\n{}", show::text(&of(false), 2));
    let _ = write!(text, "\nStonith Devices:\n{}", show::text(&of(true), 2));
    let _ = write!(text, "Fencing Levels:\n{}", stonith::levels_text(cib, 2));
    let _ = write!(text, "\n{}", constraint::text(cib, true));
    let _ = write!(text, "\n{}", alert::text(cib));
    let _ = write!(
        text,
        "\nResources Defaults:\n{}Operations Defaults:\n{}",
        defaults::text(cib, Section::RscDefaults, 2),
        defaults::text(cib, Section::OpDefaults, 2)
    );
    let _ = write!(text, "\n{}", property::text(cib, &[]));
    let tags = tag::text(cib, &[], 1);
    let tags = if tags.is_empty() {
        " No tags defined\n"
    } else {
        &tags
    };
    let _ = write!(text, "\nTags:\n{tags}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_backup_holds_the_configuration_and_the_files() {
        let cib = Cib::empty();
        let packed = archive(&cib, &[("corosync.conf", b"totem {}".to_vec())]).unwrap();
        let mut plain = String::new();
        bzip2::read::BzDecoder::new(packed.as_slice())
            .read_to_string(&mut plain)
            .unwrap();
        for part in [
            "backup/cib.xml",
            &cib.to_xml(),
            "backup/corosync.conf",
            "totem {}",
        ] {
            assert!(plain.contains(part), "{part}");
        }
    }
}
