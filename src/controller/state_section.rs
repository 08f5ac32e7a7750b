//! The CIB's status section, put together from membership and the members' own reports (R2): the
//! replicated log holds configuration only.

use cib::Element;
use std::collections::BTreeMap;

/// A node's place in the cluster, as the status section tells the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// In the view, and its own report has arrived.
    Member,
    /// In the view; what runs there is not known yet.
    Pending,
    /// Was a member, is gone without a goodbye: unclean until fenced.
    Lost,
    /// Left in order, or was fenced: nothing of it runs.
    Down,
    /// Never seen since the cluster began.
    Unseen,
}

/// What is known of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusNode {
    /// Node id.
    pub id: u32,
    /// Name.
    pub name: String,
    /// Its place.
    pub presence: Presence,
    /// It asked to be stopped, at these seconds since the epoch.
    pub shutdown: Option<i64>,
    /// `lrm_resource` elements by resource id.
    pub history: BTreeMap<String, Element>,
    /// Transient attributes.
    pub attributes: BTreeMap<String, String>,
    /// Transient capacities (`utilization`).
    pub capacities: BTreeMap<String, String>,
}

/// The whole CIB: `config` (a `<cib>`, of whose status only the tickets count) with the status section and the
/// attributes `have-quorum` and `dc-uuid` of this moment.
#[must_use]
pub fn compose(config: &Element, nodes: &[StatusNode], quorate: bool, dc: Option<u32>) -> Element {
    let mut cib = config.clone();
    cib.set("have-quorum", if quorate { "1" } else { "0" });
    match dc {
        Some(dc) => cib.set("dc-uuid", &dc.to_string()),
        None => cib.attrs.retain(|(name, _)| name != "dc-uuid"),
    }
    let mut status = Element::new("status");
    status.children = nodes.iter().filter_map(node_state).collect();
    let tickets = config.first("status").and_then(|s| s.first("tickets"));
    status.children.extend(tickets.cloned());
    cib.children.retain(|c| c.name != "status");
    cib.children.push(status);
    cib
}

fn node_state(node: &StatusNode) -> Option<Element> {
    let (in_ccm, crmd, join, expected) = match node.presence {
        Presence::Member => ("true", "online", "member", "member"),
        Presence::Pending => ("true", "online", "pending", "member"),
        Presence::Lost => ("false", "offline", "down", "member"),
        Presence::Down => ("false", "offline", "down", "down"),
        Presence::Unseen => return None,
    };
    let id = node.id.to_string();
    let mut state = Element::new("node_state")
        .with("id", &id)
        .with("uname", &node.name)
        .with("in_ccm", in_ccm)
        .with("crmd", crmd)
        .with("crm-debug-origin", "mainstay")
        .with("join", join)
        .with("expected", expected);
    // A node known to be down runs nothing: its history would only mislead.
    if node.presence == Presence::Down {
        return Some(state);
    }
    let mut attributes = node.attributes.clone();
    if let Some(at) = node.shutdown {
        // Where Pacemaker's controller puts the wish to stop, and its scheduler looks for it.
        attributes.insert("shutdown".to_owned(), at.to_string());
    }
    let sets = [
        set("instance_attributes", format!("status-{id}"), &attributes),
        set(
            "utilization",
            format!("status-{id}-utilization"),
            &node.capacities,
        ),
    ];
    let mut transient = Element::new("transient_attributes").with("id", &id);
    transient.children.extend(sets.into_iter().flatten());
    if !transient.children.is_empty() {
        state.children.push(transient);
    }
    let mut resources = Element::new("lrm_resources");
    resources.children = node.history.values().cloned().collect();
    state
        .children
        .push(Element::new("lrm").with("id", &id).child(resources));
    Some(state)
}

/// A set of name-value pairs; none where there are no pairs.
fn set(tag: &'static str, id: String, pairs: &BTreeMap<String, String>) -> Option<Element> {
    let mut set = Element::new(tag).with("id", &id);
    for (name, value) in pairs {
        let nvpair = Element::new("nvpair")
            .with("id", &format!("{id}-{}", name.replace(['#', ':'], ".")))
            .with("name", name)
            .with("value", value);
        set.children.push(nvpair);
    }
    (!set.children.is_empty()).then_some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u32, presence: Presence) -> StatusNode {
        let history = BTreeMap::from([(
            "ip".to_owned(),
            Element::new("lrm_resource").with("id", "ip"),
        )]);
        let attributes =
            BTreeMap::from([("fail-count-ip#monitor_10000".to_owned(), "1".to_owned())]);
        StatusNode {
            id,
            name: format!("n{id}"),
            presence,
            shutdown: None,
            history,
            attributes,
            capacities: BTreeMap::new(),
        }
    }

    #[test]
    fn tickets_come_from_the_log() {
        let text = r#"<cib><configuration/><status><node_state id="9"/><tickets><ticket_state id="t" granted="true"/></tickets></status></cib>"#;
        let config = cib::xml::parse(text).unwrap();
        let cib = compose(&config, &[node(1, Presence::Member)], true, Some(1));
        let status = cib.first("status").unwrap();
        let names: Vec<_> = status.children.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["node_state", "tickets"]);
        assert_eq!(status.children[0].id(), Some("1"));
    }

    #[test]
    fn each_presence_has_its_node_state() {
        let nodes = [
            node(1, Presence::Member),
            node(2, Presence::Pending),
            node(3, Presence::Lost),
            node(4, Presence::Down),
            node(5, Presence::Unseen),
        ];
        let cib = compose(&Element::new("cib"), &nodes, true, Some(1));
        let status = cib.first("status").unwrap();
        let seen: Vec<_> = status
            .children
            .iter()
            .map(|s| {
                ["id", "in_ccm", "join", "expected"]
                    .map(|a| s.attr(a).unwrap())
                    .join(" ")
            })
            .collect();
        let expected = [
            "1 true member member",
            "2 true pending member",
            "3 false down member",
            "4 false down down",
        ];
        assert_eq!(seen, expected);
        assert_eq!(cib.attr("have-quorum"), Some("1"));
        assert_eq!(cib.attr("dc-uuid"), Some("1"));
    }

    #[test]
    fn the_wish_to_stop_is_a_transient_attribute() {
        let asked = StatusNode {
            shutdown: Some(17),
            ..node(1, Presence::Member)
        };
        let cib = compose(&Element::new("cib"), &[asked], true, None);
        let text = cib::xml::compact(&cib);
        assert!(text.contains("name=\"shutdown\" value=\"17\""), "{text}");
    }

    #[test]
    fn a_capacity_stands_in_a_set_of_its_own() {
        let carries = StatusNode {
            attributes: BTreeMap::new(),
            capacities: BTreeMap::from([("cpu".to_owned(), "4".to_owned())]),
            ..node(1, Presence::Member)
        };
        let cib = compose(&Element::new("cib"), &[carries], true, None);
        let text = cib::xml::compact(&cib);
        assert!(
            text.contains(
                "<transient_attributes id=\"1\"><utilization id=\"status-1-utilization\"><nvpair id=\"status-1-utilization-cpu\" name=\"cpu\" value=\"4\"/></utilization></transient_attributes>"
            ),
            "{text}"
        );
    }

    #[test]
    fn a_node_that_is_down_has_no_history() {
        let cib = compose(
            &Element::new("cib"),
            &[node(4, Presence::Down)],
            false,
            None,
        );
        assert!(cib.first("status").unwrap().children[0].children.is_empty());
        assert_eq!(cib.attr("dc-uuid"), None);
    }
}
