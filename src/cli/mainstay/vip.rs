//! `mainstay vip`: floating addresses, who holds them, by which lease, and how they came there.

use super::verbs::Output;
use crate::cli::console::Console;
use crate::cli::exit::{Exit, Failure};
use crate::view::{Status, SwitchStatus, VipStatus, asctime};
use serde::Serialize;
use std::fmt::Write as _;

/// Prints them.
pub(super) fn show(status: &Status, output: Output, console: &mut Console) -> Result<(), Failure> {
    if output == Output::Json {
        let told = Told {
            addresses: &status.vips,
            node: &status.local_node,
            switches: &status.switches,
        };
        let text = serde_json::to_string_pretty(&told)
            .map_err(|e| Failure::new(Exit::Error, e.to_string()))?;
        console.line(&text);
        return Ok(());
    }
    if status.vips.is_empty() {
        console.line("No floating address is up.");
    }
    for vip in &status.vips {
        console.print(&described(vip));
    }
    for switch in &status.switches {
        console.line(&switched(switch, &status.local_node));
    }
    Ok(())
}

/// What the command says as JSON.
#[derive(Serialize)]
struct Told<'a> {
    addresses: &'a [VipStatus],
    /// Node that answered: the switches are its own.
    node: &'a str,
    switches: &'a [SwitchStatus],
}

/// One line about a kernel switch of the node that answers.
fn switched(switch: &SwitchStatus, node: &str) -> String {
    let mut text = format!("{} on {node}: {}", switch.key, switch.value);
    if !switch.set_by.is_empty() {
        text += &format!(", set by {}", switch.set_by);
    }
    // Who has set it for somebody says for whom.
    if !switch.set_by.ends_with(&switch.wanted_by) {
        text += &format!(", wanted by {}", switch.wanted_by);
    }
    if !switch.trouble.is_empty() {
        text += &format!(" ({})", switch.trouble);
    }
    text
}

fn described(vip: &VipStatus) -> String {
    let mut text = format!(
        "{} {} on {} of {}\n",
        vip.resource, vip.address, vip.device, vip.node
    );
    let lease = match (vip.lease.as_str(), vip.lease_left_ms) {
        ("open", Some(left)) => format!("grant {}, {left} ms left", vip.grant_no),
        ("open", None) => format!("grant {}", vip.grant_no),
        ("waiting", _) => "none yet: silent until it is granted".to_owned(),
        ("lapsed", _) => format!(
            "grant {} ran out: silent until it is granted anew",
            vip.grant_no
        ),
        _ => "none: this address is not held by one node alone".to_owned(),
    };
    // Writing into a string has no way to fail.
    let _ = writeln!(text, "  lease: {lease}");
    if !vip.belts.is_empty() {
        let _ = writeln!(text, "  belts: {}", vip.belts.join(", "));
    }
    for why in &vip.weaker {
        let _ = writeln!(text, "  weaker: {why}");
    }
    let foreign = match vip.foreign.as_str() {
        "" => String::new(),
        foreign => format!(" (claimed just now by {foreign})"),
    };
    let _ = writeln!(
        text,
        "  announcements: {}, conflicts: {}{foreign}",
        vip.announces, vip.conflicts
    );
    if let Some(moved) = &vip.last_move {
        let from = match moved.from.as_str() {
            "" => String::new(),
            from if from == moved.to => " anew".to_owned(),
            from => format!(" from {from}"),
        };
        let _ = writeln!(
            text,
            "  last move: {}{from} to {}, {} ms after the event: {}",
            asctime(moved.at),
            moved.to,
            moved.took_ms,
            moved.why
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::VipMove;

    #[test]
    fn an_address_is_told_with_its_lease_and_its_way() {
        let vip = VipStatus {
            resource: "ip".to_owned(),
            address: "10.0.2.10/24".to_owned(),
            device: "eth0".to_owned(),
            node: "node2".to_owned(),
            announces: 5,
            grant_no: 7,
            lease: "open".to_owned(),
            lease_left_ms: Some(201),
            belts: vec!["nf_tables".to_owned(), "lifetime".to_owned()],
            weaker: vec!["no egress".to_owned()],
            conflicts: 0,
            foreign: String::new(),
            last_move: Some(VipMove {
                resource: "ip".to_owned(),
                from: "node1".to_owned(),
                to: "node2".to_owned(),
                why: "node1 left the cluster".to_owned(),
                at: 0,
                took_ms: 12,
            }),
        };
        let text = described(&vip);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..5],
            [
                "ip 10.0.2.10/24 on eth0 of node2",
                "  lease: grant 7, 201 ms left",
                "  belts: nf_tables, lifetime",
                "  weaker: no egress",
                "  announcements: 5, conflicts: 0",
            ]
        );
        assert!(
            lines[5]
                .ends_with("from node1 to node2, 12 ms after the event: node1 left the cluster")
        );
    }

    #[test]
    fn a_switch_is_told_with_who_set_it_and_what_stands_in_the_way() {
        let mut switch = SwitchStatus {
            key: "net.ipv4.ip_nonlocal_bind".to_owned(),
            value: "1".to_owned(),
            wanted_by: "resource ip".to_owned(),
            set_by: "mainstayd (it was 0): resource ip".to_owned(),
            trouble: String::new(),
        };
        let set = "net.ipv4.ip_nonlocal_bind on node1: 1, set by mainstayd (it was 0): resource ip";
        assert_eq!(switched(&switch, "node1"), set);
        switch.value = "0".to_owned();
        switch.set_by.clear();
        switch.trouble = "/proc/sys is read-only".to_owned();
        assert_eq!(
            switched(&switch, "node1"),
            "net.ipv4.ip_nonlocal_bind on node1: 0, wanted by resource ip (/proc/sys is read-only)"
        );
    }

    #[test]
    fn silence_is_said() {
        for (lease, word) in [
            ("waiting", "none yet"),
            ("lapsed", "ran out"),
            ("unleased", "none:"),
        ] {
            let vip = VipStatus {
                lease: lease.to_owned(),
                ..VipStatus::default()
            };
            assert!(described(&vip).contains(word), "{lease}");
        }
    }
}
