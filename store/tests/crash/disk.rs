//! Disks that lose power: which of the recorded calls are certain to be on them, which may be.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::random::Random;
use crate::record::Event;

/// What a disk promises before fsync(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Model {
    /// As ext4 with a disk without cache mostly behaves: sync_file_range(2) keeps what it names,
    /// any fsync(2) keeps every earlier change of names.
    Lenient,
    /// As the manual pages say: sync_file_range(2) keeps data, never a new size; names are kept by
    /// fsync(2) of their directory alone.
    ManualPage,
    /// A disk with a cache that only fsync(2) flushes.
    Volatile,
}

/// What happens to the calls that are not certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// All lost.
    None,
    /// The first ones are kept.
    Prefix,
    /// The first ones are lost, the later kept.
    Suffix,
    /// Any of them is kept, writes sector by sector.
    Torn,
    /// Everything written is kept, no name: the other way round than they were asked for.
    DataFirst,
    /// All kept.
    All,
}

pub(crate) const MODELS: [Model; 3] = [Model::Lenient, Model::ManualPage, Model::Volatile];
pub(crate) const FATES: [Fate; 6] = [
    Fate::None,
    Fate::Prefix,
    Fate::Suffix,
    Fate::Torn,
    Fate::DataFirst,
    Fate::All,
];

/// One change of the disk.
#[derive(Clone, Debug)]
struct Change {
    what: What,
    kept: Kept,
}

#[derive(Clone, Debug)]
enum What {
    Write {
        inode: usize,
        at: usize,
        data: Vec<u8>,
    },
    Truncate {
        inode: usize,
        len: usize,
    },
    /// Directory, name, new meaning: all of them or none.
    Names(Vec<(usize, String, Option<usize>)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Maybe,
    /// The bytes are on the disk, the size may not be.
    DataOnly,
    Surely,
}

#[derive(Clone, Debug)]
enum Inode {
    /// What was written, and the length: the rest is a hole.
    File(Vec<u8>, usize),
    Dir(BTreeMap<String, usize>),
}

/// A directory tree, and what was done to it since it was last certain.
pub(crate) struct Disk {
    model: Model,
    root: PathBuf,
    /// The tree at the beginning, all of it certain; later inodes start empty.
    base: Vec<Inode>,
    changes: Vec<Change>,
    /// The tree as the process sees it.
    view: BTreeMap<PathBuf, usize>,
    sizes: Vec<usize>,
    /// Inode, O_DSYNC.
    fds: BTreeMap<i32, (usize, bool)>,
}

impl Disk {
    /// A disk that holds what lies below `root` (paths in events start with `named`).
    pub(crate) fn load(model: Model, root: &Path, named: &Path) -> Self {
        let mut disk = Self {
            model,
            root: named.to_owned(),
            base: Vec::new(),
            changes: Vec::new(),
            view: BTreeMap::new(),
            sizes: Vec::new(),
            fds: BTreeMap::new(),
        };
        disk.load_dir(root, named.to_owned());
        disk
    }

    fn load_dir(&mut self, from: &Path, named: PathBuf) -> usize {
        let dir = self.add(Inode::Dir(BTreeMap::new()));
        self.view.insert(named.clone(), dir);
        let mut entries = BTreeMap::new();
        for entry in fs::read_dir(from).into_iter().flatten() {
            let entry = entry.expect("readable directory");
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = named.join(&name);
            let inode = if entry.path().is_dir() {
                self.load_dir(&entry.path(), path)
            } else {
                let content = fs::read(entry.path()).expect("readable file");
                let len = content.len();
                let inode = self.add(Inode::File(content, len));
                self.view.insert(path, inode);
                inode
            };
            entries.insert(name, inode);
        }
        self.base[dir] = Inode::Dir(entries);
        dir
    }

    fn add(&mut self, inode: Inode) -> usize {
        self.sizes.push(match &inode {
            Inode::File(_, len) => *len,
            Inode::Dir(_) => 0,
        });
        self.base.push(inode);
        self.base.len() - 1
    }

    /// Carries out one event; `done` is false for the one the power cut interrupts.
    pub(crate) fn apply(&mut self, event: &Event, done: bool) {
        match event {
            Event::Open { fd, path, flags } => self.open(*fd, path, *flags),
            Event::Write { fd, at, data } => {
                let (inode, dsync) = self.fds[fd];
                let extends = at + data.len() > self.sizes[inode];
                self.sizes[inode] = self.sizes[inode].max(at + data.len());
                let (at, data) = (*at, data.clone());
                self.change(What::Write { inode, at, data });
                if dsync && done {
                    assert!(!extends, "slots are written in place");
                    self.sync(inode);
                }
            }
            Event::Truncate { fd, len } => {
                let (inode, _) = self.fds[fd];
                self.sizes[inode] = *len;
                self.change(What::Truncate { inode, len: *len });
            }
            Event::Rename { from, to } => self.rename(from, to),
            Event::Unlink { path } => {
                self.view.remove(path);
                let (dir, name) = self.place(path);
                self.change(What::Names(vec![(dir, name, None)]));
            }
            Event::Mkdir { path } => {
                let inode = self.add(Inode::Dir(BTreeMap::new()));
                self.view.insert(path.clone(), inode);
                if *path != self.root {
                    let (dir, name) = self.place(path);
                    self.change(What::Names(vec![(dir, name, Some(inode))]));
                }
            }
            Event::Sync { fd } if done => self.sync(self.fds[fd].0),
            Event::Range { fd, at, len } if done => self.range(self.fds[fd].0, *at, *len),
            Event::Sync { .. } | Event::Range { .. } | Event::Ack { .. } => {}
        }
    }

    fn open(&mut self, fd: i32, path: &Path, flags: i32) {
        let inode = match self.view.get(path) {
            Some(inode) => {
                if flags & nix::libc::O_TRUNC != 0 {
                    self.sizes[*inode] = 0;
                    self.change(What::Truncate {
                        inode: *inode,
                        len: 0,
                    });
                }
                self.view[path]
            }
            None => {
                assert!(
                    flags & nix::libc::O_CREAT != 0,
                    "{} appeared",
                    path.display()
                );
                let inode = self.add(Inode::File(Vec::new(), 0));
                self.view.insert(path.to_owned(), inode);
                let (dir, name) = self.place(path);
                self.change(What::Names(vec![(dir, name, Some(inode))]));
                inode
            }
        };
        self.fds
            .insert(fd, (inode, flags & nix::libc::O_DSYNC != 0));
    }

    fn rename(&mut self, from: &Path, to: &Path) {
        let inode = self.view[from];
        let below: Vec<PathBuf> = self
            .view
            .keys()
            .filter(|p| p.starts_with(from))
            .cloned()
            .collect();
        for path in below {
            let moved = self.view.remove(&path).expect("listed");
            let rest = path.strip_prefix(from).expect("below");
            let target = if rest.as_os_str().is_empty() {
                to.to_owned()
            } else {
                to.join(rest)
            };
            self.view.insert(target, moved);
        }
        let (from_dir, from_name) = self.place(from);
        let (to_dir, to_name) = self.place(to);
        self.change(What::Names(vec![
            (from_dir, from_name, None),
            (to_dir, to_name, Some(inode)),
        ]));
    }

    fn place(&self, path: &Path) -> (usize, String) {
        let dir = path.parent().expect("below the root");
        let name = path.file_name().expect("has a name");
        (self.view[dir], name.to_string_lossy().into_owned())
    }

    fn change(&mut self, what: What) {
        self.changes.push(Change {
            what,
            kept: Kept::Maybe,
        });
    }

    fn sync(&mut self, synced: usize) {
        let lenient = self.model == Model::Lenient;
        for change in &mut self.changes {
            let covered = match &change.what {
                What::Write { inode, .. } | What::Truncate { inode, .. } => *inode == synced,
                What::Names(names) => {
                    let own = |name: &str, inode: &Option<usize>| {
                        *inode == Some(synced) && name.ends_with(ENGINES_OWN)
                    };
                    lenient
                        || names
                            .iter()
                            .any(|(dir, name, inode)| *dir == synced || own(name, inode))
                }
            };
            if covered {
                change.kept = Kept::Surely;
            }
        }
    }

    fn range(&mut self, synced: usize, from: usize, len: usize) {
        let kept = match self.model {
            Model::Lenient => Kept::Surely,
            Model::ManualPage => Kept::DataOnly,
            Model::Volatile => return,
        };
        // Length 0 means to the end of the file.
        let to = if len == 0 { usize::MAX } else { from + len };
        for change in &mut self.changes {
            if let What::Write { inode, at, data } = &change.what
                && (*inode, change.kept) == (synced, Kept::Maybe)
                && (from..to).contains(at)
                && at + data.len() <= to
            {
                change.kept = kept;
            }
        }
    }

    /// Writes one tree the power cut may leave to `target`, an empty directory.
    pub(crate) fn cut(&self, fate: Fate, random: &mut Random, target: &Path) {
        let maybe = self
            .changes
            .iter()
            .filter(|c| c.kept == Kept::Maybe)
            .count();
        let prefix = random.below(maybe + 1);
        let mut tree = self.base.clone();
        let mut seen = 0;
        for change in &self.changes {
            let kept = match change.kept {
                Kept::Maybe => {
                    seen += 1;
                    match fate {
                        Fate::None => continue,
                        Fate::All => Kept::Surely,
                        Fate::DataFirst if matches!(change.what, What::Names(_)) => continue,
                        Fate::DataFirst => Kept::Surely,
                        Fate::Suffix if seen > prefix => Kept::Surely,
                        Fate::Suffix => continue,
                        Fate::Prefix if seen <= prefix => Kept::Surely,
                        Fate::Prefix => continue,
                        Fate::Torn => {
                            self.tear(&mut tree, change, random, seen <= prefix);
                            continue;
                        }
                    }
                }
                kept => kept,
            };
            apply(&mut tree, &change.what, kept == Kept::Surely);
        }
        store_dir(&tree, self.view[&self.root], target);
    }

    fn tear(&self, tree: &mut [Inode], change: &Change, random: &mut Random, early: bool) {
        match &change.what {
            What::Write { inode, at, data } => {
                if random.below(3) == 0 {
                    return;
                }
                let whole = random.below(2) == 0;
                let mut from = 0;
                while from < data.len() {
                    let sector_end = (at + from) / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES;
                    let to = data.len().min(sector_end - at);
                    if whole || random.below(2) == 0 {
                        let part = What::Write {
                            inode: *inode,
                            at: at + from,
                            data: data[from..to].to_vec(),
                        };
                        apply(tree, &part, true);
                    }
                    from = to;
                }
            }
            What::Truncate { .. } if random.below(2) == 0 => apply(tree, &change.what, true),
            What::Truncate { .. } => {}
            // A journal keeps names in order; a disk without one need not.
            What::Names(_) if self.model != Model::Volatile && !early => {}
            What::Names(_) if self.model == Model::Volatile && random.below(2) == 0 => {}
            What::Names(_) => apply(tree, &change.what, true),
        }
    }
}

fn apply(tree: &mut [Inode], what: &What, grow: bool) {
    match what {
        What::Write { inode, at, data } => {
            let Inode::File(content, len) = &mut tree[*inode] else {
                panic!("write to a directory");
            };
            if grow {
                *len = (*len).max(at + data.len());
            }
            let end = (*len).min(at + data.len());
            if *at < end {
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*at..end].copy_from_slice(&data[..end - at]);
            }
        }
        What::Truncate { inode, len } => {
            if let Inode::File(content, old) = &mut tree[*inode] {
                content.truncate(*len);
                *old = *len;
            }
        }
        What::Names(names) => {
            for (dir, name, inode) in names {
                let Inode::Dir(entries) = &mut tree[*dir] else {
                    panic!("name in a file");
                };
                match inode {
                    Some(inode) => entries.insert(name.clone(), *inode),
                    None => entries.remove(name),
                };
            }
        }
    }
}

fn store_dir(tree: &[Inode], dir: usize, target: &Path) {
    fs::create_dir_all(target).expect("target directory");
    let Inode::Dir(entries) = &tree[dir] else {
        panic!("not a directory");
    };
    for (name, inode) in entries {
        let path = target.join(name);
        match &tree[*inode] {
            Inode::Dir(_) => store_dir(tree, *inode, &path),
            Inode::File(content, len) => {
                fs::write(&path, content).expect("target file");
                let file = fs::File::options().write(true).open(&path);
                file.and_then(|f| f.set_len(*len as u64)).expect("length");
            }
        }
    }
}

/// The name of a new file is kept by fsync(2) of the file itself on ext4, xfs, btrfs and f2fs,
/// whatever the manual page says. The engine needs that for a snapshot that it has just written, and
/// nobody can sync the directory for it in time; our own names are held to the manual page.
const ENGINES_OWN: &str = ".generating";

const SECTOR_BYTES: usize = 512;
