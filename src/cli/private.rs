//! Files for nobody else to read: a configuration may hold passwords, and so may what was typed.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// A new file, open for writing. In a folder that is open to all nobody can have put it there, nor
/// a link of its name.
///
/// # Errors
/// Something of that name is there already; what the kernel says.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(FILE).open(path)
}

/// A text in a new file, as [`create`] makes it.
///
/// # Errors
/// As [`create`].
pub(super) fn write_new(path: &Path, text: &str) -> io::Result<()> {
    create(path)?.write_all(text.as_bytes())
}

/// A text in the place of what the file holds. A file that is there already keeps its mode: its
/// owner may have given it to others.
///
/// # Errors
/// What the kernel says.
pub(super) fn write_over(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(FILE);
    options.open(path)?.write_all(text.as_bytes())
}

/// A file that grows at its end, made where it is missing; one that is there keeps its mode.
///
/// # Errors
/// What the kernel says.
pub(super) fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(FILE).open(path)
}

/// Makes the folder that a file is to lie in, and those around it, where they are missing.
///
/// # Errors
/// What the kernel says.
pub(super) fn folder_of(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(FOLDER);
    path.parent().map_or(Ok(()), |dir| builder.create(dir))
}

/// Mode of a file.
const FILE: u32 = 0o600;
/// Mode of a folder.
const FOLDER: u32 = 0o700;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, metadata, read_to_string, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_for_its_owner_alone() {
        let place = tempfile::tempdir().unwrap();
        let file = |name: &str| place.path().join("a/b").join(name);
        folder_of(&file("x")).unwrap();
        folder_of(&file("x")).unwrap();
        write_new(&file("new"), "1").unwrap();
        write_over(&file("over"), "2").unwrap();
        writeln!(append(&file("grows")).unwrap(), "3").unwrap();
        assert_eq!(mode(&place.path().join("a")), 0o700);
        assert_eq!(mode(&place.path().join("a/b")), 0o700);
        for name in ["new", "over", "grows"] {
            assert_eq!(mode(&file(name)), 0o600, "{name}");
        }
    }

    #[test]
    fn what_is_there_is_refused_or_keeps_its_mode() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("x");
        write_new(&path, "long before").unwrap();
        set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let refused = write_new(&path, "new").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read_to_string(&path).unwrap(), "long before");
        write_over(&path, "after\n").unwrap();
        writeln!(append(&path).unwrap(), "more").unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "after\nmore\n");
        assert_eq!(mode(&path), 0o640);
    }
}
