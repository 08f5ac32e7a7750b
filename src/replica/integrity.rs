//! What the log itself refuses of a configuration: frozen with format 1 of [`super::LoggedChange`].
//!
//! Whether a change is sound is judged once, by the full rules of the node that takes it
//! ([`super::Replica::judge`]). Those rules grow with every release. What is here is asked by every
//! node when it applies the log, and nodes of two releases that answer differently have two
//! configurations for good. So this is part of the record's format, as is everything else that
//! [`super::LoggedChange`] is applied by: how a patch is read and put in place, what the reader's
//! bounds are, what is stamped. **Nothing of it may change under this number.** Other rules get a new
//! format, are written only when every node knows it, and leave these in place for the records of
//! the old one. `tests/recorded/changes-v1.txt` holds answers that every release has to give. For
//! the same reason nothing of [`cib::check`], [`cib::config`] or [`cib::edit`] is used here.
//!
//! It is asked for one thing only: that two changes, each of them sound where it was taken, leave a
//! configuration that can be worked with when they meet. Hence few rules, each for something that
//! would make the cluster do what neither author wrote, or that could not be mended:
//!
//! - **One section of a kind.** Two changes may each bring the first `<tags>`. Every reader takes the
//!   first of two: what the other author wrote would be there and mean nothing.
//! - **An id stands once** (among nodes, and among everything else). Tools and patches find the first
//!   of two elements; the other could be neither changed nor removed by its name, and two resources
//!   of one name are one to the scheduler.
//! - **A node's name stands once.** Constraints and attributes name nodes by it.
//! - **What refers to an id finds it**: constraints, fencing levels, access rules, templates and
//!   `id-ref`. One author deletes what another one refers to: the order would not be kept, the
//!   primitive have no agent or lose its parameters, the level never succeed.
//!
//! Anything that one change brings by itself (spelling, values, shapes) is the taker's to refuse.
//! Tags may name what does not exist, as they may when a change is taken.
//!
//! Old faults do not keep anybody from repairing others: what a change did not bring is no reason to
//! refuse it ([`added`]).

use cib::Element;
use std::collections::BTreeSet;
use std::fmt;

/// Something that the log does not let happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault<'a> {
    /// There is no configuration at all.
    Nothing,
    /// A section, by its tag, stands twice.
    Section(&'a str),
    /// An id stands twice.
    Id(&'a str),
    /// A node's id stands twice.
    NodeId(&'a str),
    /// Two nodes have this name.
    NodeName(&'a str),
    /// An element refers to an id that nothing has.
    Dangling {
        /// The element's tag.
        tag: &'a str,
        /// Its id, or that of the nearest element around it that has one.
        id: &'a str,
        /// What it refers to.
        to: &'a str,
    },
}

impl fmt::Display for Fault<'_> {
    /// For people; no part of the format.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("error: <cib>: there is no <configuration>"),
            Self::Section(tag) => write!(
                f,
                "error: <{tag}>: somebody else made a second one meanwhile; look at the configuration again and repeat the change"
            ),
            Self::Id(id) => write!(
                f,
                "error: id=\"{id}\" is used twice; ids must be unique in the configuration, rename one"
            ),
            Self::NodeId(id) => write!(
                f,
                "error: <node id=\"{id}\"> stands twice; leave one of them"
            ),
            Self::NodeName(name) => write!(
                f,
                "error: two nodes have the name \"{name}\"; delete the one that is no longer there"
            ),
            Self::Dangling { tag, id, to } => write!(
                f,
                "error: <{tag} id=\"{id}\">: \"{to}\" does not exist; create it, or take it out here"
            ),
        }
    }
}

/// What is wrong with `new` (two `<cib>` elements) and was not with `old`. The configuration before
/// is looked at only where something is wrong now.
pub(super) fn added<'a>(old: &Element, new: &'a Element) -> Vec<Fault<'a>> {
    let faults = faults(new);
    if faults.is_empty() {
        return Vec::new();
    }
    let known = self::faults(old);
    faults.into_iter().filter(|f| !known.contains(f)).collect()
}

/// Everything that is wrong.
fn faults(root: &Element) -> BTreeSet<Fault<'_>> {
    let mut configurations = root.all("configuration");
    let Some(configuration) = configurations.next() else {
        return BTreeSet::from([Fault::Nothing]);
    };
    let mut faults = BTreeSet::new();
    if configurations.next().is_some() {
        faults.insert(Fault::Section("configuration"));
    }
    let sections = configuration.children.iter();
    let mut sections: Vec<&str> = sections.map(|s| s.name.as_str()).collect();
    let mut names = Names::default();
    names.collect(configuration, "");
    faults.extend(twice(&mut sections).map(Fault::Section));
    faults.extend(twice(&mut names.ids).map(Fault::Id));
    faults.extend(twice(&mut names.node_ids).map(Fault::NodeId));
    faults.extend(twice(&mut names.node_names).map(Fault::NodeName));
    // They are sorted by now.
    let ids = names.ids;
    let references = names.references.into_iter();
    let dangling = references.filter(|(.., to)| ids.binary_search(to).is_err());
    faults.extend(dangling.map(|(tag, id, to)| Fault::Dangling { tag, id, to }));
    faults
}

/// Those that stand more than once; sorts them.
fn twice<'a>(names: &mut [&'a str]) -> impl Iterator<Item = &'a str> {
    names.sort_unstable();
    let pairs = names.windows(2).filter(|pair| pair[0] == pair[1]);
    pairs.map(|pair| pair[0])
}

/// Names of a configuration.
#[derive(Default)]
struct Names<'a> {
    /// Ids of everything but nodes.
    ids: Vec<&'a str>,
    node_ids: Vec<&'a str>,
    node_names: Vec<&'a str>,
    /// Tag and id of who refers, and to what.
    references: Vec<(&'a str, &'a str, &'a str)>,
}

impl<'a> Names<'a> {
    /// Of an element and everything in it; `around` is the nearest id above it.
    fn collect(&mut self, element: &'a Element, mut around: &'a str) {
        let (tag, id) = (element.name.as_str(), element.id());
        match tag {
            "node" => {
                self.node_ids.extend(id);
                self.node_names.extend(element.attr("uname"));
            }
            // Their id is another element's.
            "resource_ref" | "obj_ref" | "role" | "role_ref" => {}
            _ => self.ids.extend(id),
        }
        let mut refer = |to: &'a str| self.references.push((tag, id.unwrap_or(around), to));
        element.attr("id-ref").into_iter().for_each(&mut refer);
        match tag {
            "rsc_location" | "rsc_colocation" | "rsc_order" | "rsc_ticket" => {
                let named = ["rsc", "with-rsc", "first", "then"];
                let named = named.into_iter().filter_map(|name| element.attr(name));
                named.for_each(refer);
            }
            "resource_ref" | "role" | "role_ref" => {
                self.references.extend(id.map(|to| (tag, around, to)));
            }
            "primitive" => element.attr("template").into_iter().for_each(refer),
            "acl_permission" => element.attr("reference").into_iter().for_each(refer),
            "fencing-level" => {
                let devices = element.attr("devices").unwrap_or_default().split(',');
                let devices = devices.map(str::trim).filter(|d| !d.is_empty());
                devices.for_each(refer);
            }
            _ => {}
        }
        around = id.unwrap_or(around);
        let children = element.children.iter();
        children.for_each(|child| self.collect(child, around));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration with this in its sections.
    fn cib(sections: &str) -> Element {
        let text = format!("<cib><configuration>{sections}</configuration><status/></cib>");
        cib::xml::parse(&text).unwrap()
    }

    /// What one more piece of configuration brings.
    fn brought(old: &str, new: &str) -> Vec<String> {
        let (old, new) = (cib(old), cib(new));
        added(&old, &new).iter().map(ToString::to_string).collect()
    }

    const SOUND: &str = r#"<nodes><node id="1" uname="n1"/><node id="2" uname="n2"/></nodes>
        <resources><template id="t"/><primitive id="a" template="t"><operations id-ref="ops"/></primitive>
        <group id="g"><primitive id="b"><operations id="ops"/></primitive></group></resources>
        <constraints><rsc_location id="l" rsc="g" node="n9"/>
        <rsc_order id="o"><resource_set id="s"><resource_ref id="a"/><resource_ref id="many"/></resource_set></rsc_order></constraints>
        <fencing-topology><fencing-level id="f" target="n1" index="1" devices="a, b"/></fencing-topology>
        <acls><acl_role id="r"><acl_permission id="p" kind="read" reference="a"/></acl_role>
        <acl_target id="joe"><role id="r"/></acl_target></acls>
        <tags><tag id="many"><obj_ref id="a"/><obj_ref id="gone"/></tag></tags>"#;

    #[test]
    fn references_that_lead_somewhere_are_no_fault() {
        assert_eq!(brought("", SOUND), [""; 0]);
        // Nodes have ids of their own.
        let node =
            r#"<nodes><node id="a" uname="a"/></nodes><resources><primitive id="a"/></resources>"#;
        assert_eq!(brought("", node), [""; 0]);
    }

    #[test]
    fn what_leads_nowhere_is_told_with_who_refers() {
        for (was, is, told) in [
            ("rsc=\"g\"", "rsc=\"x\"", "<rsc_location id=\"l\">: \"x\""),
            (
                "<resource_ref id=\"a\"",
                "<resource_ref id=\"x\"",
                "<resource_ref id=\"s\">: \"x\"",
            ),
            (
                "template=\"t\"",
                "template=\"x\"",
                "<primitive id=\"a\">: \"x\"",
            ),
            (
                "id-ref=\"ops\"",
                "id-ref=\"x\"",
                "<operations id=\"a\">: \"x\"",
            ),
            (
                "devices=\"a, b\"",
                "devices=\"a,x,b\"",
                "<fencing-level id=\"f\">: \"x\"",
            ),
            (
                "reference=\"a\"",
                "reference=\"x\"",
                "<acl_permission id=\"p\">: \"x\"",
            ),
            (
                "<role id=\"r\"",
                "<role id=\"x\"",
                "<role id=\"joe\">: \"x\"",
            ),
        ] {
            let told = format!("error: {told} does not exist; create it, or take it out here");
            assert_eq!(brought(SOUND, &SOUND.replace(was, is)), [told]);
        }
    }

    #[test]
    fn what_stands_twice_is_told_once() {
        for (more, told) in [
            ("<resources/>", "<resources>"),
            (
                "<alerts><alert id=\"a\"/><alert id=\"a\"/></alerts>",
                "id=\"a\"",
            ),
            ("<a><node id=\"1\" uname=\"n3\"/></a>", "<node id=\"1\">"),
            (
                "<a><node id=\"3\" uname=\"n1\"/></a>",
                "two nodes have the name \"n1\"",
            ),
        ] {
            let found = brought(SOUND, &format!("{SOUND}{more}"));
            assert!(
                found.len() == 1 && found[0].contains(told),
                "{more}: {found:?}"
            );
        }
        let sound = cib(SOUND);
        let mut new = sound.clone();
        new.children.insert(1, new.children[0].clone());
        assert_eq!(added(&sound, &new), [Fault::Section("configuration")]);
        new.children.clear();
        assert_eq!(added(&sound, &new), [Fault::Nothing]);
    }

    #[test]
    fn old_faults_do_not_keep_anybody_from_repairing_others() {
        let old = SOUND
            .replace("rsc=\"g\"", "rsc=\"x\"")
            .replace("template=\"t\"", "template=\"y\"");
        assert_eq!(
            brought(&old, &old.replace("rsc=\"x\"", "rsc=\"a\"")),
            [""; 0]
        );
        // The same name, missed by somebody else, is another fault.
        let more = old.replace("devices=\"a, b\"", "devices=\"x\"");
        assert_eq!(brought(&old, &more).len(), 1);
    }
}
