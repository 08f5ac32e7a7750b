//! What anybody may write into a CIB: from its bytes to a plan.

use std::collections::BTreeMap;

use scheduler::{Options, Plan};

/// What can be read as XML is decided on; the graph can be run to its end, and the same bytes give
/// the same plan.
pub(crate) fn schedule(bytes: &[u8]) {
    let Ok(tree) = cib::xml::parse_bytes(bytes) else {
        return;
    };
    let options = Options { now: NOW };
    let plan = scheduler::schedule(&tree, &options);
    assert!(comes_to_its_end(&plan), "a circle of actions");
    assert!(plan == scheduler::schedule(&tree, &options), "two plans");
}

/// Small clusters of all kinds, to begin with.
pub(crate) fn cases() -> Vec<Vec<u8>> {
    let texts = [
        include_str!("../../scheduler/tests/cases/bundles-start-from-outside-in.xml"),
        include_str!("../../scheduler/tests/cases/clones-notified.xml"),
        include_str!("../../scheduler/tests/cases/failures-failed-stop-fences.xml"),
        include_str!("../../scheduler/tests/cases/guests-start-inside-after-the-guest.xml"),
        include_str!("../../scheduler/tests/cases/life-migrates-live.xml"),
        include_str!("../../scheduler/tests/cases/order-resource-sets.xml"),
        include_str!("../../scheduler/tests/cases/placement-location-by-rule.xml"),
        include_str!("../../scheduler/tests/cases/schemas-2-operations-required-fencing.xml"),
    ];
    // A fuzzer's inputs are short; blanks between the elements would fill them.
    let squeezed = |text: &&str| {
        let tree = cib::xml::parse(text).expect("a case is XML");
        cib::xml::compact(&tree).into_bytes()
    };
    texts.iter().map(squeezed).collect()
}

/// Every action follows what it waits for.
fn comes_to_its_end(plan: &Plan) -> bool {
    let synapses = &plan.graph.synapses;
    let mut waiting: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for synapse in synapses {
        waiting.insert(synapse.action.id, synapse.inputs.clone());
    }
    while !waiting.is_empty() {
        let ready = |inputs: &Vec<u32>| inputs.iter().all(|id| !waiting.contains_key(id));
        let done: Vec<u32> = waiting
            .iter()
            .filter(|(_, inputs)| ready(inputs))
            .map(|(id, _)| *id)
            .collect();
        if done.is_empty() {
            return false;
        }
        waiting.retain(|id, _| !done.contains(id));
    }
    true
}

const NOW: i64 = 1_700_000_000;
