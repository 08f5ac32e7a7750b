//! What `mainstay status` knows beyond crm_mon.

use super::{Status, asctime};
use std::fmt::Write as _;

/// What `mainstay status` adds to crm_mon's text: how quorum stands, addresses, links, risks and
/// notices.
#[must_use]
pub fn document(status: &Status) -> String {
    let mut text = String::new();
    let (expected, present, needed) = status.votes;
    let _ = writeln!(
        text,
        "\nMembership of {}:\n  * {}: {present} of {expected} votes present, {needed} needed; view {}, this node is {} ({})",
        status.cluster_name,
        if status.quorate {
            "quorate"
        } else {
            "NOT quorate"
        },
        status.view_no,
        status.local_node,
        status.local_state
    );
    if !status.quorum_why.is_empty() {
        let _ = writeln!(text, "  * {}", status.quorum_why);
    }
    if let (common, min, max @ 1..) = status.protocol {
        let _ = writeln!(
            text,
            "  * protocol version {common}; this node speaks {min} to {max}"
        );
    }
    for peer in &status.peers {
        let links: Vec<String> = peer.links.iter().map(link).collect();
        let _ = writeln!(
            text,
            "  * {} {}: {}{}",
            peer.name,
            peer.state,
            links.join(", "),
            if peer.why.is_empty() {
                String::new()
            } else {
                format!(" ({})", peer.why)
            }
        );
    }
    if let Some((done, all)) = status.transition {
        let _ = writeln!(text, "\nTransition: {done} of {all} actions done");
    }
    if !status.vips.is_empty() {
        text.push_str("\nFloating Addresses:\n");
    }
    for vip in &status.vips {
        let _ = writeln!(
            text,
            "  * {} ({}) on {} of {}",
            vip.address, vip.resource, vip.device, vip.node
        );
    }
    let risks = super::risks(status);
    if !risks.is_empty() {
        text.push_str("\nRisks:\n");
    }
    for risk in risks {
        let _ = writeln!(text, "  * {risk}");
    }
    if !status.notices.is_empty() {
        text.push_str("\nNotices:\n");
    }
    for notice in &status.notices {
        let _ = writeln!(text, "  * {}: {}", asctime(notice.at), notice.text);
    }
    text
}

fn link((address, up, round_trip_us): &(String, bool, u32)) -> String {
    match up {
        true => format!(
            "{address} {}.{:03} ms",
            round_trip_us / 1000,
            round_trip_us % 1000
        ),
        false => format!("{address} DOWN"),
    }
}
