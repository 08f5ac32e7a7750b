//! Files of an archive: the ustar form of POSIX.1-2017 (pax, "ustar Interchange Format"), packed
//! with bzip2.

use std::io::{self, Write};

/// An archive under way. Every file is a regular one of root's, readable by its owner alone.
pub(super) struct Tarball<W: Write> {
    to: bzip2::write::BzEncoder<W>,
    folder: String,
    at: i64,
}

impl<W: Write> Tarball<W> {
    /// An archive whose files lie in `folder` and are of `at`, seconds since the epoch.
    pub(super) fn new(to: W, folder: &str, at: i64) -> Self {
        Self {
            to: bzip2::write::BzEncoder::new(to, bzip2::Compression::best()),
            folder: folder.to_owned(),
            at,
        }
    }

    /// Puts a file in.
    ///
    /// # Errors
    /// What writing says; a name that is too long for the form.
    pub(super) fn file(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let header = header(&format!("{}/{name}", self.folder), bytes.len(), self.at)?;
        self.to.write_all(&header)?;
        self.to.write_all(bytes)?;
        let odd = bytes.len() % BLOCK;
        if odd > 0 {
            self.to.write_all(&[0; BLOCK][odd..])?;
        }
        Ok(())
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// What writing says.
    pub(super) fn end(mut self) -> io::Result<W> {
        self.to.write_all(&[0; 2 * BLOCK])?;
        self.to.finish()
    }
}

fn header(name: &str, size: usize, at: i64) -> io::Result<[u8; BLOCK]> {
    if name.len() > NAME_BYTES_MAX {
        let text = format!("{name}: names in an archive have at most {NAME_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let mut block = [0_u8; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, format!("{:011o}\0", at.max(0)).as_bytes());
    // The checksum counts its own field as blanks.
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(265, b"root");
    put(297, b"root");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

/// A block of the form, in bytes.
const BLOCK: usize = 512;
/// Longest name that needs no prefix, in bytes.
const NAME_BYTES_MAX: usize = 99;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn tar_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar.bz2");
        let mut tarball = Tarball::new(Vec::new(), "report", 1_700_000_000);
        let long = "x".repeat(1500);
        tarball.file("one", b"1\n").unwrap();
        tarball.file("dir/two", long.as_bytes()).unwrap();
        tarball.file("none", b"").unwrap();
        assert!(tarball.file(&"n".repeat(100), b"").is_err());
        let packed = tarball.end().unwrap();
        std::fs::write(&path, &packed).unwrap();
        let mut plain = Vec::new();
        bzip2::read::BzDecoder::new(packed.as_slice())
            .read_to_end(&mut plain)
            .unwrap();
        std::fs::write(folder.path().join("a.tar"), &plain).unwrap();
        let tar = std::process::Command::new("tar")
            .args(["-xf", "a.tar"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(tar.status.success(), "{tar:?}");
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("report/one"), "1\n");
        assert_eq!(read("report/dir/two"), long);
        assert_eq!(read("report/none"), "");
    }
}
