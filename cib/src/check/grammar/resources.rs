//! Resources and their operations.

use super::pairs::{NVSET, PAIRS};
use super::{Children, Count, DESCRIPTION, ID, Kind, ON_FAIL, Part, REQUIRES, ROLE, Shape};
use super::{any, at_most_one, children, may, must, needed, optional, part, shape, was, with_ways};

pub(super) static RESOURCES: [(&str, &Shape); 6] = [
    ("primitive", &PRIMITIVE),
    ("template", &TEMPLATE),
    ("group", &GROUP),
    ("clone", &CLONE),
    ("master", &CLONE),
    ("bundle", &BUNDLE),
];

/// Names an agent.
const AGENT: Part = part(
    &[
        must("class", Kind::Text),
        may("provider", Kind::Text),
        must("type", Kind::Text),
    ],
    &[],
);

const NO_AGENT: &str = "it names no agent";
const AN_AGENT: &str =
    "set class and type, for example class=\"ocf\" provider=\"heartbeat\" type=\"IPaddr2\"";

static OF_PRIMITIVE: [Children; 3] = [
    PAIRS,
    at_most_one(&[("operations", &OPERATIONS)]),
    any(&[("utilization", &NVSET)]),
];

static PRIMITIVE: Shape = Shape {
    base: part(&[ID, DESCRIPTION], &OF_PRIMITIVE),
    ways: &[needed(
        &[AGENT, part(&[must("template", Kind::Name)], &[])],
        NO_AGENT,
        AN_AGENT,
    )],
    rule: Some(agent),
};

static TEMPLATE: Shape = Shape {
    base: part(&[ID, DESCRIPTION], &OF_PRIMITIVE),
    ways: &[needed(&[AGENT], NO_AGENT, AN_AGENT)],
    rule: Some(agent),
};

/// The class decides whether there is a provider.
fn agent(element: &crate::tree::Element) -> Option<(String, &'static str)> {
    let (class, kind) = (element.attr("class")?, element.attr("type")?);
    match (class, element.attr("provider")) {
        ("ocf", None) => Some((
            format!("agent ocf:{kind} has no provider"),
            "set provider, for example heartbeat",
        )),
        ("ocf", Some(_)) => None,
        (_, _) if !CLASSES.contains(&class) => Some((
            format!("there is no agent class \"{class}\""),
            "use ocf, systemd, lsb, service or stonith",
        )),
        (_, Some(provider)) => Some((
            format!("agents of class {class} have no provider, but it names \"{provider}\""),
            "take provider away, or set class=\"ocf\"",
        )),
        _ => None,
    }
}

/// Classes of agents; `fencing` is the newest name of `stonith`.
const CLASSES: [&str; 9] = [
    "ocf",
    "systemd",
    "lsb",
    "service",
    "stonith",
    "fencing",
    "heartbeat",
    "upstart",
    "nagios",
];

static OPERATIONS: Shape = shape(
    &[may("id", Kind::Name), may("id-ref", Kind::Name)],
    &[any(&[("op", &OP)])],
);

static OP: Shape = with_ways(
    &[
        ID,
        must("name", Kind::Text),
        must("interval", Kind::Text),
        DESCRIPTION,
        may("timeout", Kind::Text),
        may("enabled", Kind::Bool),
        may("record-pending", Kind::Bool),
        may("role", ROLE),
        was("requires", Kind::Word(REQUIRES)),
        may("on-fail", Kind::Word(ON_FAIL)),
    ],
    &[PAIRS],
    &[optional(&[
        part(&[must("start-delay", Kind::Text)], &[]),
        part(&[must("interval-origin", Kind::Text)], &[]),
    ])],
);

static GROUP: Shape = shape(
    &[ID, DESCRIPTION],
    &[
        PAIRS,
        children(Count::Some, &[("primitive", &PRIMITIVE)], "member"),
    ],
);

static CLONE: Shape = shape(
    &[ID, DESCRIPTION],
    &[
        PAIRS,
        children(
            Count::One,
            &[("primitive", &PRIMITIVE), ("group", &GROUP)],
            "member",
        ),
    ],
);

static BUNDLE: Shape = shape(
    &[ID, DESCRIPTION],
    &[
        PAIRS,
        children(
            Count::One,
            &[
                ("podman", &CONTAINER),
                ("docker", &CONTAINER),
                ("rkt", &CONTAINER),
            ],
            "container",
        ),
        at_most_one(&[("network", &NETWORK)]),
        at_most_one(&[("storage", &STORAGE)]),
        at_most_one(&[("primitive", &PRIMITIVE)]),
    ],
);

static CONTAINER: Shape = with_ways(
    &[
        must("image", Kind::Text),
        may("replicas", Kind::Integer),
        may("replicas-per-host", Kind::Integer),
        may("run-command", Kind::Text),
        may("network", Kind::Text),
        may("options", Kind::Text),
    ],
    &[],
    &[optional(&[
        part(&[must("promoted-max", Kind::Integer)], &[]),
        part(&[must("masters", Kind::Integer)], &[]),
    ])],
);

static NETWORK: Shape = shape(
    &[
        may("ip-range-start", Kind::Text),
        may("control-port", Kind::Integer),
        may("host-interface", Kind::Text),
        may("host-netmask", Kind::Integer),
        may("add-host", Kind::Bool),
    ],
    &[any(&[("port-mapping", &PORT_MAPPING)])],
);

static PORT_MAPPING: Shape = with_ways(
    &[ID],
    &[],
    &[needed(
        &[
            part(
                &[
                    must("port", Kind::Integer),
                    may("internal-port", Kind::Integer),
                ],
                &[],
            ),
            part(&[must("range", Kind::Ports)], &[]),
        ],
        "it names no port",
        "set port, or range",
    )],
);

static STORAGE: Shape = shape(&[], &[any(&[("storage-mapping", &STORAGE_MAPPING)])]);

static STORAGE_MAPPING: Shape = with_ways(
    &[
        ID,
        must("target-dir", Kind::Text),
        may("options", Kind::Text),
    ],
    &[],
    &[needed(
        &[
            part(&[must("source-dir", Kind::Text)], &[]),
            part(&[must("source-dir-root", Kind::Text)], &[]),
        ],
        "it names no source",
        "set source-dir, or source-dir-root",
    )],
);
