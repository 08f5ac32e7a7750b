//! Options as an agent tells of its parameters: what every list of them has in common, whoever asks.

use super::Known;
use crate::cli::pacemakerd;
use crate::view::xml::with_text;
use cib::Element;

/// Meta-data of what calls itself `name` as if it were an agent, with `about` in a line and at
/// length; of the version of Pacemaker that is stood in for.
pub(super) fn agent(name: &str, about: (&str, &str), parameters: Vec<Element>) -> Element {
    let (short, long) = about;
    let mut list = Element::new("parameters");
    list.children = parameters;
    Element::new("resource-agent")
        .with("name", name)
        .with("version", pacemakerd::numbers().0)
        .child(with_text("version", OCF_VERSION))
        .child(in_english("longdesc", long))
        .child(in_english("shortdesc", short))
        .child(list)
}

/// A description.
pub(super) fn in_english(name: &str, text: &str) -> Element {
    with_text(name, text).with("lang", "en")
}

impl Known {
    /// What it is for, in a line without a full stop: front ends put one behind it.
    pub(super) fn short(&self) -> &'static str {
        let first = self.about.split_once(". ").map(|(first, _)| first);
        first.unwrap_or(self.about).trim_end_matches('.')
    }

    /// What it takes, `kind` being what its kind is called there: with its default, and the words of
    /// a `select`.
    pub(super) fn content(&self, kind: &str) -> Element {
        let mut content = Element::new("content").with("type", kind);
        if !self.default.is_empty() {
            content.set("default", self.default);
        }
        let word = |word: &&str| Element::new("option").with("value", word);
        content.children = self.values.iter().map(word).collect();
        content
    }

    /// The rest of what is to be said, with what it must not be taken for.
    pub(super) fn long(&self) -> String {
        let rest = self.about.split_once(". ").map(|(_, rest)| rest.to_owned());
        let remarks = [
            self.other_name_of
                .map(|name| format!("It is another name of {name}.")),
            (!self.heeded).then(|| "mainstay keeps the value, and it has no effect.".to_owned()),
        ];
        let said: Vec<String> = rest
            .into_iter()
            .chain(remarks.into_iter().flatten())
            .collect();
        match said.is_empty() {
            true => self.short().to_owned(),
            false => said.join(" "),
        }
    }
}

/// Version of the OCF resource agent API that the form is of.
const OCF_VERSION: &str = "1.1";

#[cfg(test)]
pub(super) mod tests;
