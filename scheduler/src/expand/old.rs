//! Configurations written for schemas before 3.0, in the words of today. What Pacemaker's upgrade
//! from 2.10 (`upgrade-2.10.xsl`) renames, moves or drops is renamed, moved and dropped here; what
//! changed from 1 to 2 concerns access rules alone.

use super::set;
use cib::{Element, Text};

/// Whether a CIB says that it follows such a schema.
pub(super) fn is_old(cib: &Element) -> bool {
    let schema = cib.attr("validate-with").unwrap_or_default();
    let version = schema.strip_prefix("pacemaker-").unwrap_or_default();
    let major = version.split('.').next().unwrap_or_default();
    matches!(major, "1" | "2")
}

/// Brings a configuration up to date.
pub(super) fn upgrade(configuration: &mut Element) {
    let mut moved = Vec::new();
    if let Some(options) = configuration.first_mut("crm_config") {
        for set in &mut options.children {
            set.children.retain_mut(|pair| property(pair, &mut moved));
        }
    }
    for Moved {
        section,
        name,
        value,
    } in moved
    {
        let defaults = child(configuration, section);
        // What stands there already wins.
        let id = format!("upgraded-{section}-{name}");
        defaults
            .children
            .push(set("meta_attributes", &id, &[(name, &value)]));
    }
    if let Some(resources) = configuration.first_mut("resources") {
        upgrade_resources(resources, 0);
    }
}

/// A default that was a cluster property.
struct Moved {
    section: &'static str,
    name: &'static str,
    value: String,
}

/// Whether a cluster property stays one; under its present name, if so.
fn property(pair: &mut Element, moved: &mut Vec<Moved>) -> bool {
    let Some(old) = pair.attr("name") else {
        return true;
    };
    // The oldest names have underscores.
    let name = old.replace('_', "-");
    if let Some((_, section, new)) = DEFAULTS.iter().find(|(from, ..)| *from == name) {
        let value = pair.attr("value").unwrap_or_default();
        let value = match *new {
            "migration-threshold" if value == "-INFINITY" => "1",
            "migration-threshold" => return false,
            _ => value,
        };
        moved.push(Moved {
            section,
            name: new,
            value: value.to_owned(),
        });
        return false;
    }
    if name == "transition-idle-timeout" {
        pair.set("name", "cluster-delay");
    } else if UNDERSCORED.contains(&name.as_str()) {
        pair.set("name", &name);
    }
    true
}

/// Cluster properties that became defaults: name with hyphens, section, name there.
const DEFAULTS: [(&str, &str, &str); 4] = [
    ("default-action-timeout", "op_defaults", "timeout"),
    (
        "default-resource-stickiness",
        "rsc_defaults",
        "resource-stickiness",
    ),
    (
        "default-resource-failure-stickiness",
        "rsc_defaults",
        "migration-threshold",
    ),
    ("is-managed-default", "rsc_defaults", "is-managed"),
];

/// Cluster properties that may have underscores.
const UNDERSCORED: [&str; 12] = [
    "cluster-recheck-interval",
    "dc-deadtime",
    "election-timeout",
    "no-quorum-policy",
    "remove-after-stop",
    "shutdown-escalation",
    "startup-fencing",
    "stonith-action",
    "stonith-enabled",
    "stop-orphan-actions",
    "stop-orphan-resources",
    "symmetric-cluster",
];

fn upgrade_resources(at: &mut Element, depth: u32) {
    for element in &mut at.children {
        if matches!(element.name.as_str(), "primitive" | "template") {
            upgrade_primitive(element);
        } else if depth < DEPTH_MAX {
            upgrade_resources(element, depth + 1);
        }
    }
}

fn upgrade_primitive(primitive: &mut Element) {
    let mut requires = None;
    for part in &mut primitive.children {
        match part.name.as_str() {
            "instance_attributes" => part.children.retain_mut(parameter),
            "meta_attributes" => part.children.retain_mut(meta),
            "operations" => {
                for op in part.children.iter_mut().filter(|op| op.name == "op") {
                    requires = upgrade_operation(op).or(requires);
                }
            }
            _ => {}
        }
    }
    if let Some(requires) = requires {
        let id = format!("upgraded-{}", primitive.id().unwrap_or_default());
        let pairs = [("requires", requires.as_str())];
        primitive.children.push(set("meta_attributes", &id, &pairs));
    }
}

/// Parameters that fence devices have in common.
fn parameter(pair: &mut Element) -> bool {
    let name = pair.attr("name").unwrap_or_default().to_owned();
    if name == "pcmk_arg_map" {
        let value = pair.attr("value").unwrap_or_default().to_owned();
        let port = value.strip_prefix("port:");
        if let Some(argument) = port {
            pair.set("name", "pcmk_host_argument");
            pair.set("value", argument);
        }
        return port.is_some();
    }
    let command = name
        .strip_prefix("pcmk_")
        .and_then(|n| n.strip_suffix("_cmd"));
    if let Some(command) = command.filter(|c| COMMANDS.contains(c)) {
        pair.set("name", &format!("pcmk_{command}_action"));
    }
    true
}

const COMMANDS: [&str; 6] = ["list", "monitor", "off", "on", "reboot", "status"];

fn meta(pair: &mut Element) -> bool {
    match pair.attr("name").unwrap_or_default() {
        "isolation" | "isolation-host" | "isolation-instance" | "isolation-wrapper" => {
            // It ran in a container that is no more: it must not run outside of it.
            pair.set("name", "target-role");
            pair.set("value", "Stopped");
            true
        }
        "resource-failure-stickiness" | "resource_failure_stickiness" => {
            let fatal = pair.attr("value") == Some("-INFINITY");
            if fatal {
                pair.set("name", "migration-threshold");
                pair.set("value", "1");
            }
            fatal
        }
        _ => true,
    }
}

/// Answers what the resource requires: it was said of its start or promotion.
fn upgrade_operation(op: &mut Element) -> Option<Text> {
    let begins = matches!(op.attr("name"), Some("start" | "promote"));
    let mut requires = op.unset("requires");
    let mut moved = Vec::new();
    for part in &mut op.children {
        let parameters = part.name == "instance_attributes";
        if !parameters && part.name != "meta_attributes" {
            continue;
        }
        part.children.retain(|pair| {
            let name = pair.attr("name").unwrap_or_default();
            if name == "requires" {
                requires = pair.attr("value").map(Text::from);
                return false;
            }
            let of_operation = parameters && OF_OPERATION.contains(&name);
            if of_operation {
                moved.push(pair.clone());
            }
            !of_operation
        });
    }
    if !moved.is_empty() {
        let id = format!("upgraded-{}", op.id().unwrap_or_default());
        let mut attributes = set("meta_attributes", &id, &[]);
        attributes.children = moved;
        op.children.push(attributes);
    }
    requires.filter(|_| begins)
}

/// What stood among an operation's parameters and says how it is done.
const OF_OPERATION: [&str; 7] = [
    "interval-origin",
    "start-delay",
    "enabled",
    "on-fail",
    "record-pending",
    "role",
    "timeout",
];

/// The child of that name, made where it is missing.
fn child<'a>(parent: &'a mut Element, name: &str) -> &'a mut Element {
    let at = parent.children.iter().position(|c| c.name == name);
    let at = at.unwrap_or_else(|| {
        parent.children.push(Element::new(name));
        parent.children.len() - 1
    });
    &mut parent.children[at]
}

/// Deepest collective looked into.
const DEPTH_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn upgraded(configuration: &str) -> String {
        let mut tree = cib::xml::parse(configuration).expect("XML");
        upgrade(&mut tree);
        cib::xml::compact(&tree)
    }

    #[test]
    fn old_schemas_are_known() {
        for (schema, old) in [
            ("pacemaker-1.2", true),
            ("pacemaker-2.10", true),
            ("pacemaker-3.0", false),
            ("pacemaker-4.0", false),
            ("none", false),
            ("", false),
        ] {
            let cib = Element::new("cib").with("validate-with", schema);
            assert_eq!(is_old(&cib), old, "{schema}");
        }
        assert!(!is_old(&Element::new("cib")));
    }

    #[test]
    fn properties_become_defaults() {
        let text = upgraded(
            r#"<configuration><crm_config><cluster_property_set id="o"><nvpair id="1" name="default_resource_stickiness" value="7"/><nvpair id="2" name="default-resource-failure-stickiness" value="-100"/><nvpair id="3" name="no_quorum_policy" value="ignore"/><nvpair id="4" name="transition_idle_timeout" value="9s"/><nvpair id="5" name="my_own" value="x"/></cluster_property_set></crm_config></configuration>"#,
        );
        let expected = r#"<configuration><crm_config><cluster_property_set id="o"><nvpair id="3" name="no-quorum-policy" value="ignore"/><nvpair id="4" name="cluster-delay" value="9s"/><nvpair id="5" name="my_own" value="x"/></cluster_property_set></crm_config><rsc_defaults><meta_attributes id="upgraded-rsc_defaults-resource-stickiness-meta_attributes"><nvpair id="upgraded-rsc_defaults-resource-stickiness-meta_attributes-resource-stickiness" name="resource-stickiness" value="7"/></meta_attributes></rsc_defaults></configuration>"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn resources_are_put_in_todays_words() {
        let text = upgraded(
            r#"<configuration><resources><group id="g"><primitive id="p"><instance_attributes id="i"><nvpair id="1" name="pcmk_off_cmd" value="x"/><nvpair id="2" name="pcmk_arg_map" value="uuid:n"/><nvpair id="3" name="pcmk_arg_map" value="port:n"/></instance_attributes><meta_attributes id="m"><nvpair id="4" name="isolation" value="docker"/></meta_attributes><operations><op id="s" name="start" requires="nothing"/><op id="t" name="monitor"><instance_attributes id="u"><nvpair id="5" name="on-fail" value="block"/><nvpair id="6" name="depth" value="1"/></instance_attributes></op></operations></primitive></group></resources></configuration>"#,
        );
        for part in [
            r#"name="pcmk_off_action" value="x"/><nvpair id="3" name="pcmk_host_argument" value="n"/>"#,
            r#"name="target-role" value="Stopped"/>"#,
            r#"<op id="s" name="start"/>"#,
            r#"<nvpair id="6" name="depth" value="1"/></instance_attributes><meta_attributes id="upgraded-t-meta_attributes"><nvpair id="5" name="on-fail" value="block"/></meta_attributes>"#,
            r#"name="requires" value="nothing"/></meta_attributes></primitive>"#,
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
