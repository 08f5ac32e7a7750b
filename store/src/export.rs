//! A store as text: one JSON object per line, for backup, for a look inside, for moving on from a
//! broken engine. Format: `DESIGN.md`, "Export".

use std::io::{BufRead, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::chunks::{Stage, read_range, read_single};
use crate::engine::ENGINE_DIR;
use crate::envelope::Kind;
use crate::error::{OpenError, StoreError};
use crate::mirror::{self, Mirror, MirrorState, hex};
use crate::recover::in_use;
use crate::{Batch, CibVersion, Op, OpenOptions, Store};

/// What was exported or imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportSummary {
    /// Log records.
    pub records: u64,
    /// CIB versions.
    pub versions: u64,
    /// Last entry in the snapshot; 0 without one.
    pub snapshot: u64,
}

/// One line of an export.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// First.
    Export {
        format: String,
        uuid: String,
    },
    Safety {
        hex: String,
    },
    CommitHint {
        seq: u64,
    },
    Snapshot {
        seq: u64,
        hex: String,
    },
    Log {
        seq: u64,
        hex: String,
    },
    Version(CibVersion),
    Mirror {
        seq: u64,
        xml: String,
    },
    /// Last: lines before it, so that half an export is never taken for a whole one.
    End {
        lines: usize,
    },
}

impl Store {
    /// Writes everything as text, after [`Store::settle`].
    ///
    /// # Errors
    /// Writing or reading failed, or a value is damaged; otherwise as [`Store::settle`].
    pub fn export(&mut self, out: &mut dyn Write) -> Result<ExportSummary, StoreError> {
        self.settle()?;
        let mut writer = Writer { out, lines: 0 };
        let mut summary = ExportSummary::default();
        let single = |kind| read_single(&self.db, kind);
        let uuid = single(Kind::Format)?.map_or_else(Vec::new, |(_, uuid)| uuid);
        writer.line(&Line::Export {
            format: EXPORT_FORMAT.to_owned(),
            uuid: String::from_utf8_lossy(&uuid).into_owned(),
        })?;
        if let Some((_, safety)) = single(Kind::Safety)? {
            let hex = hex(&safety);
            writer.line(&Line::Safety { hex })?;
        }
        if let Some((seq, _)) = single(Kind::Hint)? {
            writer.line(&Line::CommitHint { seq })?;
        }
        for (seq, state) in read_range(&self.db, Kind::Snapshot, 0, u64::MAX)? {
            let hex = hex(&state?);
            writer.line(&Line::Snapshot { seq, hex })?;
            summary.snapshot = seq;
        }
        for (seq, record) in read_range(&self.db, Kind::Log, 0, u64::MAX)? {
            let hex = hex(&record?);
            writer.line(&Line::Log { seq, hex })?;
            summary.records += 1;
        }
        for info in self.versions()? {
            if let Some(version) = self.version(info.seq)? {
                writer.line(&Line::Version(version))?;
                summary.versions += 1;
            }
        }
        if let MirrorState::Valid(Mirror { seq, xml }) = mirror::read(&self.dir) {
            writer.line(&Line::Mirror { seq, xml })?;
        }
        let lines = writer.lines;
        writer.line(&Line::End { lines })?;
        Ok(summary)
    }
}

/// Writes everything of the store in `dir` as text, while no daemon has it.
///
/// # Errors
/// The store is in use or does not open; otherwise as [`Store::export`].
pub fn export(dir: &Path, out: &mut dyn Write) -> Result<ExportSummary, OpenError> {
    let mut opened = Store::open(dir, &OpenOptions::default())?;
    Ok(opened.store.export(out)?)
}

/// Makes a new store in `dir` from an export. It comes up as [`crate::Health::StillRecovering`]:
/// whatever was promised after the export is not in it.
///
/// # Errors
/// A store is there already, the export is damaged or incomplete, or writing failed.
pub fn import(dir: &Path, input: &mut dyn BufRead) -> Result<ExportSummary, OpenError> {
    let lines = parse(input)?;
    if in_use(dir)? {
        let dir = dir.to_owned();
        return Err(OpenError::Exists { dir });
    }
    let mut store = Store::open(dir, &OpenOptions::default())?.store;
    store.degrade("imported from an export")?;
    let mut summary = ExportSummary::default();
    for (number, line) in lines {
        let bytes = |hex: &str| unhex(hex).ok_or_else(|| bad(number, "not hexadecimal"));
        let op = match line {
            Line::Export { .. } | Line::End { .. } => continue,
            Line::Safety { hex } => Op::Safety(bytes(&hex)?),
            Line::CommitHint { seq } => Op::CommitHint { seq },
            Line::Snapshot { seq, hex } => {
                summary.snapshot = seq;
                let state = bytes(&hex)?;
                Op::Snapshot { seq, state }
            }
            Line::Log { seq, hex } => {
                summary.records += 1;
                let record = bytes(&hex)?;
                Op::AppendLog { seq, record }
            }
            Line::Version(version) => {
                summary.versions += 1;
                Op::CibVersion(version)
            }
            Line::Mirror { seq, xml } => {
                store.mirror(&Mirror { seq, xml })?;
                continue;
            }
        };
        let result = store.commit(&Batch { ops: vec![op] });
        result.map_err(|error| match error {
            StoreError::Refused { cause } => bad(number, &cause),
            other => other.into(),
        })?;
    }
    Ok(summary)
}

/// Reads and checks the whole text before anything is made of it.
fn parse(input: &mut dyn BufRead) -> Result<Vec<(usize, Line)>, OpenError> {
    let mut lines = Vec::new();
    for (number, text) in (1..).zip(input.lines()) {
        let text = text.map_err(|e| bad(number, &e.to_string()))?;
        let line: Line = serde_json::from_str(&text).map_err(|e| bad(number, &e.to_string()))?;
        match (&line, number) {
            (Line::Export { format, .. }, 1) if format == EXPORT_FORMAT => {}
            (_, 1) => {
                return Err(bad(
                    1,
                    &format!("not an export of format {EXPORT_FORMAT:?}"),
                ));
            }
            _ => {}
        }
        lines.push((number, line));
    }
    match lines.last() {
        Some((number, Line::End { lines })) if *lines + 1 == *number => {}
        Some((number, _)) => return Err(bad(*number, "the end is missing")),
        None => return Err(bad(1, "empty")),
    }
    Ok(lines)
}

impl Store {
    /// Marks the store as not to vote with until [`Op::Healed`].
    fn degrade(&mut self, cause: &str) -> Result<(), StoreError> {
        let mut stage = Stage::new(&self.db);
        stage.put_single(Kind::Degraded, 0, cause.as_bytes());
        let engine = |e| StoreError::engine("writing", Path::new(ENGINE_DIR), e);
        self.db.apply_batch(stage.into_batch()).map_err(engine)?;
        self.commit(&Batch::default())
    }
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    lines: usize,
}

impl Writer<'_> {
    fn line(&mut self, line: &Line) -> Result<(), StoreError> {
        let mut bytes = serde_json::to_vec(line).map_err(std::io::Error::other);
        if let Ok(bytes) = &mut bytes {
            bytes.push(b'\n');
        }
        bytes
            .and_then(|bytes| self.out.write_all(&bytes))
            .map_err(|e| StoreError::io("writing", Path::new("export"), e))?;
        self.lines += 1;
        Ok(())
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    let pairs = (0..text.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

fn bad(line: usize, cause: &str) -> OpenError {
    OpenError::Export {
        line,
        cause: cause.to_owned(),
    }
}

const EXPORT_FORMAT: &str = "mainstay-store-export 1";
