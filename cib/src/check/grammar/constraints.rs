//! Constraints and their resource sets.

use super::pairs::RULE;
use super::{ACTION, Children, Count, ID, Kind, NO_ID, ORDER_KIND, Part, REFERENCE, ROLE, Shape};
use super::{at_most_one, children, may, must, needed, optional, part, shape, was, with_ways};

pub(super) static CONSTRAINTS: [(&str, &Shape); 4] = [
    ("rsc_location", &LOCATION),
    ("rsc_colocation", &COLOCATION),
    ("rsc_order", &ORDER),
    ("rsc_ticket", &TICKET),
];

static A_RULE: [(&str, &Shape); 1] = [("rule", &RULE)];
const RULES: Children = children(Count::Some, &A_RULE, "rule");
static A_SET: [(&str, &Shape); 1] = [("resource_set", &SET)];
const SETS: Children = children(Count::Some, &A_SET, "resource set");
const LIFETIME: Children = at_most_one(&[("lifetime", &shape(&[], &[RULES]))]);

static LOCATION: Shape = with_ways(
    &[
        ID,
        may(
            "resource-discovery",
            Kind::Word(&["always", "never", "exclusive"]),
        ),
    ],
    &[LIFETIME],
    &[
        needed(
            &[
                part(&[must("rsc", Kind::Name), may("role", ROLE)], &[]),
                part(&[must("rsc-pattern", Kind::Text), may("role", ROLE)], &[]),
                part(&[], &[SETS]),
            ],
            "it names no resource",
            "set rsc or rsc-pattern",
        ),
        needed(
            &[
                part(&[must("node", Kind::Text), must("score", Kind::Score)], &[]),
                part(&[], &[RULES]),
            ],
            "it names no node",
            "set node and score, or give it a rule",
        ),
    ],
);

static SET: Shape = with_ways(
    &[],
    &[],
    &[
        needed(
            &[
                part(
                    &[
                        ID,
                        may("sequential", Kind::Bool),
                        may("require-all", Kind::Bool),
                        may("ordering", Kind::Word(&["group", "listed"])),
                        may("action", ACTION),
                        may("role", ROLE),
                    ],
                    &[children(
                        Count::Some,
                        &[("resource_ref", &shape(&[ID], &[]))],
                        "resource",
                    )],
                ),
                REFERENCE,
            ],
            "it has no id",
            NO_ID,
        ),
        optional(&SCORE_OR_KIND),
    ],
);

static SCORE_OR_KIND: [Part; 2] = [
    part(&[must("score", Kind::Score)], &[]),
    part(&[must("kind", ORDER_KIND)], &[]),
];

const BOTH: &str = "name both resources, or use resource sets";

static COLOCATION: Shape = with_ways(
    &[
        ID,
        may("score", Kind::Score),
        may("influence", Kind::Text),
        was("score-attribute", Kind::Text),
        was("score-attribute-mangle", Kind::Text),
    ],
    &[LIFETIME],
    &[needed(
        &[
            part(
                &[
                    must("rsc", Kind::Name),
                    must("with-rsc", Kind::Name),
                    may("node-attribute", Kind::Text),
                    may("rsc-role", ROLE),
                    may("with-rsc-role", ROLE),
                ],
                &[],
            ),
            part(&[], &[SETS]),
        ],
        "it names no resources",
        BOTH,
    )],
);

static ORDER: Shape = with_ways(
    &[
        ID,
        may("symmetrical", Kind::Bool),
        may("require-all", Kind::Bool),
    ],
    &[LIFETIME],
    &[
        optional(&SCORE_OR_KIND),
        needed(
            &[
                part(
                    &[
                        must("first", Kind::Name),
                        must("then", Kind::Name),
                        may("first-action", ACTION),
                        may("then-action", ACTION),
                    ],
                    &[],
                ),
                part(&[], &[SETS]),
            ],
            "it names no resources",
            BOTH,
        ),
    ],
);

static TICKET: Shape = with_ways(
    &[
        ID,
        must("ticket", Kind::Text),
        may(
            "loss-policy",
            Kind::Word(&["stop", "demote", "fence", "freeze"]),
        ),
    ],
    &[],
    &[needed(
        &[
            part(&[must("rsc", Kind::Name), may("rsc-role", ROLE)], &[]),
            part(&[], &[SETS]),
        ],
        "it names no resource",
        "set rsc, or use resource sets",
    )],
);
