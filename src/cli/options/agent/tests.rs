//! What both forms of a list have in common, as its readers find it.

use cib::Element;
use std::collections::BTreeSet;

/// What crmsh, pcs and Hawk read of a parameter (crmsh/ra.py, pcs/lib/resource_agent/xml.py,
/// crm_config.rb).
#[derive(Debug)]
pub(in crate::cli::options) struct Read {
    pub(in crate::cli::options) name: String,
    pub(in crate::cli::options) advanced: bool,
    pub(in crate::cli::options) kind: String,
    pub(in crate::cli::options) default: Option<String>,
    pub(in crate::cli::options) values: Vec<String>,
    pub(in crate::cli::options) short: String,
    pub(in crate::cli::options) long: String,
    pub(in crate::cli::options) deprecated_by: Option<Vec<String>>,
}

/// The parameters of a document.
pub(in crate::cli::options) fn read(agent: &Element) -> Vec<Read> {
    assert_eq!(agent.name, "resource-agent");
    assert_eq!(agent.first("version").unwrap().text, "1.1");
    let parameters = agent.first("parameters").unwrap();
    parameters.all("parameter").map(parameter).collect()
}

fn parameter(element: &Element) -> Read {
    let text = |name: &str| {
        let found = element.first(name).unwrap();
        assert_eq!(found.attr("lang"), Some("en"));
        found.text.clone()
    };
    let content = element.first("content").unwrap();
    let names = |inside: &Element, tag: &str, attr: &str| -> Vec<String> {
        let all = inside.all(tag).filter_map(|e| e.attr(attr));
        all.map(str::to_owned).collect()
    };
    let deprecated = element.first("deprecated");
    Read {
        name: element.attr("name").unwrap().to_owned(),
        advanced: element.attr("advanced") == Some("1"),
        kind: content.attr("type").unwrap().to_owned(),
        default: content.attr("default").map(str::to_owned),
        values: names(content, "option", "value"),
        short: text("shortdesc"),
        long: text("longdesc"),
        deprecated_by: deprecated.map(|d| names(d, "replaced-with", "name")),
    }
}

/// Each parameter stands there once, is of one of these kinds, and says what front ends print.
pub(in crate::cli::options) fn assert_form(all: &[Read], kinds: &[&str]) {
    let names: BTreeSet<&str> = all.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names.len(), all.len(), "a name twice: {all:?}");
    for option in all {
        assert!(kinds.contains(&option.kind.as_str()), "{option:?}");
        assert_eq!(
            option.kind == "select",
            !option.values.is_empty(),
            "{option:?}"
        );
        let known = |value: &String| option.kind != "select" || option.values.contains(value);
        assert!(option.default.iter().all(known), "{option:?}");
        // pcs joins them with a full stop.
        assert!(!option.short.is_empty(), "{option:?}");
        assert!(!option.short.ends_with('.'), "{option:?}");
        assert!(!option.long.is_empty(), "{option:?}");
        assert!(!option.long.contains('\n'), "{option:?}");
    }
}
