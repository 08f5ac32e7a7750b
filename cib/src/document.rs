//! The CIB as a document: its root, version, stamps and sections.

use crate::error::{Error, Result};
use crate::tree::Element;
use crate::version::Version;
use crate::xml;

/// The feature set this program claims, in `crm_feature_set`.
pub const FEATURE_SET: &str = "3.19.7";
/// The schema named in new CIBs: known to every Pacemaker since 2.1.5.
pub const VALIDATE_WITH: &str = "pacemaker-3.9";

/// The whole cluster: a `<cib>` element with its configuration and status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cib {
    root: Element,
}

/// A part of the CIB that tools address by name (`cibadmin --scope`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Everything that is wanted.
    Configuration,
    /// Everything that is: node states, operation results, transient attributes.
    Status,
    /// Cluster properties.
    CrmConfig,
    /// Nodes and their permanent attributes.
    Nodes,
    /// Resources.
    Resources,
    /// Location, colocation, order, ticket constraints.
    Constraints,
    /// Defaults of resource meta-attributes.
    RscDefaults,
    /// Defaults of operation options.
    OpDefaults,
    /// Fencing levels.
    FencingTopology,
    /// Access control.
    Acls,
    /// Tags.
    Tags,
    /// Alert agents.
    Alerts,
}

impl Section {
    /// Sections inside `<configuration>`, in the order in which they are created: first the four
    /// that every CIB has, then the optional ones as the schema lists them.
    pub const CONFIGURATION: [Self; 10] = [
        Self::CrmConfig,
        Self::Nodes,
        Self::Resources,
        Self::Constraints,
        Self::RscDefaults,
        Self::OpDefaults,
        Self::FencingTopology,
        Self::Acls,
        Self::Tags,
        Self::Alerts,
    ];

    /// Its tag.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Status => "status",
            Self::CrmConfig => "crm_config",
            Self::Nodes => "nodes",
            Self::Resources => "resources",
            Self::Constraints => "constraints",
            Self::RscDefaults => "rsc_defaults",
            Self::OpDefaults => "op_defaults",
            Self::FencingTopology => "fencing-topology",
            Self::Acls => "acls",
            Self::Tags => "tags",
            Self::Alerts => "alerts",
        }
    }

    /// The section of this tag.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        [Self::Configuration, Self::Status]
            .into_iter()
            .chain(Self::CONFIGURATION)
            .find(|s| s.tag() == tag)
    }

    const fn is_top(self) -> bool {
        matches!(self, Self::Configuration | Self::Status)
    }
}

impl Cib {
    /// A CIB without nodes, resources and history, at version 0.0.0.
    #[must_use]
    pub fn empty() -> Self {
        let mut configuration = Element::new("configuration");
        for section in &Section::CONFIGURATION[..4] {
            configuration.children.push(Element::new(section.tag()));
        }
        Self {
            root: Element::new("cib")
                .with("crm_feature_set", FEATURE_SET)
                .with("validate-with", VALIDATE_WITH)
                .with("epoch", "0")
                .with("num_updates", "0")
                .with("admin_epoch", "0")
                .child(configuration)
                .child(Element::new("status")),
        }
    }

    /// Reads a CIB from XML.
    ///
    /// # Errors
    /// [`Error::Xml`] when it is not XML; otherwise as [`Cib::from_element`].
    pub fn parse(text: &str) -> Result<Self> {
        Self::from_element(xml::parse(text)?)
    }

    /// Takes a tree whose root is `<cib>`; the structure below is judged by [`crate::check`].
    ///
    /// # Errors
    /// [`Error::Root`] for another root, [`Error::VersionNumber`] for a broken version.
    pub fn from_element(root: Element) -> Result<Self> {
        if root.name != "cib" {
            return Err(Error::Root {
                expected: "cib",
                found: root.name.into(),
            });
        }
        Version::of(&root)?;
        Ok(Self { root })
    }

    /// The `<cib>` element.
    #[must_use]
    pub const fn root(&self) -> &Element {
        &self.root
    }

    /// The `<cib>` element, to change. Its tag must stay `cib` and its version numeric.
    pub const fn root_mut(&mut self) -> &mut Element {
        &mut self.root
    }

    /// The `<cib>` element.
    #[must_use]
    pub fn into_root(self) -> Element {
        self.root
    }

    /// As `cibadmin --query` prints it.
    #[must_use]
    pub fn to_xml(&self) -> String {
        xml::format(&self.root)
    }

    /// On one line, for disk, wire and digests.
    #[must_use]
    pub fn to_compact(&self) -> String {
        xml::compact(&self.root)
    }

    /// The version; a number broken through [`Cib::root_mut`] counts as 0.0.0.
    #[must_use]
    pub fn version(&self) -> Version {
        Version::of(&self.root).unwrap_or_default()
    }

    /// Sets the version.
    pub fn set_version(&mut self, version: Version) {
        version.write_to(&mut self.root);
    }

    /// Marks one more configuration change.
    pub fn bump_epoch(&mut self) {
        self.set_version(self.version().next_epoch());
    }

    /// Marks one more status change.
    pub fn bump_num_updates(&mut self) {
        self.set_version(self.version().next_update());
    }

    /// Records who changed the configuration. `when` is the text of `cib-last-written`, as
    /// asctime writes it: `Sat Nov 21 13:48:20 2026`.
    pub fn stamp(&mut self, when: &str, origin: &str, client: &str, user: &str) {
        self.root.set("cib-last-written", when);
        self.root.set("update-origin", origin);
        self.root.set("update-client", client);
        self.root.set("update-user", user);
    }

    /// A section, if it is there.
    #[must_use]
    pub fn section(&self, section: Section) -> Option<&Element> {
        if section.is_top() {
            return self.root.first(section.tag());
        }
        self.root
            .first(Section::Configuration.tag())?
            .first(section.tag())
    }

    /// A section to change; created in schema order when it is absent.
    pub fn section_mut(&mut self, section: Section) -> &mut Element {
        let top = if section == Section::Status {
            ensure(&mut self.root, section.tag(), &["configuration", "status"])
        } else {
            ensure(
                &mut self.root,
                "configuration",
                &["configuration", "status"],
            )
        };
        if section.is_top() {
            return top;
        }
        ensure(
            top,
            section.tag(),
            &Section::CONFIGURATION.map(Section::tag),
        )
    }
}

impl Default for Cib {
    fn default() -> Self {
        Self::empty()
    }
}

/// First child of this tag; if absent, put before the first child that comes later in `order`.
fn ensure<'a>(parent: &'a mut Element, tag: &str, order: &[&str]) -> &'a mut Element {
    let rank = |name: &str| order.iter().position(|t| *t == name);
    let index = match parent.children.iter().position(|c| c.name == tag) {
        Some(index) => index,
        None => {
            let index = parent
                .children
                .iter()
                .position(|c| rank(&c.name) > rank(tag))
                .unwrap_or(parent.children.len());
            parent.children.insert(index, Element::new(tag));
            index
        }
    };
    &mut parent.children[index]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_cib_prints_as_pacemaker_tools_expect() {
        assert_eq!(
            Cib::empty().to_xml(),
            concat!(
                "<cib crm_feature_set=\"3.19.7\" validate-with=\"pacemaker-3.9\" epoch=\"0\" ",
                "num_updates=\"0\" admin_epoch=\"0\">\n",
                "  <configuration>\n",
                "    <crm_config/>\n",
                "    <nodes/>\n",
                "    <resources/>\n",
                "    <constraints/>\n",
                "  </configuration>\n",
                "  <status/>\n",
                "</cib>\n"
            )
        );
    }

    #[test]
    fn absent_sections_appear_in_order() {
        let mut cib = Cib::parse("<cib><status/></cib>").unwrap();
        for section in [
            Section::Alerts,
            Section::RscDefaults,
            Section::Resources,
            Section::CrmConfig,
            Section::OpDefaults,
        ] {
            cib.section_mut(section).set("id", section.tag());
        }
        let tags = |e: &Element| -> Vec<String> {
            e.children.iter().map(|c| c.name.to_string()).collect()
        };
        assert_eq!(tags(cib.root()), ["configuration", "status"]);
        assert_eq!(
            tags(cib.section(Section::Configuration).unwrap()),
            [
                "crm_config",
                "resources",
                "rsc_defaults",
                "op_defaults",
                "alerts"
            ]
        );
        assert_eq!(cib.section(Section::Alerts).unwrap().id(), Some("alerts"));
        assert_eq!(cib.section(Section::Nodes), None);
    }

    #[test]
    fn version_and_stamps() {
        let mut cib = Cib::parse("<cib epoch=\"4\" admin_epoch=\"1\" num_updates=\"9\"/>").unwrap();
        cib.bump_num_updates();
        assert_eq!(cib.version(), Version::new(1, 4, 10));
        cib.bump_epoch();
        cib.stamp("Sat Nov 21 13:48:20 2026", "n1", "crm", "root");
        assert_eq!(
            cib.to_compact(),
            "<cib epoch=\"5\" admin_epoch=\"1\" num_updates=\"0\" \
             cib-last-written=\"Sat Nov 21 13:48:20 2026\" update-origin=\"n1\" \
             update-client=\"crm\" update-user=\"root\"/>"
        );
    }

    #[test]
    fn another_root_is_named() {
        let text = Cib::parse("<resources/>").unwrap_err().to_string();
        assert!(
            text.starts_with("the document is a <resources>, not a <cib>"),
            "{text}"
        );
    }

    #[test]
    fn tags_name_sections_both_ways() {
        for section in Section::CONFIGURATION {
            assert_eq!(Section::from_tag(section.tag()), Some(section));
        }
        assert_eq!(Section::from_tag("nvpair"), None);
    }
}
