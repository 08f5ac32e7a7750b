//! What the configuration says about an operation: its meta attributes, parameters, what it
//! requires, and what its failure means.

use crate::cluster::{Cluster, NodeId, RscId};
use crate::meta::Meta;
use crate::options::section;
use crate::resource::Role;
use crate::rule::{Facts, unpack_nvpairs};
use crate::text::parse_ms;
use crate::values::Values;
use std::collections::BTreeMap;

/// Timeout of operations that have none configured (PCMK_DEFAULT_ACTION_TIMEOUT).
const TIMEOUT_DEFAULT_MS: u64 = 20_000;

/// What must be given before an action may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Requires {
    Nothing,
    Quorum,
    Fencing,
}

/// What a failure leads to, by increasing severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OnFail {
    Ignore,
    Demote,
    Restart,
    ResetRemote,
    RestartContainer,
    Ban,
    Block,
    Stop,
    Standby,
    Fence,
}

impl OnFail {
    /// Configured spelling.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Demote => "demote",
            Self::Restart | Self::ResetRemote => "restart",
            Self::RestartContainer => "restart-container",
            Self::Ban => "migrate",
            Self::Block => "block",
            Self::Stop => "stop",
            Self::Standby => "standby",
            Self::Fence => "fence",
        }
    }
}

/// An operation's configuration, evaluated.
#[derive(Clone, Debug)]
pub(crate) struct OperationDetails {
    pub(crate) meta: Meta,
    pub(crate) extra: BTreeMap<String, String>,
    pub(crate) needs: Requires,
}

impl Cluster<'_> {
    /// Meta attributes, parameters and requirements of an operation.
    pub(crate) fn operation_details(
        &self,
        rsc: RscId,
        op: &str,
        interval_ms: u64,
        node: Option<NodeId>,
    ) -> OperationDetails {
        let mut extra = BTreeMap::new();
        if let Some(config) = self.op_config(rsc, op, interval_ms, true) {
            let facts = Facts {
                node_attrs: node.map(|node| &self.nodes[node].attrs),
                ..self.facts()
            };
            unpack_nvpairs(
                self.cib,
                &[config.xml],
                "instance_attributes",
                &facts,
                &mut extra,
            );
        }
        OperationDetails {
            meta: self.operation_meta(rsc, op, interval_ms, node),
            extra,
            needs: self.operation_needs(rsc, op),
        }
    }

    fn operation_needs(&self, rsc: RscId, op: &str) -> Requires {
        let flags = &self.rscs[rsc].flags;
        if !matches!(op, "start" | "promote") {
            Requires::Nothing
        } else if flags.needs_fencing {
            Requires::Fencing
        } else if flags.needs_quorum {
            Requires::Quorum
        } else {
            Requires::Nothing
        }
    }

    /// Pacemaker pe_actions.c:pcmk__unpack_action_meta. Times come out in milliseconds.
    pub(crate) fn operation_meta(
        &self,
        rsc: RscId,
        op: &str,
        interval_ms: u64,
        node: Option<NodeId>,
    ) -> Meta {
        let make = || {
            self.unpack_operation_meta(rsc, op, interval_ms, node)
                .into()
        };
        if self.has_timeout_of_device(rsc, op, interval_ms) {
            return make();
        }
        match self.unconfigured_timeout_ms(rsc, op, interval_ms) {
            Some(timeout_ms) => self.meta_of_timeout(timeout_ms),
            None => self.known_meta(rsc, op, interval_ms, make),
        }
    }

    /// The timeout of an operation of which nothing else is known.
    fn unconfigured_timeout_ms(&self, rsc: RscId, op: &str, interval_ms: u64) -> Option<u64> {
        let configured = interval_ms > 0 || self.op_config(rsc, op, interval_ms, true).is_some();
        if configured || section(self.cib, "op_defaults").is_some() {
            return None;
        }
        let of_monitor = match op {
            "monitor" => self.shortest_monitor_timeout(rsc),
            _ => None,
        };
        Some(of_monitor.and_then(parse_ms).unwrap_or(TIMEOUT_DEFAULT_MS))
    }

    /// Whether a fence device's own parameter says how long an operation may take.
    fn has_timeout_of_device(&self, rsc: RscId, op: &str, interval_ms: u64) -> bool {
        let probe = op == "monitor" && interval_ms == 0;
        self.rscs[rsc].flags.fence_device && (op == "start" || probe)
    }

    fn unpack_operation_meta(
        &self,
        rsc: RscId,
        op: &str,
        interval_ms: u64,
        node: Option<NodeId>,
    ) -> BTreeMap<String, String> {
        let r = &self.rscs[rsc];
        let facts = Facts {
            agent: Some((&r.class, r.provider.as_deref().unwrap_or(""), &r.kind)),
            operation: Some((op, interval_ms)),
            ..self.facts()
        };
        let mut meta = BTreeMap::new();
        let config = self.op_config(rsc, op, interval_ms, true);
        if let Some(config) = config {
            let attrs = config.xml.attrs.iter();
            for (name, value) in attrs.filter(|(name, _)| name != "id" && name != "interval") {
                meta.insert(name.to_string(), value.to_string());
            }
            unpack_nvpairs(
                self.cib,
                &[config.xml],
                "meta_attributes",
                &facts,
                &mut meta,
            );
        }
        let probe = op == "monitor" && interval_ms == 0;
        if probe
            && !meta.contains_key("timeout")
            && let Some(timeout) = self.shortest_monitor_timeout(rsc)
        {
            meta.insert("timeout".to_owned(), timeout.to_owned());
        }
        if let Some(defaults) = section(self.cib, "op_defaults") {
            unpack_nvpairs(self.cib, &[defaults], "meta_attributes", &facts, &mut meta);
        }
        meta.remove("id");
        meta.remove("interval");
        if interval_ms > 0 {
            meta.insert("interval".to_owned(), interval_ms.to_string());
        }
        if self.has_timeout_of_device(rsc, op, interval_ms)
            && let Some(timeout) = self.params(rsc, node).remove("pcmk_monitor_timeout")
        {
            meta.insert("timeout".to_owned(), timeout);
        }
        let timeout_ms = meta
            .get("timeout")
            .and_then(|text| parse_ms(text))
            .unwrap_or(TIMEOUT_DEFAULT_MS);
        meta.insert("timeout".to_owned(), timeout_ms.to_string());
        self.normalize_start_delay(&mut meta, interval_ms);
        meta
    }

    fn normalize_start_delay(&self, meta: &mut BTreeMap<String, String>, interval_ms: u64) {
        if let Some(delay) = meta.get("start-delay") {
            let delay_ms = parse_ms(delay).unwrap_or(0);
            meta.insert("start-delay".to_owned(), delay_ms.to_string());
        } else if interval_ms >= 1000
            && let Some(origin) = meta.get("interval-origin")
            && let Some(origin) = crate::rule::epoch(origin)
        {
            // Pacemaker pe_actions.c:unpack_interval_origin.
            let interval_s = i64::try_from(interval_ms / 1000).unwrap_or(i64::MAX);
            let into = self.now.saturating_sub(origin) % interval_s;
            let delay_s = if into <= 0 { -into } else { interval_s - into };
            let delay_ms = delay_s.saturating_mul(1000);
            meta.insert("start-delay".to_owned(), delay_ms.to_string());
        }
    }

    /// Timeout of the recurring monitor with the shortest interval: probes use it.
    fn shortest_monitor_timeout(&self, rsc: RscId) -> Option<&str> {
        self.rscs[rsc]
            .ops
            .iter()
            .filter(|op| op.enabled && op.interval_ms > 0 && op.name() == "monitor")
            .min_by_key(|op| op.interval_ms)
            .and_then(|op| op.xml.attr("timeout"))
    }

    /// Instance parameters of a resource, as they are on a node: its own, then its parents'.
    pub(crate) fn params(&self, rsc: RscId, node: Option<NodeId>) -> BTreeMap<String, String> {
        let facts = Facts {
            node_attrs: node.map(|node| &self.nodes[node].attrs),
            ..self.facts()
        };
        let mut params = BTreeMap::new();
        let mut at = Some(rsc);
        while let Some(id) = at {
            let r = &self.rscs[id];
            unpack_nvpairs(
                self.cib,
                &r.sources,
                "instance_attributes",
                &facts,
                &mut params,
            );
            at = r.parent;
        }
        // A bundle's connection without an address of its own goes where the container is.
        if params.get("addr").is_some_and(|addr| addr == "#uname")
            && let Some(address) = self.bundle_address(rsc)
        {
            params.insert("addr".to_owned(), address.to_owned());
        }
        params
    }

    /// What the failure of an operation leads to, and the role it leaves.
    pub(crate) fn failure_handling(
        &self,
        rsc: RscId,
        op: &str,
        interval_ms: u64,
    ) -> (OnFail, Role) {
        let meta = self.operation_meta(rsc, op, interval_ms, None);
        let on_fail = self.on_fail(rsc, op, interval_ms, &meta);
        let role = match (on_fail, op) {
            (OnFail::Stop, _) => Role::Stopped,
            // It is tried again when the interval has passed.
            (OnFail::ResetRemote, _) if self.rscs[rsc].reconnect_ms > 0 => Role::Stopped,
            (_, "promote") => Role::Unpromoted,
            _ => Role::Started,
        };
        (on_fail, role)
    }

    /// `on-fail` in force (Pacemaker pe_actions.c:pcmk__parse_on_fail).
    pub(crate) fn on_fail(&self, rsc: RscId, op: &str, interval_ms: u64, meta: &Values) -> OnFail {
        let default = match op {
            "stop" if self.options.fencing => OnFail::Fence,
            "stop" => OnFail::Block,
            _ => OnFail::Restart,
        };
        let default = self
            .default_on_fail(rsc, op, interval_ms)
            .unwrap_or(default);
        let configured = meta.get("on-fail").map(|v| v.to_ascii_lowercase());
        let promoted_monitor = || {
            self.op_config(rsc, op, interval_ms, true)
                .and_then(|c| c.role())
                == Some(Role::Promoted)
        };
        match configured.as_deref() {
            None if op == "demote" => self.demote_on_fail(rsc).unwrap_or(default),
            Some("standby" | "demote" | "stop") if op == "stop" => default,
            Some("demote") if op != "promote" && !(interval_ms > 0 && promoted_monitor()) => {
                default
            }
            Some("ignore" | "nothing") => OnFail::Ignore,
            Some("demote") => OnFail::Demote,
            Some("restart") => OnFail::Restart,
            Some("restart-container") if self.rscs[rsc].container.is_some() => {
                OnFail::RestartContainer
            }
            Some("migrate") => OnFail::Ban,
            Some("block") => OnFail::Block,
            Some("stop") => OnFail::Stop,
            Some("standby") => OnFail::Standby,
            Some("fence") if self.options.fencing => OnFail::Fence,
            Some("fence") => OnFail::Stop,
            _ => default,
        }
    }

    /// What failures of contained resources, and of connections, lead to where nothing is
    /// configured. Without a working connection only fencing helps; but a probe or a start that
    /// fails says that there was none.
    fn default_on_fail(&self, rsc: RscId, op: &str, interval_ms: u64) -> Option<OnFail> {
        let r = &self.rscs[rsc];
        if r.container.is_some() {
            return Some(OnFail::RestartContainer);
        }
        let probe = op == "monitor" && interval_ms == 0;
        if r.remote_name.is_none() || probe || op == "start" {
            return None;
        }
        Some(if r.flags.managed {
            OnFail::ResetRemote
        } else {
            OnFail::Stop
        })
    }

    /// A demote fails as the promoted role's recurring monitor does.
    fn demote_on_fail(&self, rsc: RscId) -> Option<OnFail> {
        let op = self.rscs[rsc].ops.iter().find(|op| {
            op.name() == "monitor"
                && op.enabled
                && op.interval_ms > 0
                && op.role() == Some(Role::Promoted)
                && op.xml.attr("on-fail").is_some_and(|v| v != "demote")
        })?;
        let meta = self.operation_meta(rsc, "monitor", op.interval_ms, None);
        Some(self.on_fail(rsc, "monitor", op.interval_ms, &meta))
    }
}
