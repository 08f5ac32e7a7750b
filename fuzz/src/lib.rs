//! Every byte that comes from outside `wire`, `membership`, `store` and `scheduler`, as targets:
//! functions from bytes that return if all is well and panic otherwise. `scripts/fuzz TARGET SECONDS`
//! looks for inputs that reach new code and keeps them in `corpus/TARGET.hex`, one per line; `cargo
//! test -p fuzz` runs what is kept.

mod core;
mod decision;
mod disk;
mod sealed;
mod seed;

pub use seed::seeds;
use std::path::{Path, PathBuf};

/// A target: its name, and what is done with the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("datagram", sealed::datagram),
    ("handshake", sealed::handshake),
    ("stream_handshake", sealed::stream_handshake),
    ("stream", sealed::stream),
    ("message", core::message),
    ("core", core::inputs),
    ("log", core::log),
    ("snapshot", core::snapshot),
    ("slot", disk::slot),
    ("import", disk::import),
    ("schedule", decision::schedule),
];

/// The target of that name.
pub fn target(name: &str) -> Option<fn(&[u8])> {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.map(|(_, run)| *run)
}

/// Where the kept inputs of a target lie.
pub fn corpus_file(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    dir.join(format!("{name}.hex"))
}

/// The kept inputs, one per line in hexadecimal.
///
/// # Errors
/// The file cannot be read, or a line is not hexadecimal.
pub fn corpus(name: &str) -> Result<Vec<Vec<u8>>, String> {
    let path = corpus_file(name);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let lines = text.lines().enumerate();
    lines
        .map(|(number, line)| {
            unhex(line).ok_or_else(|| format!("{}:{}: not hexadecimal", path.display(), number + 1))
        })
        .collect()
}

/// Bytes as a line of a corpus.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(line: &str) -> Option<Vec<u8>> {
    let digits = line.as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    let byte = |pair: &[u8; 2]| {
        let text = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(text, 16).ok()
    };
    rest.is_empty().then_some(())?;
    pairs.iter().map(byte).collect()
}

/// Takes an input apart: what a fuzzer varies decides what is done, and with which bytes.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Two bytes, little end first; zeros where there are none.
    pub(crate) fn number(&mut self) -> usize {
        let [low, high] = [self.byte(), self.byte()].map(|b| usize::from(b.unwrap_or(0)));
        low | high << 8
    }

    /// As many bytes as a length before them says, or as there are.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = self.number().min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }
}
