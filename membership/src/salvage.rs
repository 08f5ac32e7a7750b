//! What a store that no cluster goes on with still has, for a person to put back.

use crate::config::StartError;
use crate::{Entry, Recovered};

/// The content of a store: what was committed, and behind it what was written down and may not have
/// been.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvage {
    /// Last entry in `app`.
    pub seq: u64,
    /// The application's state after that entry, empty before the first snapshot.
    pub app: Vec<u8>,
    /// The entries behind it in their order, to the end or to the first damaged one.
    pub entries: Vec<Entry>,
}

/// Reads a store as a core would that starts over it.
///
/// # Errors
/// The snapshot cannot be read, or an entry was written by a later release.
pub fn salvage(recovered: &Recovered) -> Result<Salvage, StartError> {
    let log = crate::core::open_log(recovered)?.log;
    let seq = log.snapshot.at.seq;
    Ok(Salvage {
        seq,
        app: log.snapshot.app.clone(),
        entries: log.iter_after(seq).map(crate::log::Logged::entry).collect(),
    })
}
