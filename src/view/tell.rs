//! Words and numbers that every renderer needs.

use super::Status;
use scheduler::{NodeStatus, ResourceStatus};

/// Time as asctime(3) and crm_mon write it, in local time: `Sat Nov 21 13:48:20 2026`.
#[must_use]
pub fn asctime(seconds: i64) -> String {
    let Ok(at) = jiff::Timestamp::from_second(seconds) else {
        return seconds.to_string();
    };
    let at = at.to_zoned(jiff::tz::TimeZone::system());
    at.strftime("%a %b %e %H:%M:%S %Y").to_string()
}

/// A time span as Pacemaker words it: `10s`, `1m30s`, `1.500s`, `15ms`
/// (`pcmk__readable_interval`).
#[must_use]
pub fn interval(milliseconds: u64) -> String {
    let mut text = String::new();
    let mut rest = milliseconds;
    for (unit, name) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m")] {
        if rest >= unit {
            text.push_str(&format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    let (seconds, ms) = (rest / 1000, rest % 1000);
    match (seconds, ms) {
        (0, 0) if text.is_empty() => text.push_str("0s"),
        (0, 0) => {}
        (0, ms) => text.push_str(&format!("{ms}ms")),
        (s, 0) => text.push_str(&format!("{s}s")),
        (s, ms) => text.push_str(&format!("{s}.{ms:03}s")),
    }
    text
}

/// An OCF exit code in words (`services_ocf_exitcode_str`).
#[must_use]
pub const fn ocf_code(rc: i32) -> &'static str {
    match rc {
        0 => "ok",
        1 => "error",
        2 => "invalid parameter",
        3 => "unimplemented feature",
        4 => "insufficient privileges",
        5 => "not installed",
        6 => "not configured",
        7 => "not running",
        8 => "promoted",
        9 => "promoted (failed)",
        190 => "OCF_DEGRADED",
        191 => "promoted (degraded)",
        _ => "unknown",
    }
}

/// How an execution ended, in words (`pcmk_exec_status_str`).
#[must_use]
pub const fn exec_status(status: i32) -> &'static str {
    match status {
        -1 => "pending",
        0 => "complete",
        1 => "Cancelled",
        2 => "Timed Out",
        3 => "NOT SUPPORTED",
        4 => "Error",
        5 => "Hard error",
        6 => "Fatal error",
        7 => "Not installed",
        8 => "Internal communication failure",
        9 => "Cannot execute now",
        10 => "No fence device",
        11 => "CIB secrets unavailable",
        _ => "UNKNOWN!",
    }
}

/// A fail count or threshold as pcs writes it: a million is `INFINITY`.
#[must_use]
pub fn score(count: u32) -> String {
    if count >= 1_000_000 {
        "INFINITY".to_owned()
    } else {
        count.to_string()
    }
}

/// A node's state in crm_mon's words (lib/pengine `get_node_status`).
#[must_use]
pub const fn node_state(node: &NodeStatus) -> &'static str {
    match node {
        NodeStatus {
            unclean: true,
            online: true,
            ..
        } => "UNCLEAN (online)",
        NodeStatus {
            unclean: true,
            pending: true,
            ..
        } => "UNCLEAN (pending)",
        NodeStatus { unclean: true, .. } => "UNCLEAN (offline)",
        NodeStatus { pending: true, .. } => "pending",
        NodeStatus {
            standby_on_fail: true,
            online: true,
            ..
        } => "standby (on-fail)",
        NodeStatus {
            standby: true,
            online: true,
            resources_running: 0,
            ..
        } => "standby",
        NodeStatus {
            standby: true,
            online: true,
            ..
        } => "standby (with active resources)",
        NodeStatus {
            maintenance: true,
            online: true,
            ..
        } => "maintenance",
        NodeStatus {
            maintenance: true, ..
        } => "OFFLINE (maintenance)",
        NodeStatus { online: true, .. } => "online",
        NodeStatus { standby: true, .. } => "OFFLINE (standby)",
        NodeStatus { .. } => "OFFLINE",
    }
}

/// The primitives in a resource, itself included.
pub fn leaves<'a>(resource: &'a ResourceStatus, see: &mut dyn FnMut(&'a ResourceStatus)) {
    if resource.children.is_empty() {
        see(resource);
    }
    for child in &resource.children {
        leaves(child, see);
    }
}

/// A resource of this id, wherever it stands; instance numbers may be left out.
#[must_use]
pub fn find_resource<'a>(resources: &'a [ResourceStatus], id: &str) -> Option<&'a ResourceStatus> {
    resources.iter().find_map(|r| {
        let base = r.id.split(':').next();
        if r.id == id || base == Some(id) {
            return Some(r);
        }
        find_resource(&r.children, id)
    })
}

/// How many resource instances there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Configured.
    pub configured: usize,
    /// Kept stopped by `target-role`.
    pub disabled: usize,
    /// Blocked by a failure.
    pub blocked: usize,
    /// Active.
    pub active: usize,
}

/// Counts resource instances; what is gone from the configuration and runs nowhere is none.
#[must_use]
pub fn count(resources: &[ResourceStatus]) -> Counts {
    let mut counts = Counts::default();
    for resource in resources {
        leaves(resource, &mut |leaf| {
            let collective = matches!(leaf.kind.as_str(), "group" | "clone" | "bundle");
            if !collective && (!leaf.orphaned || leaf.role != "Stopped") {
                counts.configured += 1;
                counts.disabled += usize::from(leaf.shown.disabled);
                counts.blocked += usize::from(leaf.blocked);
                counts.active += usize::from(leaf.active);
            }
        });
    }
    counts
}

/// Kept stopped by its `target-role`.
pub(super) fn is_disabled(resource: &ResourceStatus) -> bool {
    resource
        .target_role
        .as_deref()
        .is_some_and(|role| role.eq_ignore_ascii_case("stopped"))
}

/// A cluster option's value, if set; `stonith-…` also under its newer name.
#[must_use]
pub fn option<'a>(status: &'a Status, name: &str) -> Option<&'a str> {
    let other = cib::config::other_fencing_name(name);
    let found = |wanted: &str| status.options.iter().find(|(n, _)| n == wanted);
    found(name)
        .or_else(|| found(other.as_deref()?))
        .map(|(_, v)| v.as_str())
}

/// A boolean cluster option.
#[must_use]
pub fn option_on(status: &Status, name: &str, default: bool) -> bool {
    option(status, name)
        .and_then(|v| cib::value::parse_bool(v).ok())
        .unwrap_or(default)
}

/// Where a resource runs, each place once, with ` Promoted` behind the node where it is that.
#[must_use]
pub fn places(resource: &ResourceStatus) -> Vec<(String, &'static str)> {
    let mut places = Vec::new();
    leaves(resource, &mut |leaf| {
        let role = match leaf.role.as_str() {
            "Promoted" => " Promoted",
            _ => "",
        };
        for node in &leaf.nodes {
            let place = (node.clone(), role);
            if !places.contains(&place) {
                places.push(place);
            }
        }
    });
    places
}

/// Options that take safety away, each in a sentence that says what may happen and the cure.
#[must_use]
pub fn risks(status: &Status) -> Vec<String> {
    let mut risks = Vec::new();
    if !option_on(status, "stonith-enabled", true) && status.nodes.len() > 1 {
        risks.push(
            "fencing is off (stonith-enabled=false): a node that hangs may still write to shared data while another takes over; configure a fence device".to_owned(),
        );
    }
    match (option(status, "no-quorum-policy"), status.nodes.len()) {
        (Some("ignore"), 3..) => risks.push(
            "no-quorum-policy=ignore is taken as freeze with more than two nodes: a partition without quorum starts nothing; write freeze or stop".to_owned(),
        ),
        (Some("ignore"), _) => risks.push(
            "quorum is ignored (no-quorum-policy=ignore): two nodes that lose sight of each other both run everything; use `two_node: 1` in corosync.conf and a fence device".to_owned(),
        ),
        (Some("suicide" | "fence"), _) if !option_on(status, "stonith-enabled", true) => risks.push(
            "no-quorum-policy=fence (or suicide) is taken as stop, because fencing is off: a node without quorum stops its resources and is not killed; configure a fence device, or write stop".to_owned(),
        ),
        _ => {}
    }
    risks
}
