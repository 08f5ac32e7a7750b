//! The element tree.

/// Names and values of a tree. Up to 23 bytes lie in the attribute itself, which nearly all names
/// and most values of a status section do: a big cluster's history is hundreds of thousands of
/// them, and one allocation for each would be most of its memory and of the time to read it.
/// A clone allocates nothing.
pub use smol_str::SmolStr as Text;

/// One XML element. The CIB's data lives in attributes; text exists only where rules and agents'
/// descriptions carry it.
///
/// Through serde it travels as compact XML: what arrives has passed the reader's bounds on depth,
/// size and characters, which a derived form would not check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Tag.
    pub name: Text,
    /// In document order, names unique.
    pub attrs: Vec<(Text, Text)>,
    /// Child elements in document order.
    pub children: Vec<Self>,
    /// Character data, unescaped; empty in nearly every CIB element.
    pub text: String,
}

impl Element {
    /// An element without attributes and children.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Value of an attribute.
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<&str> {
        self.attrs
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// Sets an attribute in place, or appends it.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.attrs.iter_mut().find(|(n, _)| n == name) {
            Some((_, v)) => *v = value.into(),
            None => self.attrs.push((name.into(), value.into())),
        }
    }

    /// Removes an attribute; returns its value if it was there.
    pub fn unset(&mut self, name: &str) -> Option<Text> {
        let index = self.attrs.iter().position(|(n, _)| n == name)?;
        Some(self.attrs.remove(index).1)
    }

    /// The same element with one more attribute; for building trees.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    /// The same element with one more child; for building trees.
    #[must_use]
    pub fn child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    /// First child of this name.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|c| c.name == name)
    }

    /// First child of this name, to change.
    pub fn first_mut(&mut self, name: &str) -> Option<&mut Self> {
        self.children.iter_mut().find(|c| c.name == name)
    }

    /// Children of this name, in document order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> + 'a {
        self.children.iter().filter(move |c| c.name == name)
    }

    /// The `id` attribute.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.attr("id")
    }
}
