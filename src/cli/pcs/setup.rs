//! `pcs cluster setup`, `node add`: a cluster that begins with this node, and lets the others in.

use super::Context;
use super::level::misused;
use super::words::pair;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{backend, elsewhere, mainstay, service};
use elsewhere::Order;
use std::net::IpAddr;

/// A node as it is named on the command line.
#[derive(Debug, Default)]
struct Machine {
    name: String,
    addresses: Vec<String>,
}

/// `setup CLUSTER (NODE [addr=ADDRESS]...)... [transport NAME] [totem NAME=VALUE...]
/// [quorum NAME=VALUE...]`
pub(super) fn setup(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (cluster, rest) = words.split_first().ok_or_else(misused)?;
    let (head, parts) = super::words::sections(rest, &["transport", "totem", "quorum"]);
    let machines = machines(head)?;
    if machines.is_empty() {
        return Err(misused());
    }
    let mut keys = Vec::new();
    for (section, words) in parts {
        if section == "transport" {
            transport(cx, words)?;
            continue;
        }
        for word in words {
            let (name, value) = pair(word)?;
            keys.push((format!("{section}.{name}"), value));
        }
    }
    let here = backend::host_name();
    let (own, others): (Vec<&Machine>, Vec<&Machine>) =
        machines.iter().partition(|m| m.name == here);
    let [own] = own.as_slice() else {
        return Err(Failure::usage(format!(
            "this machine, {here}, is not among the nodes once: run this on one of them"
        )));
    };
    let addresses = own.addresses.iter().map(|a| address(a));
    let addresses = addresses.collect::<Result<Vec<IpAddr>, Failure>>()?;
    mainstay::init(cluster, Some(&here), &addresses, &keys, cx.console)?;
    if cx.flags.has("enable") {
        service::tell(&cx.paths, "enable")?;
    }
    if !cx.flags.has("start") {
        let names: Vec<&str> = others.iter().map(|m| m.name.as_str()).collect();
        cx.note("Start it with `pcs cluster start`.");
        if !names.is_empty() {
            cx.note(&format!(
                "Then `pcs cluster node add` for each of {} says what is to be run there.",
                names.join(", ")
            ));
        }
        return Ok(());
    }
    let wanted = Order {
        program: "pcs",
        verb: "start",
        nodes: &[],
        all: false,
        wait_ms: Some(cx.flags.wait_ms()?.unwrap_or(START_MS)),
    };
    elsewhere::service(cx.backend, &cx.paths, &wanted)?;
    invite(cx, others.iter().copied())
}

/// `node add NODE [addr=ADDRESS]...`
pub(super) fn add(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let machines = machines(words)?;
    match machines.as_slice() {
        [machine] => invite(cx, [machine]),
        _ => Err(misused()),
    }
}

fn invite<'m>(
    cx: &mut Context<'_>,
    machines: impl IntoIterator<Item = &'m Machine>,
) -> Result<(), Failure> {
    for machine in machines {
        let text = elsewhere::invite(cx.backend, "pcs", &machine.name, &machine.addresses)?;
        cx.console.print(&text);
    }
    Ok(())
}

/// Names, each with what is its own behind it.
fn machines(words: &[String]) -> Result<Vec<Machine>, Failure> {
    let mut machines: Vec<Machine> = Vec::new();
    for word in words {
        if !word.contains('=') {
            if machines.iter().any(|m| m.name == *word) {
                return Err(Failure::usage(format!("node '{word}' is named twice")));
            }
            machines.push(Machine {
                name: word.clone(),
                ..Machine::default()
            });
            continue;
        }
        let (name, value) = pair(word)?;
        let machine = machines.last_mut().ok_or_else(misused)?;
        match name.as_str() {
            "addr" => {
                address(&value)?;
                machine.addresses.push(value);
            }
            "devices" | "watchdog" => {
                return Err(Failure::new(
                    Exit::Unimplemented,
                    format!(
                        "{name}= is not offered: there is no sbd; the watchdog belongs to `systemctl edit mainstay`"
                    ),
                ));
            }
            other => {
                return Err(Failure::usage(format!(
                    "invalid node option '{other}', allowed options are: 'addr'"
                )));
            }
        }
    }
    Ok(machines)
}

fn address(text: &str) -> Result<IpAddr, Failure> {
    text.parse().map_err(|_| {
        Failure::usage(format!(
            "'{text}' is no address: write it in figures, such as addr=10.0.0.1"
        ))
    })
}

/// There is one transport: unicast, encrypted.
fn transport(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    match words {
        [name] if ["knet", "udpu"].contains(&name.as_str()) => Ok(()),
        [name] if name == "udp" => {
            cx.warning("transport udp is multicast, which is not offered: unicast is used");
            Ok(())
        }
        [name, ..] if ["knet", "udpu", "udp"].contains(&name.as_str()) => Err(Failure::usage(
            "options of a transport are not offered: links are found by their addresses, and everything is encrypted",
        )),
        [name, ..] => Err(Failure::usage(format!(
            "invalid transport '{name}', use 'knet', 'udp', 'udpu'{}",
            super::is_it(name, ["knet", "udp", "udpu"])
        ))),
        [] => Err(misused()),
    }
}

/// How long the start of the first node may take, in milliseconds.
const START_MS: u64 = 60_000;
