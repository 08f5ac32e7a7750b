//! Name-value pairs, their sets, and the rules that choose among them.

use super::{Children, Count, ID, Kind, NO_ID, REFERENCE, Shape};
use super::{any, at_most_one, children, may, must, needed, part, shape, with_ways};

/// A set of name-value pairs.
pub(super) static NVSET: Shape = with_ways(
    &[],
    &[],
    &[needed(
        &[
            part(
                &[ID, may("score", Kind::Score)],
                &[at_most_one(&[("rule", &RULE)]), any(&[("nvpair", &NVPAIR)])],
            ),
            REFERENCE,
        ],
        "it has no id",
        NO_ID,
    )],
);

static NVPAIR: Shape = with_ways(
    &[],
    &[],
    &[needed(
        &[
            part(
                &[ID, must("name", Kind::Text), may("value", Kind::Text)],
                &[],
            ),
            part(&[must("id-ref", Kind::Name), may("name", Kind::Text)], &[]),
        ],
        "it has neither id nor name",
        "set id, name and value",
    )],
);

static NVSETS: [(&str, &Shape); 2] = [("meta_attributes", &NVSET), ("instance_attributes", &NVSET)];
pub(super) const PAIRS: Children = any(&NVSETS);

/// A rule. What it may ask depends on where it stands; the schemas let all pass.
pub(super) static RULE: Shape = with_ways(
    &[],
    &[],
    &[needed(
        &[
            part(
                &[
                    ID,
                    may("boolean-op", Kind::Word(&["and", "or"])),
                    may("role", Kind::Text),
                    may("score", Kind::Score),
                    may("score-attribute", Kind::Text),
                ],
                &[children(
                    Count::Some,
                    &[
                        ("expression", &EXPRESSION),
                        ("date_expression", &DATE_EXPRESSION),
                        ("rsc_expression", &RSC_EXPRESSION),
                        ("op_expression", &OP_EXPRESSION),
                        ("rule", &RULE),
                    ],
                    "expression",
                )],
            ),
            REFERENCE,
        ],
        "it has no id",
        NO_ID,
    )],
);

static EXPRESSION: Shape = shape(
    &[
        ID,
        must("attribute", Kind::Text),
        must(
            "operation",
            Kind::Word(&[
                "lt",
                "gt",
                "lte",
                "gte",
                "eq",
                "ne",
                "defined",
                "not_defined",
            ]),
        ),
        may("value", Kind::Text),
        may(
            "type",
            Kind::Word(&["string", "integer", "number", "version"]),
        ),
        may("value-source", Kind::Word(&["literal", "param", "meta"])),
    ],
    &[],
);

static DATE_EXPRESSION: Shape = Shape {
    base: part(
        &[
            ID,
            must(
                "operation",
                Kind::Word(&["in_range", "gt", "lt", "date_spec"]),
            ),
            may("start", Kind::Text),
            may("end", Kind::Text),
        ],
        &[
            at_most_one(&[("duration", &DATE_PARTS)]),
            at_most_one(&[("date_spec", &DATE_PARTS)]),
        ],
    ),
    ways: &[],
    rule: Some(date_expression),
};

/// Each operation takes its own ends (Pacemaker Explained, "Date/Time Expressions").
fn date_expression(element: &crate::tree::Element) -> Option<(String, &'static str)> {
    let has = |name| element.attr(name).is_some();
    let (start, end) = (has("start"), has("end"));
    let spec = element.first("date_spec").is_some();
    let (fits, cure) = match element.attr("operation")? {
        "in_range" => (
            (start || end) && !spec,
            "in_range takes start, end or both, or start and a <duration>",
        ),
        "gt" => (start && !end && !spec, "gt takes start alone"),
        "lt" => (end && !start && !spec, "lt takes end alone"),
        "date_spec" => (spec && !start && !end, "date_spec takes a <date_spec>"),
        _ => return None,
    };
    (!fits).then(|| ("its operation and what it has do not fit".to_owned(), cure))
}

/// Of a specification or a duration; `moon` and `yearsdays` are let pass as they always were.
static DATE_PARTS: Shape = shape(
    &[
        ID,
        may("years", Kind::Text),
        may("months", Kind::Text),
        may("weeks", Kind::Text),
        may("days", Kind::Text),
        may("hours", Kind::Text),
        may("minutes", Kind::Text),
        may("seconds", Kind::Text),
        may("monthdays", Kind::Text),
        may("weekdays", Kind::Text),
        may("yeardays", Kind::Text),
        may("yearsdays", Kind::Text),
        may("weekyears", Kind::Text),
        may("moon", Kind::Text),
    ],
    &[],
);

static RSC_EXPRESSION: Shape = shape(
    &[
        ID,
        may("class", Kind::Text),
        may("provider", Kind::Text),
        may("type", Kind::Text),
    ],
    &[],
);

static OP_EXPRESSION: Shape = shape(
    &[ID, must("name", Kind::Text), may("interval", Kind::Text)],
    &[],
);
