//! Kept versions of the CIB: who changed what, when, with the whole XML and the difference.

use serde::{Deserialize, Serialize};

use crate::chunks::{Stage, list, read};
use crate::envelope::{Damage, Key, Kind};
use crate::error::StoreError;

/// One version of the CIB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CibVersion {
    /// Log entry that made it; the version's number.
    pub seq: u64,
    /// The whole CIB.
    pub xml: String,
    /// Who asked: user name.
    pub author: String,
    /// With which command.
    pub client: String,
    /// On which node.
    pub origin: String,
    /// When: microseconds since 1970 UTC, by the clock of the node that took the change.
    pub time_us: u64,
    /// Difference to the version before, as a person reads it.
    pub diff: String,
}

/// A kept version without its bodies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionInfo {
    /// Log entry that made it; the version's number.
    pub seq: u64,
    /// Who asked: user name.
    pub author: String,
    /// With which command.
    pub client: String,
    /// On which node.
    pub origin: String,
    /// When: microseconds since 1970 UTC.
    pub time_us: u64,
}

/// Layout of the facts on disk: positional, so fields are only ever added with a new schema.
#[derive(Serialize, Deserialize)]
struct Facts {
    author: String,
    client: String,
    origin: String,
    time_us: u64,
}

/// Adds a version and drops the oldest ones beyond [`VERSIONS_MAX`]. `kept` is ascending.
pub(crate) fn add(
    stage: &mut Stage<'_>,
    kept: &mut Vec<u64>,
    version: &CibVersion,
) -> Result<(), StoreError> {
    let facts = Facts {
        author: version.author.clone(),
        client: version.client.clone(),
        origin: version.origin.clone(),
        time_us: version.time_us,
    };
    let facts = postcard::to_stdvec(&facts)
        .map_err(|e| StoreError::refused(format!("cib version {}: {e}", version.seq)))?;
    stage.put(Kind::VersionFacts, version.seq, &facts)?;
    stage.put(Kind::VersionXml, version.seq, version.xml.as_bytes())?;
    stage.put(Kind::VersionDiff, version.seq, version.diff.as_bytes())?;
    if let Err(at) = kept.binary_search(&version.seq) {
        kept.insert(at, version.seq);
    }
    while kept.len() > VERSIONS_MAX {
        let oldest = kept.remove(0);
        for kind in KINDS {
            stage.delete_range(kind, oldest, oldest)?;
        }
    }
    Ok(())
}

/// Numbers of the kept versions, ascending.
pub(crate) fn kept(db: &sled::Db) -> Result<Vec<u64>, StoreError> {
    list(db, Kind::VersionFacts)
}

/// Facts of one version.
pub(crate) fn info(db: &sled::Db, seq: u64) -> Result<Option<VersionInfo>, StoreError> {
    let Some(bytes) = read(db, Kind::VersionFacts, seq)? else {
        return Ok(None);
    };
    let facts: Facts = postcard::from_bytes(&bytes)
        .map_err(|e| Damage::new(Key::head(Kind::VersionFacts, seq), e.to_string()))?;
    Ok(Some(VersionInfo {
        seq,
        author: facts.author,
        client: facts.client,
        origin: facts.origin,
        time_us: facts.time_us,
    }))
}

/// One version with its bodies.
pub(crate) fn get(db: &sled::Db, seq: u64) -> Result<Option<CibVersion>, StoreError> {
    let Some(info) = info(db, seq)? else {
        return Ok(None);
    };
    Ok(Some(CibVersion {
        seq,
        xml: text(db, Kind::VersionXml, seq)?,
        author: info.author,
        client: info.client,
        origin: info.origin,
        time_us: info.time_us,
        diff: text(db, Kind::VersionDiff, seq)?,
    }))
}

fn text(db: &sled::Db, kind: Kind, seq: u64) -> Result<String, StoreError> {
    let key = Key::head(kind, seq);
    let bytes = read(db, kind, seq)?.ok_or_else(|| Damage::new(key, "missing"))?;
    Ok(String::from_utf8(bytes).map_err(|e| Damage::new(key, e.to_string()))?)
}

/// Kinds that make up a version.
pub(crate) const KINDS: [Kind; 3] = [Kind::VersionFacts, Kind::VersionXml, Kind::VersionDiff];

/// Versions kept; the oldest goes when one more comes.
pub const VERSIONS_MAX: usize = 16;
