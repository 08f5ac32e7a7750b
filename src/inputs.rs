//! What decisions were made from: CIBs kept as files, bounded in number, with the names that
//! Pacemaker's administrators know (`pe-input-17.bz2`; lib/common/io.c, daemons/schedulerd).
//!
//! The daemon of the DC writes them; `crm_simulate -x` and `mainstay why --transition` read them.

use cib::Element;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Kinds of inputs; each is numbered by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Series {
    /// The scheduler had nothing to object.
    Input,
    /// It warned.
    Warn,
    /// It found errors in the configuration.
    Error,
}

impl Series {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Input, Self::Warn, Self::Error];

    /// How its files are called: `pe-input`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "pe-input",
            Self::Warn => "pe-warn",
            Self::Error => "pe-error",
        }
    }

    /// The cluster option that says how many are kept.
    #[must_use]
    pub const fn option(self) -> &'static str {
        match self {
            Self::Input => "pe-input-series-max",
            Self::Warn => "pe-warn-series-max",
            Self::Error => "pe-error-series-max",
        }
    }

    /// How many are kept when nothing is said; -1 = all.
    #[must_use]
    pub const fn default_max(self) -> i64 {
        match self {
            Self::Input => 4000,
            Self::Warn => 5000,
            Self::Error => -1,
        }
    }

    /// How many are kept by this configuration; 0 = none. "All" ends at [`SERIES_MAX`].
    #[must_use]
    pub fn max(self, cib: &Element) -> u64 {
        let options = cib
            .first("configuration")
            .and_then(|c| c.first("crm_config"));
        let sets = options.into_iter().flat_map(|o| &o.children);
        let mut pairs = sets.flat_map(|set| &set.children);
        let pair = pairs.find(|p| p.attr("name") == Some(self.option()));
        let set = pair.and_then(|p| p.attr("value")?.trim().parse::<i64>().ok());
        u64::try_from(set.unwrap_or(self.default_max())).map_or(SERIES_MAX, |n| n.min(SERIES_MAX))
    }
}

/// A kept input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its file.
    pub path: PathBuf,
    /// Its kind.
    pub series: Series,
    /// Its number in its series; numbers begin anew when as many as wanted are there.
    pub number: u64,
    /// When it was written, seconds since the epoch.
    pub at: i64,
}

/// Keeps an input that was decided on at `now` (seconds since the epoch), in place of the oldest
/// of its series where as many as wanted are there. `None` when none is wanted.
///
/// # Errors
/// What the file system says.
pub fn save(folder: &Path, series: Series, cib: &Element, now: i64) -> io::Result<Option<PathBuf>> {
    let max = series.max(cib);
    if max == 0 {
        return Ok(None);
    }
    std::fs::create_dir_all(folder)?;
    let last = folder.join(format!("{}.last", series.name()));
    let number = match std::fs::read_to_string(&last) {
        Ok(text) => text.trim().parse::<u64>().unwrap_or(0),
        Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
        Err(e) => return Err(e),
    };
    let number = if number < max { number } else { 0 };
    let path = folder.join(format!("{}-{number}.bz2", series.name()));
    let mut cib = cib.clone();
    cib.set("execution-date", &now.to_string());
    let packed = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    let mut packed = io::BufWriter::new(packed);
    packed.write_all(cib::xml::format(&cib).as_bytes())?;
    let packed = packed
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    replace(&path, &packed.finish()?)?;
    replace(&last, format!("{}\n", number + 1).as_bytes())?;
    Ok(Some(path))
}

/// Writes a file so that a reader finds the old one or the new one.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, bytes)?;
    std::fs::rename(&beside, path)
}

/// All that are kept, the newest first.
///
/// # Errors
/// What the file system says; a folder that is not there has none.
pub fn list(folder: &Path) -> io::Result<Vec<Kept>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut kept = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
        let Some((series, number)) = name.as_deref().and_then(parse_name) else {
            continue;
        };
        // A file that was replaced meanwhile is there under its name again.
        let modified = std::fs::metadata(&path).and_then(|m| m.modified());
        let since = modified.unwrap_or(UNIX_EPOCH).duration_since(UNIX_EPOCH);
        let since = since.unwrap_or_default();
        kept.push((
            since,
            Kept {
                path,
                series,
                number,
                at: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            },
        ));
    }
    kept.sort_by_key(|(since, kept)| std::cmp::Reverse((*since, kept.series, kept.number)));
    Ok(kept.into_iter().map(|(_, kept)| kept).collect())
}

/// `pe-input-17.bz2`, or `pe-input-17` as logs name it.
#[must_use]
pub fn parse_name(name: &str) -> Option<(Series, u64)> {
    let name = name.strip_suffix(".bz2").unwrap_or(name);
    Series::ALL.into_iter().find_map(|series| {
        let number = name.strip_prefix(series.name())?.strip_prefix('-')?;
        Some((series, number.parse().ok()?))
    })
}

/// Reads one, and when it was decided on.
///
/// # Errors
/// What the file system says, or that it is no CIB.
pub fn read(path: &Path) -> io::Result<Element> {
    let file = std::fs::File::open(path)?;
    let limit = cib::xml::FILE_MAX_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    let unpacked = bzip2::read::MultiBzDecoder::new(file);
    unpacked.take(limit).read_to_end(&mut bytes)?;
    cib::xml::parse_file(&bytes)
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))
}

/// Most inputs of a series that are ever kept.
pub const SERIES_MAX: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn cib(option: &str, value: &str) -> Element {
        let text = format!(
            r#"<cib epoch="1"><configuration><crm_config><cluster_property_set id="a"><nvpair id="b" name="{option}" value="{value}"/></cluster_property_set></crm_config></configuration></cib>"#
        );
        cib::xml::parse(&text).unwrap()
    }

    #[test]
    fn the_oldest_is_replaced_when_as_many_as_wanted_are_there() {
        let folder = tempfile::tempdir().unwrap();
        for now in 100..105 {
            let cib = cib("pe-input-series-max", "3");
            save(folder.path(), Series::Input, &cib, now).unwrap();
        }
        let kept = list(folder.path()).unwrap();
        let mut found: Vec<_> = kept
            .iter()
            .map(|k| {
                let cib = read(&k.path).unwrap();
                (k.number, cib.attr("execution-date").unwrap().to_owned())
            })
            .collect();
        found.sort();
        let found: Vec<_> = found.iter().map(|(n, at)| (*n, at.as_str())).collect();
        assert_eq!(found, [(0, "103"), (1, "104"), (2, "102")]);
    }

    #[test]
    fn how_many_is_configured() {
        let none = cib("pe-warn-series-max", "0");
        assert_eq!(Series::Warn.max(&none), 0);
        assert_eq!(Series::Input.max(&none), 4000);
        assert_eq!(Series::Error.max(&none), SERIES_MAX);
        let folder = tempfile::tempdir().unwrap();
        let kept = save(folder.path(), Series::Warn, &none, 1).unwrap();
        assert_eq!(kept, None);
        assert_eq!(list(folder.path()).unwrap(), []);
        assert_eq!(list(&folder.path().join("nothing")).unwrap(), []);
    }

    #[test]
    fn names_are_pacemakers() {
        assert_eq!(parse_name("pe-input-17.bz2"), Some((Series::Input, 17)));
        assert_eq!(parse_name("pe-warn-0"), Some((Series::Warn, 0)));
        for name in [
            "pe-input.last",
            "pe-input-17.bz2.new",
            "pe-input-x.bz2",
            "cib-1.raw",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
