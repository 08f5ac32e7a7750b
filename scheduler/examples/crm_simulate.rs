//! `crm_simulate` as far as measuring needs it: `-x FILE` decides on a CIB and prints the
//! Transition Summary, `-G FILE` writes the transition graph. Other options are accepted and
//! ignored.

use cib::Element;
use scheduler::{Action, ActionKind, Graph, Options, schedule};
use std::collections::BTreeMap;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("crm_simulate: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let (mut input, mut graph_file, mut time, mut why) = (None, None, None, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-x" => input = args.next(),
            "-G" => graph_file = args.next(),
            "-t" => time = args.next(),
            "-D" => drop(args.next()),
            "--why" => why = true,
            _ => {}
        }
    }
    let input = input.ok_or("-x FILE is missing")?;
    let bytes = std::fs::read(&input).map_err(|e| format!("{input}: {e}"))?;
    let cib = cib::xml::parse_bytes(&bytes).map_err(|e| format!("{input}: {e}"))?;
    let options = Options {
        now: now(&cib, time.as_deref()),
    };
    let plan = schedule(&cib, &options);
    println!("Transition Summary:");
    for line in &plan.summary {
        println!("  * {line}");
    }
    println!("\nExecuting Cluster Transition:");
    for message in plan.errors.iter().chain(&plan.warnings) {
        println!("note: {message}");
    }
    if why {
        for reason in &plan.reasons {
            println!("why: {reason:?}");
        }
        for resource in &plan.resources {
            println!("status: {resource:?}");
        }
    }
    if let Some(file) = graph_file {
        let text = cib::xml::format(&graph_xml(&plan.graph));
        std::fs::write(&file, text).map_err(|e| format!("{file}: {e}"))?;
    }
    Ok(())
}

/// `-t`, else the CIB's execution date, else the clock.
fn now(cib: &Element, time: Option<&str>) -> i64 {
    let given = time.and_then(|text| {
        let text = text.replace(' ', "T");
        let zoned = text.parse::<jiff::Timestamp>();
        let bare = text.parse::<jiff::civil::DateTime>();
        zoned.ok().or_else(|| {
            Some(
                bare.ok()?
                    .to_zoned(jiff::tz::TimeZone::UTC)
                    .ok()?
                    .timestamp(),
            )
        })
    });
    given
        .map(jiff::Timestamp::as_second)
        .or_else(|| cib.attr("execution-date")?.parse().ok())
        .unwrap_or_else(|| jiff::Timestamp::now().as_second())
}

fn graph_xml(graph: &Graph) -> Element {
    let mut root = Element::new("transition_graph")
        .with(
            "cluster-delay",
            &format!("{}s", graph.cluster_delay_ms / 1000),
        )
        .with(
            "fencing-timeout",
            &format!("{}s", graph.fencing_timeout_ms / 1000),
        )
        .with("transition_id", "1");
    let by_id: BTreeMap<u32, &Action> = graph
        .synapses
        .iter()
        .map(|synapse| (synapse.action.id, &synapse.action))
        .collect();
    for synapse in &graph.synapses {
        let mut inputs = Element::new("inputs");
        for input in &synapse.inputs {
            if let Some(action) = by_id.get(input) {
                inputs = inputs.child(Element::new("trigger").child(action_xml(action, false)));
            } else {
                eprintln!(
                    "input {input} of {} is not in the graph",
                    synapse.action.key
                );
            }
        }
        let mut element = Element::new("synapse").with("id", &synapse.id.to_string());
        if synapse.priority > 0 {
            element.set("priority", &synapse.priority.to_string());
        }
        let set = Element::new("action_set").child(action_xml(&synapse.action, true));
        root = root.child(element.child(set).child(inputs));
    }
    root
}

fn action_xml(action: &Action, details: bool) -> Element {
    let tag = match action.kind {
        ActionKind::Rsc => "rsc_op",
        ActionKind::Pseudo => "pseudo_event",
        ActionKind::Crm => "crm_event",
    };
    let mut element = Element::new(tag)
        .with("id", &action.id.to_string())
        .with("operation", &action.operation)
        .with("operation_key", &action.key);
    if let Some(internal) = internal_key(action) {
        element.set("internal_operation_key", &internal);
    }
    if let Some((id, name)) = &action.node {
        element.set("on_node", name);
        element.set("on_node_uuid", id);
    }
    if !details {
        return element;
    }
    if let Some(resource) = &action.resource {
        let mut primitive = Element::new("primitive").with("id", &resource.id);
        if let Some(long) = &resource.long_id {
            primitive.set("long-id", long);
        }
        primitive.set("class", &resource.class);
        if let Some(provider) = &resource.provider {
            primitive.set("provider", provider);
        }
        primitive.set("type", &resource.kind);
        element = element.child(primitive);
    }
    let mut attributes = Element::new("attributes");
    for (name, value) in &action.params {
        attributes.set(name, value);
    }
    for (name, value) in &action.meta {
        attributes.set(&format!("CRM_meta_{name}"), value);
    }
    element.child(attributes)
}

/// The key is the history's; the instance's own follows where that is another.
fn internal_key(action: &Action) -> Option<String> {
    let id = &action.resource.as_ref()?.id;
    let base = id.split(':').next()?;
    let own = format!("{base}:{}", action.meta.get("clone")?);
    let rest = action.key.strip_prefix(base)?.trim_start_matches(':');
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    (!action.key.starts_with(&format!("{own}_"))).then(|| format!("{own}{rest}"))
}
