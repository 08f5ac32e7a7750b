//! The CIB's version triple.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::tree::Element;

/// `admin_epoch.epoch.num_updates`, compared in this order (Pacemaker Explained, "CIB
/// properties"). It always grows; it never judges between partitions.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Version {
    /// Raised by administrators only, to make a configuration win.
    pub admin_epoch: u64,
    /// Raised by one at every change of the configuration.
    pub epoch: u64,
    /// Raised by one at every change of the status; 0 after a configuration change.
    pub num_updates: u64,
}

impl Version {
    /// A version from its three numbers.
    #[must_use]
    pub const fn new(admin_epoch: u64, epoch: u64, num_updates: u64) -> Self {
        Self {
            admin_epoch,
            epoch,
            num_updates,
        }
    }

    /// Reads the three attributes of `<cib>`, `<source>` or `<target>`; an absent one counts as 0.
    ///
    /// # Errors
    /// [`Error::VersionNumber`] when an attribute is present and not a number.
    pub fn of(element: &Element) -> Result<Self> {
        Ok(Self {
            admin_epoch: field(element, ADMIN_EPOCH)?,
            epoch: field(element, EPOCH)?,
            num_updates: field(element, NUM_UPDATES)?,
        })
    }

    /// Writes the three attributes, in place where they exist.
    pub fn write_to(self, element: &mut Element) {
        element.set(ADMIN_EPOCH, &self.admin_epoch.to_string());
        element.set(EPOCH, &self.epoch.to_string());
        element.set(NUM_UPDATES, &self.num_updates.to_string());
    }

    /// The version after one more change of the configuration.
    #[must_use]
    pub const fn next_epoch(self) -> Self {
        Self::new(self.admin_epoch, self.epoch.saturating_add(1), 0)
    }

    /// The version after one more change of the status.
    #[must_use]
    pub const fn next_update(self) -> Self {
        Self::new(
            self.admin_epoch,
            self.epoch,
            self.num_updates.saturating_add(1),
        )
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}.{}",
            self.admin_epoch, self.epoch, self.num_updates
        )
    }
}

fn field(element: &Element, name: &'static str) -> Result<u64> {
    let Some(value) = element.attr(name) else {
        return Ok(0);
    };
    value.trim().parse().map_err(|_| Error::VersionNumber {
        element: element.name.to_string(),
        attribute: name,
        value: value.to_owned(),
    })
}

const ADMIN_EPOCH: &str = "admin_epoch";
const EPOCH: &str = "epoch";
const NUM_UPDATES: &str = "num_updates";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leftmost_number_decides() {
        let mut sorted = [
            Version::new(1, 0, 0),
            Version::new(0, 9, 9),
            Version::new(0, 10, 0),
            Version::new(0, 9, 10),
        ];
        sorted.sort();
        let text: Vec<String> = sorted.iter().map(Version::to_string).collect();
        assert_eq!(text, ["0.9.9", "0.9.10", "0.10.0", "1.0.0"]);
    }

    #[test]
    fn a_configuration_change_starts_updates_again() {
        let v = Version::new(2, 7, 31);
        assert_eq!(v.next_epoch(), Version::new(2, 8, 0));
        assert_eq!(v.next_update(), Version::new(2, 7, 32));
    }

    #[test]
    fn a_word_is_not_a_version() {
        let e = Element::new("cib").with("epoch", "seven");
        let text = Version::of(&e).unwrap_err().to_string();
        assert!(text.contains("epoch=\"seven\""), "{text}");
    }
}
