//! Operations, node attributes and bans: what crm_mon shows of a CIB beside its resources.

use super::model::{Ban, NodeDetails, OperationResult, ResourceHistory};
use cib::config::{Config, Kind};
use cib::value::Score;
use cib::{Cib, Element};
use std::collections::BTreeMap;

/// Details of every node that the status section names, and the bans.
#[must_use]
pub fn details(cib: &Cib) -> (Vec<NodeDetails>, Vec<Ban>) {
    let config = Config::new(cib);
    let states = cib.root().first("status");
    let states = states.into_iter().flat_map(|s| s.all("node_state"));
    let nodes = states.filter_map(|state| {
        let name = state.attr("uname")?;
        Some(NodeDetails {
            node: name.to_owned(),
            attributes: attributes(&config, name, state),
            history: history(&config, state),
        })
    });
    (nodes.collect(), bans(&config))
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

fn transient(state: &Element) -> impl Iterator<Item = (&str, &str)> {
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
        let failures: Vec<_> = transient(state)
            .filter(|(name, _)| belongs(name, "fail-count-", base))
            .filter_map(|(_, value)| Score::parse(value).ok())
            .collect();
        let last = transient(state).filter(|(name, _)| belongs(name, "last-failure-", base));
        Some(ResourceHistory {
            resource: base.to_owned(),
            threshold: threshold.unwrap_or(Score::INFINITY).get(),
            fail_count: failures.into_iter().reduce(|a, b| a + b).map(Score::get),
            last_failure: last.filter_map(|(_, v)| v.parse().ok()).max(),
            operations,
        })
    });
    histories.filter(|h| !h.operations.is_empty()).collect()
}

/// `fail-count-RSC#monitor_10000` is about that resource, or an instance of it.
fn belongs(name: &str, start: &str, resource: &str) -> bool {
    let rest = name.strip_prefix(start).and_then(|r| r.rsplit_once('#'));
    rest.is_some_and(|(rsc, _)| rsc.split(':').next() == Some(resource))
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

/// Constraints that keep a resource away from a node that they name.
fn bans(config: &Config<'_>) -> Vec<Ban> {
    let constraints = config.constraints().into_iter().map(|c| c.element);
    let locations = constraints.filter(|c| c.name == "rsc_location");
    let ban = |c: &Element| {
        let weight = Score::parse(c.attr("score")?).ok()?;
        let role = c.attr("role").unwrap_or_default();
        (weight < Score::default()).then_some(Ban {
            id: c.id()?.to_owned(),
            resource: c.attr("rsc")?.to_owned(),
            node: c.attr("node")?.to_owned(),
            weight: weight.get(),
            promoted_only: ["promoted", "master"].contains(&role.to_ascii_lowercase().as_str()),
        })
    };
    locations.filter_map(ban).collect()
}

/// Attributes that are shown elsewhere.
const HIDDEN: [&str; 4] = ["shutdown", "terminate", "standby", "maintenance"];
const HIDDEN_STARTS: [&str; 3] = ["fail-count-", "last-failure-", "#"];
/// OCF's code for a resource that does not run.
const NOT_RUNNING: i32 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_sorted_counted_and_without_empty_probes() {
        let xml = r##"<cib admin_epoch="0" epoch="1" num_updates="0"><configuration><crm_config/><nodes><node id="1" uname="node1"><instance_attributes id="n"><nvpair id="n-r" name="rack" value="7"/><nvpair id="n-s" name="standby" value="off"/></instance_attributes></node></nodes><resources><primitive id="d" class="ocf" provider="p" type="t"><meta_attributes id="dm"><nvpair id="dm-t" name="migration-threshold" value="3"/></meta_attributes></primitive></resources><constraints><rsc_location id="no" rsc="d" node="node1" score="-INFINITY"/><rsc_location id="yes" rsc="d" node="node1" score="5"/></constraints></configuration><status><node_state id="1" uname="node1"><transient_attributes id="1"><instance_attributes id="s"><nvpair id="s1" name="pingd" value="100"/><nvpair id="s2" name="fail-count-d#monitor_10000" value="2"/><nvpair id="s3" name="fail-count-d:1#start_0" value="1"/><nvpair id="s4" name="last-failure-d#monitor_10000" value="17"/><nvpair id="s5" name="fail-count-dd#start_0" value="9"/></instance_attributes></transient_attributes><lrm id="1"><lrm_resources><lrm_resource id="d"><lrm_rsc_op id="a" operation="monitor" interval="10000" call-id="14" rc-code="0" exec-time="15"/><lrm_rsc_op id="b" operation="start" interval="0" call-id="12" rc-code="0"/><lrm_rsc_op id="p" operation="start" interval="0" call-id="-1" rc-code="193"/></lrm_resource><lrm_resource id="e:0"><lrm_rsc_op id="c" operation="monitor" interval="0" call-id="3" rc-code="7"/></lrm_resource><lrm_resource id="f:0"><lrm_rsc_op id="g" operation="monitor" interval="0" call-id="3" rc-code="0"/></lrm_resource></lrm_resources></lrm></node_state></status></cib>"##;
        let (nodes, bans) = details(&Cib::parse(xml).unwrap());
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
}
