//! Trees, CIBs and patches through serde, as compact XML text. A peer's or client's bytes thus
//! meet the bounds of [`crate::xml`] before anything else; a nested binary form could exhaust the
//! stack while it is decoded.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::document::Cib;
use crate::patch::Patch;
use crate::tree::Element;
use crate::xml;

impl Serialize for Element {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&xml::compact(self))
    }
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        xml::parse(&text).map_err(D::Error::custom)
    }
}

impl Serialize for Cib {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.root().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Cib {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let root = Element::deserialize(deserializer)?;
        Self::from_element(root).map_err(D::Error::custom)
    }
}

impl Serialize for Patch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_xml().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Patch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let diff = Element::deserialize(deserializer)?;
        Self::from_xml(&diff).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde::de::value::{Error, StrDeserializer};
    use serde::de::{Deserialize, IntoDeserializer};

    use super::*;

    fn decode<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, Error> {
        let deserializer: StrDeserializer<'_, Error> = text.into_deserializer();
        T::deserialize(deserializer)
    }

    #[test]
    fn what_arrives_is_what_was_sent() {
        let old = Cib::empty();
        let mut new = old.clone();
        crate::edit::set_property(&mut new, "stonith-enabled", Some("false"));
        new.bump_epoch();
        let patch = Patch::between(old.root(), new.root()).unwrap();
        assert_eq!(decode::<Cib>(&new.to_compact()), Ok(new.clone()));
        assert_eq!(
            decode::<Element>(&new.to_compact()).as_ref(),
            Ok(new.root())
        );
        assert_eq!(decode::<Patch>(&xml::compact(&patch.to_xml())), Ok(patch));
    }

    #[test]
    fn what_arrives_is_checked() {
        assert!(decode::<Element>(&"<a>".repeat(100_000)).is_err());
        assert!(decode::<Cib>("<resources/>").is_err());
        assert!(decode::<Patch>("<diff format=\"1\"/>").is_err());
    }
}
