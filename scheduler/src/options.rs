//! Cluster properties the scheduler obeys, with Pacemaker's defaults and both spellings of the
//! fencing ones (`stonith-*` and `fencing-*`).

use crate::rule::{Facts, unpack_nvpairs};
use crate::text::{is_true, parse_bool, parse_ms};
use cib::Element;
use std::collections::BTreeMap;

/// What an inquorate partition may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoQuorum {
    /// Stop everything.
    Stop,
    /// Keep what runs, start nothing.
    Freeze,
    /// Go on as with quorum.
    Ignore,
    /// Demote what is promoted, stop the rest.
    Demote,
    /// Fence this whole partition (`suicide`).
    Fence,
}

impl NoQuorum {
    /// Configured spelling.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Freeze => "freeze",
            Self::Ignore => "ignore",
            Self::Demote => "demote",
            Self::Fence => "fence",
        }
    }
}

/// `placement-strategy`: what utilization means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    Default,
    Utilization,
    Minimal,
    Balanced,
}

/// Cluster properties in force.
#[derive(Clone, Debug)]
pub(crate) struct ClusterOptions {
    pub(crate) all: BTreeMap<String, String>,
    pub(crate) quorate: bool,
    pub(crate) no_quorum: NoQuorum,
    pub(crate) fencing: bool,
    pub(crate) fencing_action: String,
    pub(crate) fencing_timeout_ms: u64,
    pub(crate) startup_fencing: bool,
    /// Some device unfences.
    pub(crate) unfencing: bool,
    pub(crate) concurrent_fencing: bool,
    pub(crate) priority_fencing_delay_s: u64,
    pub(crate) symmetric: bool,
    pub(crate) maintenance: bool,
    pub(crate) startup_probes: bool,
    pub(crate) stop_all: bool,
    pub(crate) stop_removed_resources: bool,
    pub(crate) cancel_removed_actions: bool,
    pub(crate) remove_after_stop: bool,
    pub(crate) node_pending_timeout_ms: u64,
    pub(crate) placement: Placement,
    pub(crate) shutdown_lock: bool,
    /// 0 = locks do not expire.
    pub(crate) shutdown_lock_limit_ms: u64,
    pub(crate) cluster_delay_ms: u64,
    pub(crate) batch_limit: u32,
    pub(crate) migration_limit: i32,
}

impl ClusterOptions {
    /// Reads `crm_config`. Unusable values are named in `warnings` and replaced by defaults.
    pub(crate) fn unpack(cib: &Element, now: i64, warnings: &mut Vec<String>) -> Self {
        let all = options_in_force(cib, now);
        let reader = Reader { all: &all };
        let fencing = reader.flag(&["fencing-enabled", "stonith-enabled"], true, warnings);
        let quorate = is_true(cib.attr("have-quorum"));
        let mut no_quorum = no_quorum_policy(reader.text(&["no-quorum-policy"]), fencing, warnings);
        if no_quorum == NoQuorum::Fence && !quorate && !is_true(cib.attr("no-quorum-panic")) {
            // A cluster that comes up must not fence before it ever had quorum.
            no_quorum = NoQuorum::Stop;
        }
        let options = Self {
            quorate,
            no_quorum,
            fencing,
            fencing_action: fencing_action(reader.text(&["fencing-action", "stonith-action"])),
            fencing_timeout_ms: reader.ms(
                &["fencing-timeout", "stonith-timeout"],
                60_000,
                warnings,
            ),
            unfencing: section(cib, "resources").is_some_and(|all| provides_unfencing(all, 0)),
            startup_fencing: reader.flag(&["startup-fencing"], true, warnings),
            concurrent_fencing: reader.flag(&["concurrent-fencing"], true, warnings),
            priority_fencing_delay_s: reader.ms(&["priority-fencing-delay"], 0, warnings) / 1000,
            symmetric: reader.flag(&["symmetric-cluster", "symmetric_cluster"], true, warnings),
            maintenance: reader.flag(&["maintenance-mode"], false, warnings),
            startup_probes: reader.flag(&["enable-startup-probes"], true, warnings),
            stop_all: reader.flag(&["stop-all-resources"], false, warnings),
            stop_removed_resources: reader.flag(
                &["stop-removed-resources", "stop-orphan-resources"],
                true,
                warnings,
            ),
            cancel_removed_actions: reader.flag(
                &["cancel-removed-actions", "stop-orphan-actions"],
                true,
                warnings,
            ),
            remove_after_stop: reader.flag(&["remove-after-stop"], false, warnings),
            node_pending_timeout_ms: reader.ms(&["node-pending-timeout"], 0, warnings),
            placement: match reader.text(&["placement-strategy"]) {
                Some("utilization") => Placement::Utilization,
                Some("minimal") => Placement::Minimal,
                Some("balanced") => Placement::Balanced,
                _ => Placement::Default,
            },
            shutdown_lock: reader.flag(&["shutdown-lock"], false, warnings),
            shutdown_lock_limit_ms: reader.ms(&["shutdown-lock-limit"], 0, warnings),
            cluster_delay_ms: reader.ms(&["cluster-delay"], 60_000, warnings),
            batch_limit: reader
                .text(&["batch-limit"])
                .and_then(|v| v.parse().ok())
                .unwrap_or(0),
            migration_limit: reader
                .text(&["migration-limit"])
                .and_then(|v| v.parse().ok())
                .unwrap_or(-1),
            all: BTreeMap::new(),
        };
        Self { all, ..options }
    }
}

/// Cluster properties in force at a time (seconds since the epoch), as they are written: of equal
/// names, what the scores and rules of their sets say.
#[must_use]
pub fn options_in_force(cib: &Element, now: i64) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if let Some(config) = section(cib, "crm_config") {
        let facts = Facts::at(now);
        unpack_nvpairs(cib, &[config], "cluster_property_set", &facts, &mut all);
    }
    all
}

/// A section of `configuration`.
pub(crate) fn section<'a>(cib: &'a Element, name: &str) -> Option<&'a Element> {
    cib.first("configuration")?.first(name)
}

/// Deepest element searched for `provides=unfencing`.
const SEARCH_DEPTH_MAX: u32 = 16;

/// Whether a device is said to unfence (Pacemaker unpack.c:XPATH_ENABLE_UNFENCING).
fn provides_unfencing(at: &Element, depth: u32) -> bool {
    let here = at.name == "meta_attributes"
        && at.all("nvpair").any(|pair| {
            pair.attr("name") == Some("provides") && pair.attr("value") == Some("unfencing")
        });
    here || (depth < SEARCH_DEPTH_MAX
        && at
            .children
            .iter()
            .any(|child| provides_unfencing(child, depth + 1)))
}

fn fencing_action(text: Option<&str>) -> String {
    match text {
        // "poweroff" is the oldest spelling of "off".
        Some("poweroff" | "off") => "off".to_owned(),
        _ => "reboot".to_owned(),
    }
}

fn no_quorum_policy(text: Option<&str>, fencing: bool, warnings: &mut Vec<String>) -> NoQuorum {
    match text.map(str::to_ascii_lowercase).as_deref() {
        None | Some("stop") => NoQuorum::Stop,
        Some("ignore") => NoQuorum::Ignore,
        Some("freeze") => NoQuorum::Freeze,
        Some("demote") => NoQuorum::Demote,
        Some("suicide" | "fence") if fencing => NoQuorum::Fence,
        Some("suicide" | "fence") => {
            warnings.push("no-quorum-policy: fence needs fencing; using stop".to_owned());
            NoQuorum::Stop
        }
        Some(other) => {
            warnings.push(format!(
                "no-quorum-policy: '{other}' is not valid; using stop"
            ));
            NoQuorum::Stop
        }
    }
}

struct Reader<'a> {
    all: &'a BTreeMap<String, String>,
}

impl Reader<'_> {
    fn text(&self, names: &[&str]) -> Option<&str> {
        names
            .iter()
            .find_map(|name| self.all.get(*name))
            .map(String::as_str)
    }

    fn flag(&self, names: &[&str], default: bool, warnings: &mut Vec<String>) -> bool {
        let Some(text) = self.text(names) else {
            return default;
        };
        parse_bool(Some(text)).unwrap_or_else(|| {
            warnings.push(format!(
                "{}: '{text}' is not a boolean; using {default}",
                names[0]
            ));
            default
        })
    }

    fn ms(&self, names: &[&str], default: u64, warnings: &mut Vec<String>) -> u64 {
        let Some(text) = self.text(names) else {
            return default;
        };
        parse_ms(text).unwrap_or_else(|| {
            warnings.push(format!(
                "{}: '{text}' is not a time; using {default} ms",
                names[0]
            ));
            default
        })
    }
}
