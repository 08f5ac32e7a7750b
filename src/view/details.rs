//! Operations, node attributes and bans: what crm_mon shows of a CIB beside its resources.

use super::bans::bans;
use super::model::{Ban, NodeDetails, OperationResult, ResourceHistory};
use cib::config::{Config, Kind};
use cib::value::Score;
use cib::{Cib, Element};
use std::collections::BTreeMap;

/// Details of every node that the status section names, or that has permanent attributes, such as
/// a guest that reported nothing yet; and the bans as of now.
#[must_use]
pub fn details(cib: &Cib, now: i64) -> (Vec<NodeDetails>, Vec<Ban>) {
    let config = Config::new(cib);
    let states = cib.root().first("status");
    let states = states.into_iter().flat_map(|s| s.all("node_state"));
    let of = |name: &str, state: &Element| {
        let attributes = attributes(&config, name, state);
        NodeDetails {
            node: name.to_owned(),
            expected: expected(&config, &attributes),
            attributes,
            history: history(&config, state),
        }
    };
    let nodes = states.filter_map(|state| Some(of(state.attr("uname")?, state)));
    let mut nodes: Vec<NodeDetails> = nodes.collect();
    let silent = Element::default();
    for node in config.nodes() {
        if nodes.iter().all(|known| known.node != node.uname) {
            let told = of(node.uname, &silent);
            nodes.extend(Some(told).filter(|told| !told.attributes.is_empty()));
        }
    }
    (nodes, bans(cib, now))
}

/// Permanent and transient ones, without those that tell of failures and states which have places
/// of their own (lib/pengine/utils.c, `pe__filter…`; tools/crm_mon.c, `filter_attr_list`).
fn attributes(config: &Config<'_>, node: &str, state: &Element) -> Vec<(String, String)> {
    let mut all = BTreeMap::new();
    if let Some(node) = config.node(node) {
        all.extend(node.attributes);
    }
    all.extend(transient(state));
    let hidden =
        |name: &str| HIDDEN.contains(&name) || HIDDEN_STARTS.iter().any(|s| name.starts_with(s));
    all.retain(|name, _| !hidden(name));
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    all.into_iter().map(own).collect()
}

pub(super) fn transient(state: &Element) -> impl Iterator<Item = (&str, &str)> {
    let sets = state
        .all("transient_attributes")
        .flat_map(|t| t.all("instance_attributes"));
    sets.flat_map(|s| s.all("nvpair"))
        .filter_map(|p| Some((p.attr("name")?, p.attr("value")?)))
}

fn history(config: &Config<'_>, state: &Element) -> Vec<ResourceHistory> {
    let lrm = state.first("lrm").and_then(|l| l.first("lrm_resources"));
    let entries = lrm.into_iter().flat_map(|l| l.all("lrm_resource"));
    let histories = entries.filter_map(|entry| {
        let id = entry.id()?;
        let mut operations: Vec<_> = entry.all("lrm_rsc_op").filter_map(operation).collect();
        operations.sort_by_key(|op| op.call_id);
        let base = id.split(':').next().unwrap_or(id);
        let resource = config.resource(base);
        let resource = resource.filter(|r| r.kind == Kind::Primitive);
        let threshold = resource.and_then(|r| {
            let meta = config.meta(&r);
            Score::parse(meta.get("migration-threshold")?).ok()
        });
        let shown = match is_unique(config, base) {
            true => id,
            false => base,
        };
        let failures: Vec<_> = transient(state)
            .filter(|(name, _)| belongs(name, "fail-count-", shown))
            .filter_map(|(_, value)| Score::parse(value).ok())
            .collect();
        let last = transient(state).filter(|(name, _)| belongs(name, "last-failure-", shown));
        Some(ResourceHistory {
            resource: shown.to_owned(),
            threshold: threshold.unwrap_or(Score::INFINITY).get(),
            fail_count: failures.into_iter().reduce(|a, b| a + b).map(Score::get),
            last_failure: last.filter_map(|(_, v)| v.parse().ok()).max(),
            operations,
        })
    });
    histories.filter(|h| !h.operations.is_empty()).collect()
}

/// `fail-count-RSC#monitor_10000` is about that resource, or an instance of it; about an instance
/// with its number it is alone.
fn belongs(name: &str, start: &str, resource: &str) -> bool {
    let rest = name.strip_prefix(start).and_then(|r| r.rsplit_once('#'));
    rest.is_some_and(|(rsc, _)| rsc == resource || rsc.split(':').next() == Some(resource))
}

/// A result worth showing: a probe that found nothing is none, nor is what still runs.
fn operation(op: &Element) -> Option<OperationResult> {
    let number = |name: &str| op.attr(name).and_then(|v| v.parse::<u64>().ok());
    let interval_ms = number("interval").unwrap_or(0);
    let rc = op.attr("rc-code")?.parse().ok()?;
    let mut task = op.attr("operation")?;
    let call_id = op.attr("call-id")?.parse().ok()?;
    let probe = task == "monitor" && interval_ms == 0;
    if task == "notify" || call_id < 0 || (probe && rc == NOT_RUNNING) {
        return None;
    }
    if probe {
        task = "probe";
    }
    Some(OperationResult {
        call_id,
        task: task.to_owned(),
        interval_ms,
        rc,
        last_rc_change: op.attr("last-rc-change").and_then(|v| v.parse().ok()),
        exec_time_ms: number("exec-time"),
        queue_time_ms: number("queue-time"),
    })
}

/// A ping resource whose attribute that is says by its parameters what the attribute is to be:
/// as many hosts, times the multiplier (tools/crm_mon.c, `add_extra_info`).
fn expected(config: &Config<'_>, attributes: &[(String, String)]) -> Vec<(String, i64)> {
    let primitives = config.resources().into_iter();
    let primitives = primitives.filter(|r| r.kind == Kind::Primitive);
    let pings: Vec<(String, i64)> = primitives
        .filter(|r| {
            let agent = config.agent(r).map(|a| a.kind.to_ascii_lowercase());
            agent.is_some_and(|kind| kind == "ping" || kind == "pingd")
        })
        .map(|r| {
            let parameters = config.parameters(&r);
            let hosts = parameters.get("host_list").map(|h| h.split(' ').count());
            let times = parameters.get("multiplier").and_then(|m| m.parse().ok());
            let hosts = i64::try_from(hosts.unwrap_or(0)).unwrap_or(i64::MAX);
            let name = parameters.get("name").map_or("pingd", |name| *name);
            (name.to_owned(), hosts.saturating_mul(times.unwrap_or(1)))
        })
        .collect();
    let names = attributes.iter().map(|(name, _)| name);
    let known = names.filter_map(|name| {
        let ping = pings
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        Some((name.clone(), ping.1))
    });
    known.collect()
}

/// The instances of a clone of it are not alike: each has its own number.
fn is_unique(config: &Config<'_>, id: &str) -> bool {
    config.around(id).any(|parent| {
        let meta = config.meta(&parent);
        let unique = meta.get("globally-unique");
        let unique = unique.map(|v| cib::value::parse_bool(v));
        parent.kind == Kind::Clone && matches!(unique, Some(Ok(true)))
    })
}

/// Attributes that are shown elsewhere.
const HIDDEN: [&str; 3] = ["shutdown", "terminate", "standby"];
const HIDDEN_STARTS: [&str; 3] = ["fail-count-", "last-failure-", "#"];
/// OCF's code for a resource that does not run.
const NOT_RUNNING: i32 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_sorted_counted_and_without_empty_probes() {
        let xml = r##"<cib admin_epoch="0" epoch="1" num_updates="0"><configuration><crm_config/><nodes><node id="1" uname="node1"><instance_attributes id="n"><nvpair id="n-r" name="rack" value="7"/><nvpair id="n-s" name="standby" value="off"/></instance_attributes></node></nodes><resources><primitive id="d" class="ocf" provider="p" type="t"><meta_attributes id="dm"><nvpair id="dm-t" name="migration-threshold" value="3"/></meta_attributes></primitive></resources><constraints><rsc_location id="no" rsc="d" node="node1" score="-INFINITY"/><rsc_location id="yes" rsc="d" node="node1" score="5"/></constraints></configuration><status><node_state id="1" uname="node1"><transient_attributes id="1"><instance_attributes id="s"><nvpair id="s1" name="pingd" value="100"/><nvpair id="s2" name="fail-count-d#monitor_10000" value="2"/><nvpair id="s3" name="fail-count-d:1#start_0" value="1"/><nvpair id="s4" name="last-failure-d#monitor_10000" value="17"/><nvpair id="s5" name="fail-count-dd#start_0" value="9"/></instance_attributes></transient_attributes><lrm id="1"><lrm_resources><lrm_resource id="d"><lrm_rsc_op id="a" operation="monitor" interval="10000" call-id="14" rc-code="0" exec-time="15"/><lrm_rsc_op id="b" operation="start" interval="0" call-id="12" rc-code="0"/><lrm_rsc_op id="p" operation="start" interval="0" call-id="-1" rc-code="193"/></lrm_resource><lrm_resource id="e:0"><lrm_rsc_op id="c" operation="monitor" interval="0" call-id="3" rc-code="7"/></lrm_resource><lrm_resource id="f:0"><lrm_rsc_op id="g" operation="monitor" interval="0" call-id="3" rc-code="0"/></lrm_resource></lrm_resources></lrm></node_state></status></cib>"##;
        let (nodes, bans) = details(&Cib::parse(xml).unwrap(), 0);
        let [node] = nodes.as_slice() else {
            panic!("{nodes:?}")
        };
        let pairs: Vec<_> = node
            .attributes
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(pairs, [("pingd", "100"), ("rack", "7")]);
        let [d, f] = node.history.as_slice() else {
            panic!("{:?}", node.history)
        };
        let calls: Vec<_> = d.operations.iter().map(|o| o.call_id).collect();
        assert_eq!(calls, [12, 14]);
        assert_eq!(
            (d.threshold, d.fail_count, d.last_failure),
            (3, Some(3), Some(17))
        );
        assert_eq!((f.resource.as_str(), f.threshold), ("f", 1_000_000));
        assert_eq!(f.operations[0].task, "probe");
        let ids: Vec<_> = bans.iter().map(|b| b.id.as_str()).collect();
        assert_eq!(ids, ["no"]);
    }

    #[test]
    fn instances_that_are_not_alike_keep_their_numbers() {
        let lrm = |id: &str| {
            format!(
                "<lrm_resource id=\"{id}\"><lrm_rsc_op id=\"{id}_o\" operation=\"start\" interval=\"0\" call-id=\"3\" rc-code=\"0\"/></lrm_resource>"
            )
        };
        let clone = |id: &str, unique: &str| {
            format!(
                "<clone id=\"{id}c\"><meta_attributes id=\"{id}m\"><nvpair id=\"{id}p\" name=\"globally-unique\" value=\"{unique}\"/></meta_attributes><primitive id=\"{id}\" class=\"ocf\" provider=\"p\" type=\"t\"/></clone>"
            )
        };
        let xml = format!(
            "<cib><configuration><crm_config/><nodes><node id=\"1\" uname=\"a\"/></nodes><resources>{}{}</resources><constraints/></configuration><status><node_state id=\"1\" uname=\"a\"><transient_attributes id=\"1\"><instance_attributes id=\"s\"><nvpair id=\"s1\" name=\"fail-count-u:1#start_0\" value=\"2\"/></instance_attributes></transient_attributes><lrm id=\"1\"><lrm_resources>{}{}{}</lrm_resources></lrm></node_state></status></cib>",
            clone("u", "true"),
            clone("v", "false"),
            lrm("u:0"),
            lrm("u:1"),
            lrm("v:0"),
        );
        let (nodes, _) = details(&Cib::parse(&xml).unwrap(), 0);
        let told = nodes[0].history.iter();
        let told: Vec<_> = told.map(|h| (h.resource.as_str(), h.fail_count)).collect();
        assert_eq!(told, [("u:0", None), ("u:1", Some(2)), ("v", None)]);
    }

    #[test]
    fn a_ping_says_what_its_attribute_is_to_be() {
        let xml = r#"<cib><configuration><crm_config/><nodes><node id="1" uname="a"/></nodes><resources><clone id="c"><primitive id="p" class="ocf" provider="pacemaker" type="ping"><instance_attributes id="i"><nvpair id="i1" name="host_list" value="10.0.0.1 10.0.0.2"/><nvpair id="i2" name="multiplier" value="100"/></instance_attributes></primitive></clone></resources><constraints/></configuration><status><node_state id="1" uname="a"><transient_attributes id="1"><instance_attributes id="s"><nvpair id="s1" name="pingd" value="100"/><nvpair id="s2" name="other" value="1"/></instance_attributes></transient_attributes></node_state></status></cib>"#;
        let (nodes, _) = details(&Cib::parse(xml).unwrap(), 0);
        assert_eq!(nodes[0].expected, [("pingd".to_owned(), 200)]);
    }

    #[test]
    fn what_was_set_for_good_is_told_of_a_node_without_a_state() {
        let xml = r#"<cib admin_epoch="0" epoch="1" num_updates="0"><configuration><crm_config/><nodes><node id="guest" uname="guest"><instance_attributes id="g"><nvpair id="g-r" name="rack" value="7"/></instance_attributes></node><node id="bare" uname="bare"/></nodes><resources/><constraints/></configuration><status/></cib>"#;
        let (nodes, _) = details(&Cib::parse(xml).unwrap(), 0);
        let [guest] = nodes.as_slice() else {
            panic!("{nodes:?}")
        };
        assert_eq!(guest.attributes, [("rack".to_owned(), "7".to_owned())]);
    }
}
