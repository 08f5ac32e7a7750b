//! `cib.xml` and `cib.xml.sig`: the CIB once more, outside the engine, readable by a person (S9).
//!
//! The `.sig` is written and made durable first and names two contents, the new one and the one
//! before, so that a crash between the two renames leaves a pair that still matches. It guards
//! against damage and half-copied files; it is a digest, not a signature against an attacker.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::barrier::{replace_file, sync_dir};
use crate::error::StoreError;

/// The mirrored CIB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirror {
    /// Log entry it includes.
    pub seq: u64,
    /// The CIB.
    pub xml: String,
}

/// What lies in the mirror's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MirrorState {
    Absent,
    Valid(Mirror),
    /// Present but not what the digest file says.
    Damaged(String),
}

/// Replaces the mirror; durable on return.
pub(crate) fn write(dir: &Path, mirror: &Mirror) -> Result<(), StoreError> {
    let mut sig = format!("{SIG_NAME}\n{}", Line::of(mirror).format());
    if let MirrorState::Valid(before) = read(dir) {
        if before == *mirror {
            return Ok(());
        }
        sig += &Line::of(&before).format();
    }
    // Without the directory sync between them the disk could keep the second rename alone.
    replace_file(&dir.join(SIG_FILE), sig.as_bytes())?;
    sync_dir(dir)?;
    replace_file(&dir.join(MIRROR_FILE), mirror.xml.as_bytes())?;
    sync_dir(dir)
}

/// Reads and checks the mirror.
pub(crate) fn read(dir: &Path) -> MirrorState {
    match (
        fs::read(dir.join(MIRROR_FILE)),
        fs::read(dir.join(SIG_FILE)),
    ) {
        (Ok(xml), Ok(sig)) => check(xml, &String::from_utf8_lossy(&sig)),
        // The digest file alone is what a crash during the very first write leaves.
        (Err(error), _) if error.kind() == std::io::ErrorKind::NotFound => MirrorState::Absent,
        (Err(error), _) => MirrorState::Damaged(format!("{MIRROR_FILE}: {error}")),
        (_, Err(error)) => MirrorState::Damaged(format!("{SIG_FILE}: {error}")),
    }
}

fn check(xml: Vec<u8>, sig: &str) -> MirrorState {
    let mut lines = sig.lines();
    if lines.next() != Some(SIG_NAME) {
        return MirrorState::Damaged(format!("{SIG_FILE}: first line is not {SIG_NAME:?}"));
    }
    let digest = hex(&Sha256::digest(&xml));
    let seq = lines.filter_map(Line::parse).find_map(|line| {
        (line.digest == digest && line.bytes == xml.len() as u64).then_some(line.seq)
    });
    match (seq, String::from_utf8(xml)) {
        (Some(seq), Ok(xml)) => MirrorState::Valid(Mirror { seq, xml }),
        (None, _) => MirrorState::Damaged(format!(
            "{MIRROR_FILE} does not match {SIG_FILE}: edited by hand or damaged"
        )),
        (_, Err(error)) => MirrorState::Damaged(format!("{MIRROR_FILE}: {error}")),
    }
}

/// One content in the digest file: `sha256 DIGEST bytes LENGTH seq NUMBER`.
struct Line {
    digest: String,
    bytes: u64,
    seq: u64,
}

impl Line {
    fn of(mirror: &Mirror) -> Self {
        Self {
            digest: hex(&Sha256::digest(mirror.xml.as_bytes())),
            bytes: mirror.xml.len() as u64,
            seq: mirror.seq,
        }
    }

    fn format(&self) -> String {
        format!(
            "sha256 {} bytes {} seq {}\n",
            self.digest, self.bytes, self.seq
        )
    }

    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let ["sha256", digest, "bytes", bytes, "seq", seq] = words[..] else {
            return None;
        };
        Some(Self {
            digest: digest.to_owned(),
            bytes: bytes.parse().ok()?,
            seq: seq.parse().ok()?,
        })
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
    }
    text
}

/// Name of the mirrored CIB in the directory of a store, as Pacemaker names its own.
pub const MIRROR_FILE: &str = "cib.xml";

/// Name of the digest file.
pub(crate) const SIG_FILE: &str = "cib.xml.sig";

const SIG_NAME: &str = "mainstay-cib-digest 1";

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(seq: u64) -> Mirror {
        Mirror {
            seq,
            xml: format!("<cib epoch=\"{seq}\"/>\n"),
        }
    }

    #[test]
    fn survives_a_crash_between_the_renames() {
        let dir = tempfile::tempdir().expect("directory");
        let dir = dir.path();
        assert_eq!(read(dir), MirrorState::Absent);
        write(dir, &mirror(1)).expect("write");
        let old_xml = fs::read(dir.join(MIRROR_FILE)).expect("read");
        write(dir, &mirror(2)).expect("write");
        assert_eq!(read(dir), MirrorState::Valid(mirror(2)));
        fs::write(dir.join(MIRROR_FILE), old_xml).expect("write");
        assert_eq!(read(dir), MirrorState::Valid(mirror(1)));
        write(dir, &mirror(3)).expect("write");
        assert_eq!(read(dir), MirrorState::Valid(mirror(3)));
    }

    #[test]
    fn an_edited_file_is_refused() {
        let dir = tempfile::tempdir().expect("directory");
        write(dir.path(), &mirror(1)).expect("write");
        fs::write(dir.path().join(MIRROR_FILE), "<cib epoch=\"9\"/>\n").expect("write");
        assert!(matches!(read(dir.path()), MirrorState::Damaged(_)));
        fs::remove_file(dir.path().join(SIG_FILE)).expect("remove");
        assert!(matches!(read(dir.path()), MirrorState::Damaged(_)));
    }
}
