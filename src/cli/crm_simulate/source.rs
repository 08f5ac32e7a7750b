//! Where a CIB comes from: a file, plain or as bzip2, standard input, or the running cluster.

use crate::cli::backend;
use crate::cli::exit::{Exit, Failure};
use cib::Element;
use std::io::Read;

/// Reads a CIB; `None` and `CIB_file` unset = from the cluster, with its status.
///
/// # Errors
/// [`Exit::NoInput`] when it cannot be read, [`Exit::DataErr`] when it is no CIB.
pub(crate) fn read(file: Option<&str>) -> Result<Element, Failure> {
    let Some(name) = file else {
        let mut backend = backend::open()?;
        return Ok(backend::cib(backend.as_mut(), true)?.into_root());
    };
    let bytes = bytes_of(name)?;
    parse(name, &bytes)
}

/// The bytes of a file, unpacked; `-` is standard input.
///
/// # Errors
/// [`Exit::NoInput`] when it cannot be read, [`Exit::DataErr`] for broken bzip2.
pub(crate) fn bytes_of(name: &str) -> Result<Vec<u8>, Failure> {
    let limit = cib::xml::FILE_MAX_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    let read = if name == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(name).and_then(|file| {
            // In one piece where its length is known; what says that it is longer is not believed.
            let length = file.metadata().map_or(0, |m| m.len()).min(limit);
            bytes.reserve(usize::try_from(length).unwrap_or(0) + 1);
            file.take(limit).read_to_end(&mut bytes)
        })
    };
    let shown = if name == "-" { "standard input" } else { name };
    read.map_err(|e| Failure {
        exit: Exit::NoInput,
        text: format!("{shown}: {e}"),
        cure: Some("name a file that can be read".to_owned()),
    })?;
    if !bytes.starts_with(BZIP2_MAGIC) {
        return Ok(bytes);
    }
    let mut plain = Vec::new();
    let unpacked = bzip2::read::MultiBzDecoder::new(bytes.as_slice());
    unpacked
        .take(limit)
        .read_to_end(&mut plain)
        .map_err(|e| Failure::new(Exit::DataErr, format!("{shown}: broken bzip2: {e}")))?;
    Ok(plain)
}

/// A CIB of these bytes.
///
/// # Errors
/// [`Exit::DataErr`] when they are none.
pub(crate) fn parse(name: &str, bytes: &[u8]) -> Result<Element, Failure> {
    let root = cib::xml::parse_file(bytes)
        .map_err(|e| Failure::new(Exit::DataErr, format!("{name}: {e}")))?;
    if root.name != "cib" {
        return Err(Failure {
            exit: Exit::DataErr,
            text: format!(
                "{name}: the outermost element is <{}>, not <cib>",
                root.name
            ),
            cure: Some("`cibadmin -Q` writes what is expected here".to_owned()),
        });
    }
    Ok(root)
}

/// When a saved input was decided on, seconds since the epoch.
pub(crate) fn decided_at(cib: &Element) -> Option<i64> {
    cib.attr("execution-date")?.parse().ok()
}

/// Now, seconds since the epoch.
pub(crate) fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// How bzip2 files begin.
const BZIP2_MAGIC: &[u8] = b"BZh";
