//! The element tree.

/// One XML element. The CIB's data lives in attributes; text exists only where rules and agents'
/// descriptions carry it.
///
/// Through serde it travels as compact XML: what arrives has passed the reader's bounds on depth,
/// size and characters, which a derived form would not check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Tag.
    pub name: String,
    /// In document order, names unique.
    pub attrs: Vec<(String, String)>,
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
            name: name.to_owned(),
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
            Some((_, v)) => value.clone_into(v),
            None => self.attrs.push((name.to_owned(), value.to_owned())),
        }
    }

    /// Removes an attribute; returns its value if it was there.
    pub fn unset(&mut self, name: &str) -> Option<String> {
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
