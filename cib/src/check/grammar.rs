//! The grammar of a configuration, as data: which attributes and children each element has.
//!
//! The words are those of the schemas `pacemaker-1.0` to `pacemaker-3.9` (Pacemaker, `xml/*.rng`),
//! which Pacemaker Explained describes element by element. What only schemas before 3.0 have is
//! marked so ([`Attr::old`]).

mod constraints;
mod pairs;
mod resources;

use constraints::CONSTRAINTS;
use pairs::{NVSET, PAIRS};
use resources::RESOURCES;

/// What an attribute holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Anything.
    Text,
    /// An XML name without colon (`xsd:ID`, `xsd:IDREF`): what ids of objects look like.
    Name,
    /// `true`, `false`, `1` or `0` (`xsd:boolean`).
    Bool,
    /// A whole number.
    Integer,
    /// A whole number from 1.
    Positive,
    /// A whole number, or one of the infinities in capitals.
    Score,
    /// One of these, as it is written here.
    Word(&'static [&'static str]),
    /// Names of devices with commas between them.
    Devices,
    /// A port, or two with a dash between them.
    Ports,
}

/// One attribute.
pub(super) struct Attr {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// The element is nothing without it.
    pub must: bool,
    /// Only schemas before 3.0 have it.
    pub old: bool,
}

/// How many children of a kind an element has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// None to any.
    Any,
    /// None or one.
    AtMostOne,
    /// One or more.
    Some,
    /// Exactly one.
    One,
}

/// Children: one of these elements, so many in all.
pub(super) struct Children {
    /// How many.
    pub count: Count,
    /// Tags and shapes.
    pub of: &'static [(&'static str, &'static Shape)],
    /// What a person calls them.
    pub called: &'static str,
}

/// Attributes and children that go together.
pub(super) struct Part {
    /// Attributes.
    pub attrs: &'static [Attr],
    /// Children.
    pub children: &'static [Children],
}

/// Several ways to say one thing, of which an element uses one.
pub(super) struct Ways {
    /// The ways.
    pub list: &'static [Part],
    /// What is wrong when none is used, and the cure; without it, none need be.
    pub lack: Option<(&'static str, &'static str)>,
}

/// An element.
pub(super) struct Shape {
    /// What it has in any case.
    pub base: Part,
    /// What it has one way or another.
    pub ways: &'static [Ways],
    /// What no table says; of its own element.
    pub rule: Option<Rule>,
}

/// A rule about one element: what is wrong, and the cure.
pub(super) type Rule = fn(&crate::tree::Element) -> Option<(String, &'static str)>;

const fn must(name: &'static str, kind: Kind) -> Attr {
    Attr {
        name,
        kind,
        must: true,
        old: false,
    }
}

const fn may(name: &'static str, kind: Kind) -> Attr {
    Attr {
        must: false,
        ..must(name, kind)
    }
}

/// In schemas before 3.0 only.
const fn was(name: &'static str, kind: Kind) -> Attr {
    Attr {
        old: true,
        ..may(name, kind)
    }
}

const fn part(attrs: &'static [Attr], children: &'static [Children]) -> Part {
    Part { attrs, children }
}

const fn shape(attrs: &'static [Attr], children: &'static [Children]) -> Shape {
    with_ways(attrs, children, &[])
}

const fn with_ways(
    attrs: &'static [Attr],
    children: &'static [Children],
    ways: &'static [Ways],
) -> Shape {
    Shape {
        base: part(attrs, children),
        ways,
        rule: None,
    }
}

const fn needed(list: &'static [Part], what: &'static str, cure: &'static str) -> Ways {
    let lack = Some((what, cure));
    Ways { list, lack }
}

const fn optional(list: &'static [Part]) -> Ways {
    Ways { list, lack: None }
}

const fn any(of: &'static [(&'static str, &'static Shape)]) -> Children {
    children(Count::Any, of, "children")
}

const fn at_most_one(of: &'static [(&'static str, &'static Shape)]) -> Children {
    children(Count::AtMostOne, of, of[0].0)
}

const fn children(
    count: Count,
    of: &'static [(&'static str, &'static Shape)],
    called: &'static str,
) -> Children {
    Children { count, of, called }
}

const ID: Attr = must("id", Kind::Name);
const DESCRIPTION: Attr = may("description", Kind::Text);
/// Roles in new and old words.
pub(super) const ROLES: &[&str] = &[
    "Started",
    "Stopped",
    "Promoted",
    "Unpromoted",
    "Master",
    "Slave",
];
/// What is done about a failure.
pub(super) const ON_FAIL: &[&str] = &[
    "ignore",
    "block",
    "demote",
    "stop",
    "restart",
    "standby",
    "fence",
    "restart-container",
];
/// What has to be so before a resource is started.
pub(super) const REQUIRES: &[&str] = &["nothing", "quorum", "fencing", "unfencing"];
const ROLE: Kind = Kind::Word(ROLES);
const ACTION: Kind = Kind::Word(&["start", "stop", "promote", "demote"]);
const ORDER_KIND: Kind = Kind::Word(&["Mandatory", "Optional", "Serialize"]);
/// What refers to another element of its kind has nothing else to say.
const REFERENCE: Part = part(&[must("id-ref", Kind::Name)], &[]);
const NO_ID: &str = "give it an id that nothing else has";

/// An element without anything.
static EMPTY: Shape = shape(&[], &[]);

/// Sections of the configuration, by their tags.
pub(super) static SECTIONS: [(&str, &Shape); 10] = [
    (
        "crm_config",
        &shape(&[], &[any(&[("cluster_property_set", &NVSET)])]),
    ),
    ("nodes", &shape(&[], &[any(&[("node", &NODE)])])),
    ("resources", &shape(&[], &[any(&RESOURCES)])),
    ("constraints", &shape(&[], &[any(&CONSTRAINTS)])),
    (
        "rsc_defaults",
        &shape(&[], &[any(&[("meta_attributes", &NVSET)])]),
    ),
    (
        "op_defaults",
        &shape(&[], &[any(&[("meta_attributes", &NVSET)])]),
    ),
    (
        "fencing-topology",
        &shape(&[], &[any(&[("fencing-level", &FENCING_LEVEL)])]),
    ),
    ("acls", &shape(&[], &[any(&ACCESS)])),
    ("tags", &shape(&[], &[any(&[("tag", &TAG)])])),
    ("alerts", &shape(&[], &[any(&[("alert", &ALERT)])])),
];

static NODE: Shape = shape(
    &[
        must("id", Kind::Text),
        must("uname", Kind::Text),
        // `normal` is what `member` was called before 3.0.
        may("type", Kind::Word(&["member", "ping", "remote", "normal"])),
        DESCRIPTION,
        may("score", Kind::Score),
    ],
    &[any(&[
        ("instance_attributes", &NVSET),
        ("utilization", &NVSET),
    ])],
);

static FENCING_LEVEL: Shape = with_ways(
    &[
        ID,
        must("index", Kind::Positive),
        must("devices", Kind::Devices),
    ],
    &[],
    &[needed(
        &[
            part(&[must("target", Kind::Text)], &[]),
            part(&[must("target-pattern", Kind::Text)], &[]),
            part(
                &[
                    must("target-attribute", Kind::Text),
                    must("target-value", Kind::Text),
                ],
                &[],
            ),
        ],
        "it names no node",
        "set target, target-pattern, or target-attribute and target-value",
    )],
);

/// Access rules; the last is the form of schemas before 2.0.
static ACCESS: [(&str, &Shape); 4] = [
    (
        "acl_target",
        &shape(
            &[must("id", Kind::Text), may("name", Kind::Text)],
            &[any(&[("role", &shape(&[ID], &[]))])],
        ),
    ),
    (
        "acl_group",
        &shape(
            &[ID, may("name", Kind::Text)],
            &[any(&[("role", &shape(&[ID], &[]))])],
        ),
    ),
    (
        "acl_role",
        &shape(
            &[ID, DESCRIPTION],
            &[any(&[
                ("acl_permission", &PERMISSION),
                ("read", &OLD_PERMISSION),
                ("write", &OLD_PERMISSION),
                ("deny", &OLD_PERMISSION),
            ])],
        ),
    ),
    (
        "acl_user",
        &shape(
            &[ID],
            &[any(&[
                ("role_ref", &shape(&[ID], &[])),
                ("read", &OLD_PERMISSION),
                ("write", &OLD_PERMISSION),
                ("deny", &OLD_PERMISSION),
            ])],
        ),
    ),
];

static PERMISSION: Shape = with_ways(
    &[
        ID,
        must("kind", Kind::Word(&["read", "write", "deny"])),
        DESCRIPTION,
    ],
    &[],
    &[needed(
        &[
            part(&[must("xpath", Kind::Text)], &[]),
            part(&[must("reference", Kind::Name)], &[]),
            part(
                &[
                    must("object-type", Kind::Text),
                    may("attribute", Kind::Text),
                ],
                &[],
            ),
        ],
        "it names nothing",
        "set xpath, reference or object-type",
    )],
);

static OLD_PERMISSION: Shape = shape(
    &[
        ID,
        may("tag", Kind::Text),
        may("ref", Kind::Name),
        may("xpath", Kind::Text),
        may("attribute", Kind::Text),
    ],
    &[],
);

static TAG: Shape = shape(
    &[ID],
    &[children(
        Count::Some,
        &[("obj_ref", &shape(&[must("id", Kind::Text)], &[]))],
        "object",
    )],
);

static ALERT: Shape = shape(
    &[ID, DESCRIPTION, must("path", Kind::Text)],
    &[
        PAIRS,
        at_most_one(&[("select", &SELECT)]),
        any(&[("recipient", &RECIPIENT)]),
    ],
);

static SELECT: Shape = shape(
    &[],
    &[
        at_most_one(&[(
            "select_attributes",
            &shape(
                &[],
                &[any(&[(
                    "attribute",
                    &shape(&[ID, must("name", Kind::Text)], &[]),
                )])],
            ),
        )]),
        at_most_one(&[("select_fencing", &EMPTY)]),
        at_most_one(&[("select_nodes", &EMPTY)]),
        at_most_one(&[("select_resources", &EMPTY)]),
    ],
);

static RECIPIENT: Shape = shape(&[ID, DESCRIPTION, must("value", Kind::Text)], &[PAIRS]);
