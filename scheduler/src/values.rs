//! Values by name, of which an action has a handful: a sorted list, because a tree's smallest node
//! has room for eleven, and a plan has tens of thousands of actions.

use cib::Text;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// Values by name, in the order of the names. Through serde it is a map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(Vec<(Text, Text)>);

impl Values {
    /// The value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.position(name).ok()?;
        Some(&self.0[at].1)
    }

    /// Whether there is a value of this name.
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.position(name).is_ok()
    }

    /// Sets a value.
    pub fn insert(&mut self, name: &str, value: impl Into<Text>) {
        match self.position(name) {
            Ok(at) => self.0[at].1 = value.into(),
            Err(at) => self.0.insert(at, (name.into(), value.into())),
        }
    }

    /// Sets a value unless there is one.
    pub fn insert_if_absent(&mut self, name: &str, value: &str) {
        if let Err(at) = self.position(name) {
            self.0.insert(at, (name.into(), value.into()));
        }
    }

    /// Names with their values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(n, _)| n.as_str().cmp(name))
    }
}

impl FromIterator<(Text, Text)> for Values {
    /// Of two values of one name the later counts.
    fn from_iter<I: IntoIterator<Item = (Text, Text)>>(pairs: I) -> Self {
        let mut list: Vec<(Text, Text)> = pairs.into_iter().collect();
        list.reverse();
        list.sort_by(|a, b| a.0.cmp(&b.0));
        list.dedup_by(|later, first| later.0 == first.0);
        Self(list)
    }
}

impl From<BTreeMap<String, String>> for Values {
    fn from(values: BTreeMap<String, String>) -> Self {
        let pairs = values.into_iter();
        Self(pairs.map(|(n, v)| (n.into(), v.into())).collect())
    }
}

impl From<&Values> for BTreeMap<String, String> {
    fn from(values: &Values) -> Self {
        let pairs = values.iter();
        pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::<String, String>::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_counts_and_names_are_in_order() {
        let pairs = [("b", "1"), ("a", "2"), ("b", "3")];
        let mut values: Values = pairs
            .map(|(n, v)| (n.into(), v.into()))
            .into_iter()
            .collect();
        assert_eq!(values.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
        values.insert("aa", "4");
        values.insert("b", "5");
        values.insert_if_absent("b", "6");
        values.insert_if_absent("c", "7");
        let expect = BTreeMap::from([("a", "2"), ("aa", "4"), ("b", "5"), ("c", "7")]);
        assert!(values.iter().eq(expect));
        assert_eq!(values.get("aa"), Some("4"));
        assert_eq!(values.get("d"), None);
    }
}
