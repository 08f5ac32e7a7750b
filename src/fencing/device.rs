//! Fence devices as configured: `stonith` primitives and their `pcmk_*` parameters. Pure.

use super::metadata::AgentMetadata;
use super::text::{parse_list, parse_map};
use cib::Element;
use cib::value::parse_interval_ms;
use std::collections::BTreeMap;

/// A fence device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Resource id.
    pub id: String,
    /// Program, `fence_ipmilan`.
    pub agent: String,
    /// Parameters as configured, `pcmk_*` included.
    pub params: BTreeMap<String, String>,
    /// `priority` meta attribute: greater is tried first.
    pub priority: i32,
    /// `target-role=Stopped`: not to be used.
    pub disabled: bool,
}

/// How a device's targets are known (`pcmk_host_check`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostCheck {
    /// `pcmk_host_list` and `pcmk_host_map` name them.
    StaticList,
    /// The agent's `list` action names them.
    DynamicList,
    /// The agent's `status` action knows the target.
    Status,
    /// Every node is a target.
    None,
}

/// All fence devices of a CIB, in document order, with what is wrong about them.
#[must_use]
pub fn devices(cib: &Element) -> (Vec<Device>, Vec<String>) {
    let resources = cib.first("configuration").unwrap_or(cib).first("resources");
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    if let Some(resources) = resources {
        collect(resources, resources, &mut found, &mut problems, 0);
    }
    (found, problems)
}

impl Device {
    /// Milliseconds for one action (`pcmk_ACTION_timeout`), else `default_ms`
    /// (`stonith-timeout`).
    #[must_use]
    pub fn timeout_ms(&self, action: &str, default_ms: u64) -> u64 {
        self.params
            .get(&format!("pcmk_{action}_timeout"))
            .and_then(|v| parse_interval_ms(v).ok())
            .filter(|ms| *ms > 0)
            .unwrap_or(default_ms)
    }

    /// How often an action may be tried in its time (`pcmk_ACTION_retries`, default 2).
    #[must_use]
    pub fn tries(&self, action: &str) -> u32 {
        self.params
            .get(&format!("pcmk_{action}_retries"))
            .and_then(|v| v.parse().ok())
            .unwrap_or(TRIES_DEFAULT)
            .clamp(1, TRIES_MAX)
    }

    /// What the agent calls an action (`pcmk_ACTION_action`).
    #[must_use]
    pub fn action_name<'a>(&'a self, action: &'a str) -> &'a str {
        self.params
            .get(&format!("pcmk_{action}_action"))
            .map_or(action, String::as_str)
    }

    /// Milliseconds to wait before the target is fenced: `pcmk_delay_base` (one value, or one per
    /// target) plus a part of what is left up to `pcmk_delay_max`; `random` is uniform in u32.
    #[must_use]
    pub fn delay_ms(&self, target: &str, random: u32) -> u64 {
        let base = self.params.get("pcmk_delay_base").map_or(0, |text| {
            parse_interval_ms(text)
                .ok()
                .or_else(|| {
                    parse_map(text)
                        .get(target)
                        .and_then(|v| parse_interval_ms(v).ok())
                })
                .unwrap_or(0)
        });
        let max = self
            .params
            .get("pcmk_delay_max")
            .and_then(|v| parse_interval_ms(v).ok())
            .unwrap_or(0);
        let spread = max.saturating_sub(base);
        base + u64::try_from((u128::from(spread) * u128::from(random)) >> 32).unwrap_or(0)
    }

    /// Name of the target as the device knows it (`pcmk_host_map`).
    #[must_use]
    pub fn alias(&self, target: &str) -> String {
        self.params
            .get("pcmk_host_map")
            .and_then(|map| parse_map(map).remove(target))
            .unwrap_or_else(|| target.to_owned())
    }

    /// How its targets are known; the default depends on what the agent can do
    /// (daemons/fenced/fenced_commands.c, `target_list_type`).
    #[must_use]
    pub fn host_check(&self, metadata: &AgentMetadata) -> HostCheck {
        match self.params.get("pcmk_host_check").map(String::as_str) {
            Some("static-list") => HostCheck::StaticList,
            Some("dynamic-list") => HostCheck::DynamicList,
            Some("status") => HostCheck::Status,
            Some("none") => HostCheck::None,
            _ if self.names_targets() => HostCheck::StaticList,
            _ if metadata.has_action("list") => HostCheck::DynamicList,
            _ if metadata.has_action("status") => HostCheck::Status,
            _ => HostCheck::None,
        }
    }

    /// Whether `pcmk_host_list` or `pcmk_host_map` name the target.
    #[must_use]
    pub fn lists(&self, target: &str) -> bool {
        let listed = self.params.get("pcmk_host_list");
        let mapped = self.params.get("pcmk_host_map");
        listed.is_some_and(|list| parse_list(list).iter().any(|n| n == target))
            || mapped.is_some_and(|map| parse_map(map).contains_key(target))
    }

    fn names_targets(&self) -> bool {
        ["pcmk_host_list", "pcmk_host_map"]
            .iter()
            .any(|name| self.params.contains_key(*name))
    }

    /// What the agent reads on standard input, as `(key, value)`, for `action` (not yet aliased).
    ///
    /// # Errors
    /// A parameter that cannot be written as a line.
    pub fn arguments(
        &self,
        action: &str,
        target: Option<&str>,
        metadata: &AgentMetadata,
    ) -> Result<Vec<(String, String)>, String> {
        let mut arguments = vec![("action".to_owned(), self.action_name(action).to_owned())];
        if let Some(target) = target {
            arguments.push(("nodename".to_owned(), target.to_owned()));
            if let Some(name) = self.host_argument(metadata) {
                arguments.push((name, self.alias(target)));
            }
        }
        for (name, value) in &self.params {
            let ours = arguments.iter().any(|(n, _)| n == name);
            if !ours && is_for_agent(name) {
                arguments.push((name.clone(), value.clone()));
            }
        }
        match arguments.iter().find(|(n, v)| !is_line(n) || !is_line(v)) {
            Some((name, _)) => Err(format!(
                "parameter {name} of fence device {} contains a line break",
                self.id
            )),
            None => Ok(arguments),
        }
    }

    /// Name of the parameter that carries the target; `None` = the device needs none, or its
    /// value is fixed in the configuration.
    fn host_argument(&self, metadata: &AgentMetadata) -> Option<String> {
        let name = match self.params.get("pcmk_host_argument").map(String::as_str) {
            Some("none") => return None,
            Some(name) => name,
            None => ["port", "plug"]
                .into_iter()
                .find(|name| metadata.has_parameter(name))?,
        };
        let fixed = self.params.get(name).is_some_and(|v| v != "dynamic");
        (!fixed).then(|| name.to_owned())
    }
}

fn collect(
    parent: &Element,
    resources: &Element,
    found: &mut Vec<Device>,
    problems: &mut Vec<String>,
    depth: u32,
) {
    for child in &parent.children {
        match child.name.as_str() {
            "primitive" => match device(child, resources) {
                Some(Ok(device)) if found.len() < DEVICES_MAX => found.push(device),
                Some(Ok(device)) => problems.push(format!(
                    "fence device {} ignored: more than {DEVICES_MAX} are configured",
                    device.id
                )),
                Some(Err(problem)) => problems.push(problem),
                None => {}
            },
            "group" | "clone" if depth < DEPTH_MAX => {
                collect(child, resources, found, problems, depth + 1);
            }
            _ => {}
        }
    }
}

fn device(primitive: &Element, resources: &Element) -> Option<Result<Device, String>> {
    let template = primitive
        .attr("template")
        .and_then(|id| resources.all("template").find(|t| t.id() == Some(id)));
    let attr = |name: &str| {
        primitive
            .attr(name)
            .or_else(|| template.and_then(|t| t.attr(name)))
    };
    if attr("class") != Some("stonith") {
        return None;
    }
    let id = primitive.id().unwrap_or_default().to_owned();
    let agent = attr("type").unwrap_or_default().to_owned();
    if !is_agent_name(&agent) {
        return Some(Err(format!(
            "fence device {id} ignored: \"{agent}\" is not the name of a fence agent"
        )));
    }
    let mut params = BTreeMap::new();
    let mut meta = BTreeMap::new();
    for source in [Some(primitive), template].into_iter().flatten() {
        gather(source, "instance_attributes", &mut params);
        gather(source, "meta_attributes", &mut meta);
    }
    Some(Ok(Device {
        priority: meta
            .get("priority")
            .and_then(|v| v.parse().ok())
            .unwrap_or(0),
        disabled: meta
            .get("target-role")
            .is_some_and(|v| v.eq_ignore_ascii_case("stopped")),
        id,
        agent,
        params,
    }))
}

/// The first value of a name wins; sets that hold only under a rule are left out.
fn gather(source: &Element, sets: &str, into: &mut BTreeMap<String, String>) {
    for set in source.all(sets).filter(|set| set.first("rule").is_none()) {
        for nvpair in set.all("nvpair") {
            if let (Some(name), Some(value)) = (nvpair.attr("name"), nvpair.attr("value")) {
                into.entry(name.to_owned())
                    .or_insert_with(|| value.to_owned());
            }
        }
    }
}

/// lib/fencing/st_rhcs.c and st_actions.c: what is ours or the cluster's does not reach the agent.
fn is_for_agent(name: &str) -> bool {
    !name.starts_with("pcmk_")
        && !name.starts_with("CRM_meta")
        && !matches!(
            name,
            "action" | "crm_feature_set" | "provides" | "stonith-timeout" | "fencing-timeout"
        )
}

fn is_line(text: &str) -> bool {
    !text.contains(['\n', '\r', '\0'])
}

pub(super) fn is_agent_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

const TRIES_DEFAULT: u32 = 2;
const TRIES_MAX: u32 = 100;
/// Fence devices of one cluster.
const DEVICES_MAX: usize = 1024;
const DEPTH_MAX: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn with(params: &[(&str, &str)]) -> Device {
        let owned = |(n, v): &(&str, &str)| ((*n).to_owned(), (*v).to_owned());
        Device {
            params: params.iter().map(owned).collect(),
            ..Device::default()
        }
    }

    #[test]
    fn devices_of_a_cib() {
        let nv = |name: &str, value: &str| {
            Element::new("nvpair")
                .with("name", name)
                .with("value", value)
        };
        let primitive = |id: &str, class: &str, kind: &str| {
            Element::new("primitive")
                .with("id", id)
                .with("class", class)
                .with("type", kind)
        };
        let params = Element::new("instance_attributes").child(nv("ip", "10.0.0.9"));
        let meta = Element::new("meta_attributes")
            .child(nv("priority", "5"))
            .child(nv("target-role", "Stopped"));
        let resources = Element::new("resources")
            .child(primitive("ip", "ocf", "IPaddr2"))
            .child(
                primitive("f1", "stonith", "fence_ipmilan")
                    .child(params)
                    .child(meta),
            )
            .child(Element::new("group").with("id", "g").child(primitive(
                "f2",
                "stonith",
                "fence_apc",
            )))
            .child(
                Element::new("template")
                    .with("id", "t")
                    .with("class", "stonith")
                    .with("type", "fence_x")
                    .child(Element::new("instance_attributes").child(nv("ip", "1"))),
            )
            .child(
                Element::new("primitive")
                    .with("id", "f3")
                    .with("template", "t"),
            )
            .child(primitive("evil", "stonith", "../../bin/sh"));
        let cib = Element::new("cib").child(Element::new("configuration").child(resources));
        let (found, problems) = devices(&cib);
        let ids: Vec<&str> = found.iter().map(|d| d.id.as_str()).collect();
        assert_eq!(ids, ["f1", "f2", "f3"]);
        assert_eq!((found[0].priority, found[0].disabled), (5, true));
        assert_eq!(found[0].params["ip"], "10.0.0.9");
        assert_eq!(
            (found[2].agent.as_str(), found[2].params["ip"].as_str()),
            ("fence_x", "1")
        );
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("evil"), "{problems:?}");
    }

    #[test]
    fn delays() {
        let check = |params: &[(&str, &str)], random: u32, expect: u64| {
            let found = with(params).delay_ms("node2", random);
            assert_eq!(found, expect, "{params:?} {random}");
        };
        check(&[], u32::MAX, 0);
        check(&[("pcmk_delay_base", "5s")], u32::MAX, 5000);
        check(&[("pcmk_delay_base", "node1:0s;node2:10s")], 0, 10_000);
        check(&[("pcmk_delay_base", "node1:1s")], 0, 0);
        check(&[("pcmk_delay_max", "8s")], 1 << 31, 4000);
        check(
            &[("pcmk_delay_base", "2"), ("pcmk_delay_max", "4")],
            1 << 31,
            3000,
        );
        check(
            &[("pcmk_delay_base", "9"), ("pcmk_delay_max", "4")],
            u32::MAX,
            9000,
        );
    }
}
