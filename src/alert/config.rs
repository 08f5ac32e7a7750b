//! The `alerts` section of the CIB. Pure.

use cib::Element;
use cib::value::parse_interval_ms;
use std::collections::{BTreeMap, BTreeSet};

/// One alert agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// `id`.
    pub id: String,
    /// Program.
    pub path: String,
    /// What it is told of.
    pub select: Select,
    /// Whom it tells; never empty: an alert without recipients is called once, without one.
    pub recipients: Vec<Recipient>,
}

/// A recipient, with the options in force for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// `CRM_alert_recipient`; `None` = the alert names no recipient.
    pub value: Option<String>,
    /// Added to the environment verbatim.
    pub variables: BTreeMap<String, String>,
    /// Milliseconds.
    pub timeout_ms: u64,
    /// strftime format of `CRM_alert_timestamp`, with `%N` for fractions of a second.
    pub timestamp_format: String,
    /// `false`: configured, but not called.
    pub enabled: bool,
}

/// Kinds of events an agent wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    /// Nodes that come and go.
    pub nodes: bool,
    /// Fencing results.
    pub fencing: bool,
    /// Resource operations.
    pub resources: bool,
    /// `None` = no attribute; empty = all; else these.
    pub attributes: Option<BTreeSet<String>>,
}

impl Default for Select {
    /// Without `select`, everything but attributes.
    fn default() -> Self {
        Self {
            nodes: true,
            fencing: true,
            resources: true,
            attributes: None,
        }
    }
}

/// All alerts of a CIB, in document order.
#[must_use]
pub fn alerts(cib: &Element) -> Vec<Alert> {
    let section = cib.first("configuration").unwrap_or(cib).first("alerts");
    let Some(section) = section else {
        return Vec::new();
    };
    section
        .all("alert")
        .take(ALERTS_MAX)
        .filter_map(alert)
        .collect()
}

fn alert(element: &Element) -> Option<Alert> {
    let common = Options::of(element, &Options::default());
    let mut recipients: Vec<Recipient> = element
        .all("recipient")
        .take(RECIPIENTS_MAX)
        .map(|r| Options::of(r, &common).recipient(r.attr("value")))
        .collect();
    if recipients.is_empty() {
        recipients.push(common.recipient(None));
    }
    Some(Alert {
        id: element.id()?.to_owned(),
        path: element.attr("path")?.to_owned(),
        select: element.first("select").map_or_else(Select::default, select),
        recipients,
    })
}

fn select(element: &Element) -> Select {
    let has = |name: &str| element.first(name).is_some();
    Select {
        nodes: has("select_nodes"),
        fencing: has("select_fencing"),
        resources: has("select_resources"),
        attributes: element.first("select_attributes").map(|list| {
            list.all("attribute")
                .filter_map(|a| a.attr("name").map(str::to_owned))
                .collect()
        }),
    }
}

/// Instance and meta attributes; a recipient's own win over its alert's.
#[derive(Clone, Default)]
struct Options {
    variables: BTreeMap<String, String>,
    meta: BTreeMap<String, String>,
}

impl Options {
    fn of(element: &Element, inherited: &Self) -> Self {
        let mut options = inherited.clone();
        options
            .variables
            .extend(pairs(element, "instance_attributes"));
        options.meta.extend(pairs(element, "meta_attributes"));
        options
    }

    fn recipient(self, value: Option<&str>) -> Recipient {
        let meta = |name: &str| self.meta.get(name).map(String::as_str);
        Recipient {
            value: value.map(str::to_owned),
            timeout_ms: meta("timeout")
                .and_then(|v| parse_interval_ms(v).ok())
                .filter(|ms| *ms > 0)
                .unwrap_or(TIMEOUT_MS_DEFAULT),
            timestamp_format: meta("timestamp-format")
                .unwrap_or(TIMESTAMP_FORMAT_DEFAULT)
                .to_owned(),
            enabled: !matches!(
                meta("enabled").map(str::to_ascii_lowercase).as_deref(),
                Some("false" | "no" | "off" | "n" | "0")
            ),
            variables: self.variables,
        }
    }
}

fn pairs(element: &Element, sets: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for nvpair in element.all(sets).flat_map(|set| set.all("nvpair")) {
        if let (Some(name), Some(value)) = (nvpair.attr("name"), nvpair.attr("value")) {
            found
                .entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        }
    }
    found
}

/// `PCMK__ALERT_DEFAULT_TIMEOUT_MS`.
const TIMEOUT_MS_DEFAULT: u64 = 30_000;
const TIMESTAMP_FORMAT_DEFAULT: &str = "%H:%M:%S.%06N";
const ALERTS_MAX: usize = 64;
const RECIPIENTS_MAX: usize = 64;
