//! What the preloaded shim wrote down.

use std::path::{Path, PathBuf};

/// One successful call, in the order in which they happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Open {
        fd: i32,
        path: PathBuf,
        flags: i32,
    },
    Write {
        fd: i32,
        at: usize,
        data: Vec<u8>,
    },
    Truncate {
        fd: i32,
        len: usize,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Unlink {
        path: PathBuf,
    },
    Mkdir {
        path: PathBuf,
    },
    /// fsync(2) or fdatasync(2).
    Sync {
        fd: i32,
    },
    /// sync_file_range(2).
    Range {
        fd: i32,
        at: usize,
        len: usize,
    },
    /// The process said that this many commits are on disk.
    Ack {
        commits: u64,
    },
}

impl Event {
    /// The same in a directory of another name.
    pub(crate) fn moved(mut self, from: &Path, to: &Path) -> Self {
        let rename = |path: &mut PathBuf| {
            if let Ok(rest) = path.strip_prefix(from) {
                *path = to.join(rest);
            }
        };
        match &mut self {
            Self::Open { path, .. } | Self::Unlink { path } | Self::Mkdir { path } => rename(path),
            Self::Rename { from, to } => {
                rename(from);
                rename(to);
            }
            _ => {}
        }
        self
    }
}

/// What was done to the engine's file, in order. A descriptor is the file's from where it is opened
/// until its number stands for another one.
pub(crate) fn of_engine(events: &[Event]) -> impl Iterator<Item = &Event> {
    let mut engine = Vec::new();
    events.iter().filter(move |event| match event {
        Event::Open { fd, path, .. } => {
            engine.retain(|known| known != fd);
            let opened = path.ends_with("db/db");
            engine.extend(opened.then_some(*fd));
            opened
        }
        Event::Write { fd, .. }
        | Event::Truncate { fd, .. }
        | Event::Sync { fd }
        | Event::Range { fd, .. } => engine.contains(fd),
        _ => false,
    })
}

/// Reads a record written by `shim.c`; other output of the process is left out.
pub(crate) fn parse(mut bytes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let op = take(&mut bytes, 1)[0];
        let fd = i32::from_ne_bytes(take(&mut bytes, 4).try_into().expect("4 bytes"));
        let a = u64::from_ne_bytes(take(&mut bytes, 8).try_into().expect("8 bytes")) as usize;
        let b = u64::from_ne_bytes(take(&mut bytes, 8).try_into().expect("8 bytes")) as usize;
        let text = counted(&mut bytes);
        let data = counted(&mut bytes);
        let path = PathBuf::from(String::from_utf8(text).expect("paths are UTF-8"));
        let event = match op {
            1 => Event::Open {
                fd,
                path,
                flags: a as i32,
            },
            2 => Event::Write { fd, at: a, data },
            3 => Event::Truncate { fd, len: a },
            4 => Event::Rename {
                from: path,
                to: PathBuf::from(String::from_utf8(data).expect("paths are UTF-8")),
            },
            5 => Event::Unlink { path },
            6 => Event::Mkdir { path },
            7 => Event::Sync { fd },
            8 => Event::Range { fd, at: a, len: b },
            9 => match ack(&String::from_utf8_lossy(&data)) {
                Some(commits) => Event::Ack { commits },
                None => continue,
            },
            other => panic!("unknown op {other} in the record"),
        };
        events.push(event);
    }
    events
}

/// The number in a line `ack N`.
pub(crate) fn ack(text: &str) -> Option<u64> {
    let words = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("ack "));
    words.and_then(|number| number.trim().parse().ok())
}

fn counted(bytes: &mut &[u8]) -> Vec<u8> {
    let len = u32::from_ne_bytes(take(bytes, 4).try_into().expect("4 bytes"));
    take(bytes, len as usize).to_vec()
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(len);
    *bytes = rest;
    taken
}
