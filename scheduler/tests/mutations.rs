//! CIBs that were good until something in them changed: no panic, a graph that can be run, the
//! same answer twice. The recorded cases serve as material where `MAINSTAY_SCHEDULER_CASES`
//! names their folder; a small cluster of our own with every kind of resource always does.

mod common;

use cib::{Element, Text};
use common::{NOW, check};
use scheduler::{Options, schedule};

/// Changed CIBs made from each recorded case, and from our own cluster.
const CHANGED_CASES: u64 = 1;
const CHANGED_OWN: u64 = 60;
const CHANGED_SMALL: u64 = 4;
/// Changed texts of our own cluster.
const CHANGED_TEXTS: u64 = 300;
/// Changes to one CIB.
const CHANGES: u64 = 4;
/// Largest recorded case taken, bytes: the others only take time.
const BYTES_MAX: usize = 30_000;

/// Values that mean something somewhere.
const VALUES: [&str; 24] = [
    "",
    "0",
    "1",
    "-1",
    "2",
    "INFINITY",
    "-INFINITY",
    "true",
    "false",
    "Stopped",
    "Promoted",
    "Started",
    "Unpromoted",
    "start",
    "stop",
    "promote",
    "demote",
    "monitor",
    "10s",
    "fence",
    "block",
    "#uname",
    "rsc1",
    "99999999999999999999",
];

/// A cluster with a bundle, a guest, a remote node, a promotable clone that is notified, a
/// ticket, utilization, and histories.
const OWN: &str = r##"<cib validate-with="pacemaker-3.7" have-quorum="1" dc-uuid="1" execution-date="1700000000">
<configuration><crm_config><cluster_property_set id="o">
<nvpair id="o1" name="placement-strategy" value="balanced"/><nvpair id="o2" name="node-health-strategy" value="only-green"/>
<nvpair id="o3" name="shutdown-lock" value="true"/></cluster_property_set></crm_config>
<nodes><node id="1" uname="n1"><utilization id="n1u"><nvpair id="n1c" name="cpu" value="4"/></utilization></node><node id="2" uname="n2"/></nodes>
<resources>
<primitive id="fence" class="stonith" type="fence_xvm"/>
<primitive id="remote1" class="ocf" provider="pacemaker" type="remote"><instance_attributes id="r1"><nvpair id="r1a" name="reconnect_interval" value="60s"/></instance_attributes></primitive>
<primitive id="vm" class="ocf" provider="heartbeat" type="VirtualDomain"><meta_attributes id="vmm"><nvpair id="vmm1" name="remote-node" value="guest1"/><nvpair id="vmm2" name="allow-migrate" value="true"/></meta_attributes><utilization id="vmu"><nvpair id="vmu1" name="cpu" value="2"/></utilization></primitive>
<primitive id="rsc1" class="ocf" provider="pacemaker" type="Dummy"><operations><op id="rsc1m" name="monitor" interval="10s" on-fail="standby"/></operations></primitive>
<clone id="prom"><meta_attributes id="pm"><nvpair id="pm1" name="promotable" value="true"/><nvpair id="pm2" name="notify" value="true"/><nvpair id="pm3" name="interleave" value="true"/></meta_attributes>
<group id="grp"><primitive id="state" class="ocf" provider="pacemaker" type="Stateful"/><primitive id="with" class="ocf" provider="pacemaker" type="Stateful"/></group></clone>
<bundle id="box"><podman image="i" replicas="2" promoted-max="1"/><network ip-range-start="10.0.0.253"><port-mapping id="pp" port="80"/></network><storage><storage-mapping id="sm" source-dir-root="/d" target-dir="/t"/></storage>
<primitive id="inner" class="ocf" provider="pacemaker" type="Stateful"><meta_attributes id="im"><nvpair id="im1" name="notify" value="true"/></meta_attributes></primitive></bundle>
</resources>
<constraints><rsc_ticket id="t" rsc="prom" rsc-role="Promoted" ticket="site" loss-policy="demote"/>
<rsc_colocation id="c" rsc="rsc1" with-rsc="box" with-rsc-role="Promoted" score="INFINITY"/>
<rsc_order id="d" first="box" first-action="promote" then="rsc1" then-action="start"/>
<rsc_order id="e" first="prom" then="box"/><rsc_location id="l" rsc="box" role="Promoted" node="n2" score="50"/></constraints>
<tags><tag id="all"><obj_ref id="rsc1"/><obj_ref id="vm"/></tag></tags></configuration>
<status><tickets><ticket_state id="site" granted="true"/></tickets>
<node_state id="1" uname="n1" in_ccm="true" crmd="online" join="member" expected="member"><transient_attributes id="1"><instance_attributes id="1t"><nvpair id="1t1" name="master-state" value="10"/><nvpair id="1t2" name="#health-disk" value="green"/></instance_attributes></transient_attributes>
<lrm id="1"><lrm_resources>
<lrm_resource id="vm" class="ocf" provider="heartbeat" type="VirtualDomain"><lrm_rsc_op id="vm_last_0" operation_key="vm_start_0" operation="start" call-id="5" rc-code="0" op-status="0" interval="0" transition-key="1:1:0:x" transition-magic="0:0;1:1:0:x"/></lrm_resource>
<lrm_resource id="guest1" class="ocf" provider="pacemaker" type="remote"><lrm_rsc_op id="guest1_last_0" operation_key="guest1_start_0" operation="start" call-id="6" rc-code="0" op-status="0" interval="0" transition-key="2:1:0:x" transition-magic="0:0;2:1:0:x"/></lrm_resource>
<lrm_resource id="state" class="ocf" provider="pacemaker" type="Stateful"><lrm_rsc_op id="state_last_0" operation_key="state_promote_0" operation="promote" call-id="7" rc-code="0" op-status="0" interval="0" transition-key="3:1:0:x" transition-magic="0:0;3:1:0:x"/></lrm_resource>
<lrm_resource id="box-podman-0" class="ocf" provider="heartbeat" type="podman"><lrm_rsc_op id="box-podman-0_last_0" operation_key="box-podman-0_start_0" operation="start" call-id="8" rc-code="0" op-status="0" interval="0" transition-key="4:1:0:x" transition-magic="0:0;4:1:0:x"/></lrm_resource>
<lrm_resource id="box-0" class="ocf" provider="pacemaker" type="remote"><lrm_rsc_op id="box-0_last_0" operation_key="box-0_start_0" operation="start" call-id="9" rc-code="0" op-status="0" interval="0" transition-key="5:1:0:x" transition-magic="0:0;5:1:0:x"/></lrm_resource>
</lrm_resources></lrm></node_state>
<node_state id="2" uname="n2" in_ccm="true" crmd="online" join="member" expected="member"/>
<node_state id="guest1" uname="guest1" remote_node="true"><lrm id="guest1"><lrm_resources><lrm_resource id="rsc1" class="ocf" provider="pacemaker" type="Dummy"><lrm_rsc_op id="rsc1_last_0" operation_key="rsc1_start_0" operation="start" call-id="3" rc-code="0" op-status="0" interval="0" transition-key="6:1:0:x" transition-magic="0:0;6:1:0:x"/></lrm_resource></lrm_resources></lrm></node_state>
</status></cib>"##;

/// What bytes are overwritten with.
const BYTES: &[u8] = br##"019-azAZ:;#. "<>&"##;

/// A sequence of numbers that looks random and is always the same.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        // Knuth's MMIX constants.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound.max(1)
    }
}

fn size(element: &Element) -> usize {
    1 + element.children.iter().map(size).sum::<usize>()
}

/// Applies `change` to the parent of the element with this number, in document order.
fn change_at(at: &mut Element, number: &mut usize, change: &mut impl FnMut(&mut Element, usize)) {
    let mut index = 0;
    while index < at.children.len() {
        if *number == 0 {
            *number = usize::MAX;
            change(at, index);
            return;
        }
        *number -= 1;
        change_at(&mut at.children[index], number, change);
        if *number == usize::MAX {
            return;
        }
        index += 1;
    }
}

fn mutate(tree: &mut Element, numbers: &mut Numbers) {
    let mut number = numbers.below(size(tree).saturating_sub(1));
    let (how, value) = (numbers.below(5), VALUES[numbers.below(VALUES.len())]);
    let which = numbers.below(8);
    change_at(tree, &mut number, &mut |parent, index| match how {
        0 => {
            parent.children.remove(index);
        }
        1 => {
            let twin = parent.children[index].clone();
            parent.children.push(twin);
        }
        2 => parent.children[index].children.clear(),
        _ => {
            let attrs = &mut parent.children[index].attrs;
            let count = attrs.len();
            if count > 0 {
                attrs[which % count].1 = Text::from(value);
            }
        }
    });
}

fn survive(original: &Element, name: &str, count: u64) {
    for seed in 0..count {
        let mut numbers = Numbers(seed);
        let mut tree = original.clone();
        for _ in 0..CHANGES {
            mutate(&mut tree, &mut numbers);
        }
        let options = Options { now: NOW };
        let plan = schedule(&tree, &options);
        check(&plan);
        assert_eq!(plan, schedule(&tree, &options), "{name}, seed {seed}");
    }
}

#[test]
fn our_own_cluster_is_scheduled() {
    let tree = cib::xml::parse(OWN).expect("XML");
    let plan = schedule(&tree, &Options { now: NOW });
    check(&plan);
    for line in ["inner:0", "box-podman-1", "box-ip-10.0.0.253"] {
        assert!(
            plan.summary.iter().any(|l| l.contains(line)),
            "{line}: {:#?}",
            plan.summary
        );
    }
}

#[test]
fn changes_to_our_own_cluster_are_survived() {
    let tree = cib::xml::parse(OWN).expect("XML");
    survive(&tree, "own", CHANGED_OWN);
}

/// The small cases, each named after the rule it shows, with something in them changed.
#[test]
fn changes_to_small_cases_are_survived() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let files = std::fs::read_dir(folder).expect("the folder of the cases");
    let mut files: Vec<_> = files
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "xml"))
        .collect();
    files.sort();
    assert!(files.len() > 80, "only {} cases", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a case");
        let tree = cib::xml::parse(&text).expect("XML");
        survive(&tree, &file.display().to_string(), CHANGED_SMALL);
    }
}

/// From bytes to a plan: what can still be read after some bytes changed is scheduled.
#[test]
fn changed_bytes_are_survived() {
    let mut read = 0;
    for seed in 0..CHANGED_TEXTS {
        let mut numbers = Numbers(seed);
        let mut bytes = OWN.as_bytes().to_vec();
        change_bytes(&mut bytes, &mut numbers);
        if let Ok(tree) = cib::xml::parse_bytes(&bytes) {
            read += 1;
            check(&schedule(&tree, &Options { now: NOW }));
        }
    }
    assert!(read > CHANGED_TEXTS / 10, "only {read} could be read");
}

/// Overwrites a byte, takes some out, or puts them in again elsewhere.
fn change_bytes(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    let at = numbers.below(bytes.len());
    let end = (at + 1 + numbers.below(9)).min(bytes.len());
    match numbers.below(4) {
        0 => drop(bytes.drain(at..end)),
        1 => {
            let piece = bytes[at..end].to_vec();
            let to = numbers.below(bytes.len());
            bytes.splice(to..to, piece);
        }
        _ => bytes[at] = BYTES[numbers.below(BYTES.len())],
    }
}

#[test]
fn changes_to_recorded_cases_are_survived() {
    let Some(folder) = std::env::var_os("MAINSTAY_SCHEDULER_CASES") else {
        eprintln!("skipped: MAINSTAY_SCHEDULER_CASES does not name the folder of the cases");
        return;
    };
    let folder = std::path::Path::new(&folder).join("xml");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of the cases")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a case");
        if text.len() > BYTES_MAX {
            continue;
        }
        let tree = cib::xml::parse(&text).expect("XML");
        survive(&tree, &file.display().to_string(), CHANGED_CASES);
    }
}
