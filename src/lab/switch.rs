//! The lab's network: a bridge in a namespace of its own, one port per node and one for the client.

use super::error::{LabError, Tried};
use super::state::{Node, Process};
use netlink::{AddressSpec, Kernel, Mac, NetNs, VethEnd};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The client's address; probes come from there.
pub const CLIENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 250);
/// The client's address for who wants IPv6; it has it from [`super::Lab::watch_owners`] on.
pub const CLIENT_ADDRESS6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x250);
/// Prefix length of the lab's IPv6 network.
const PREFIX6: u8 = 64;
/// Prefix length of the lab's network when not said otherwise.
pub const PREFIX: u8 = 24;
/// Interfaces by which the switch hands frames on within itself.
pub(super) const INNER: [&str; 4] = [BRIDGE, FAR_BRIDGE, NEAR_WAY, FAR_WAY];
/// Name of the bridge in the switch's namespace.
const BRIDGE: &str = "bridge0";
/// The bridge for the others while a node is apart.
const FAR_BRIDGE: &str = "bridge1";
/// The two ends of the way from one bridge to the other.
const NEAR_WAY: &str = "way0";
const FAR_WAY: &str = "way1";
/// Name of the interface of a node.
pub const NODE_INTERFACE: &str = "eth0";
/// Most nodes of a lab: 10.77.0.101 … .148, well below the client.
pub const NODES_MAX: u8 = 48;

/// Time between two ARP requests of the client, in milliseconds.
const ARP_EVERY_MS: u32 = 5;

/// Address of node `index` (from 1).
#[must_use]
pub fn node_address(index: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, 100 + index)
}

/// Hardware address of the interface with this address.
pub(super) fn mac_of(address: Ipv4Addr) -> Mac {
    let [.., network, host] = address.octets();
    Mac([0x02, 0x77, 0, 0, network, host])
}

/// Makes the bridges in a fresh switch namespace.
///
/// # Errors
/// What the kernel said.
pub(super) fn build(switch: Process) -> Result<(), LabError> {
    tried("make the lab's switch (kernel module bridge)", || {
        let mut kernel = Kernel::open_in(&open(switch)?)?;
        kernel.loopback_up()?;
        let mut bridges = [0; 2];
        for (index, name) in bridges.iter_mut().zip([BRIDGE, FAR_BRIDGE]) {
            *index = kernel.add_bridge(name)?;
            kernel.set_up(*index, true)?;
        }
        kernel.add_veth(VethEnd::here(NEAR_WAY), VethEnd::here(FAR_WAY))?;
        for (name, bridge) in [(NEAR_WAY, bridges[0]), (FAR_WAY, bridges[1])] {
            let way = kernel.link(name)?.index;
            kernel.set_bridge(way, Some(bridge))?;
            kernel.set_up(way, true)?;
        }
        let way = kernel.link(NEAR_WAY)?.index;
        kernel.set_isolated(way, true)
    })
}

/// Connects a node (or the client) to the switch through `port` and gives it its address.
///
/// # Errors
/// What the kernel said.
pub(super) fn plug(
    switch: Process,
    port: &str,
    node: Process,
    (address, prefix): (Ipv4Addr, u8),
) -> Result<(), LabError> {
    tried(
        &format!("plug {address} into the lab's switch (kernel module veth)"),
        || {
            let node = open(node)?;
            let mut outside = Kernel::open_in(&open(switch)?)?;
            outside.add_veth(VethEnd::here(port), VethEnd::within(NODE_INTERFACE, &node))?;
            let bridge = outside.link(BRIDGE)?.index;
            let near = outside.link(port)?.index;
            outside.set_bridge(near, Some(bridge))?;
            outside.set_up(near, true)?;

            let mut inside = Kernel::open_in(&node)?;
            inside.loopback_up()?;
            let far = inside.link(NODE_INTERFACE)?.index;
            // A network card keeps its address when the power is cut: neighbours need not ask again.
            inside.set_mac(far, mac_of(address))?;
            inside.add_address(&AddressSpec::new(far, IpAddr::V4(address), prefix))?;
            inside.set_up(far, true)
        },
    )
}
/// Gives the client an IPv6 address, too.
///
/// # Errors
/// What the kernel said.
pub(super) fn give_client_ipv6(client: Process) -> Result<(), LabError> {
    tried("give the client an IPv6 address", || {
        let mut kernel = Kernel::open_in(&open(client)?)?;
        let index = kernel.link(NODE_INTERFACE)?.index;
        let spec = AddressSpec {
            nodad: true,
            ..AddressSpec::new(index, CLIENT_ADDRESS6.into(), PREFIX6)
        };
        match kernel.add_address(&spec) {
            Err(e) if !e.is_exists() => Err(e),
            _ => Ok(()),
        }
    })
}

/// Makes the client ask for an address that does not answer every [`ARP_EVERY_MS`] instead of every
/// second, so that a probe's resolution is its interval. Entries that were resolved before are not
/// asked for again: whoever takes an address over still has to announce it.
///
/// # Errors
/// What the kernel said.
pub(super) fn sharpen(client: Process) -> Result<(), LabError> {
    let path = format!("/proc/sys/net/ipv4/neigh/{NODE_INTERFACE}/retrans_time_ms");
    namespace(client)?
        .run(|| std::fs::write(&path, ARP_EVERY_MS.to_string()))
        .map_err(|e| LabError::Net {
            what: "enter the client".to_owned(),
            cause: e.to_string(),
        })?
        .tried(|| format!("write {path}"))
}

/// Takes a port away, and with it the other end: the node's interface is gone at once, even if
/// the kernel still tears its namespace down.
///
/// # Errors
/// What the kernel said; a port that is gone already is no error.
pub(super) fn unplug(switch: Process, port: &str) -> Result<(), LabError> {
    tried(&format!("remove {port} from the lab's switch"), || {
        let mut kernel = Kernel::open_in(&open(switch)?)?;
        match kernel.links()?.into_iter().find(|link| link.name == port) {
            // The kernel may take it down with the node's namespace between the two requests.
            Some(link) => kernel
                .delete_link(link.index)
                .or_else(|e| match e.is_absent() {
                    true => Ok(()),
                    false => Err(e),
                }),
            None => Ok(()),
        }
    })
}

/// Puts every node's port where it belongs. A cut node's port is in no bridge: the cable stays, the
/// node keeps its carrier and hears nothing, as behind a switch that lost its uplink. Where a node
/// is apart, its port is isolated and the other nodes are in the second bridge, whose way to the
/// first is isolated, too: they hear each other and the client. A deaf or mute node's port is
/// one-way.
///
/// # Errors
/// What the kernel said.
pub(super) fn arrange(switch: Process, nodes: &[Node]) -> Result<(), LabError> {
    tried("arrange the ports of the lab's switch", || {
        let mut kernel = Kernel::open_in(&open(switch)?)?;
        let links = kernel.links()?;
        let find = |name: &str| links.iter().find(|l| l.name == name);
        let index = |name: &str| find(name).map(|l| l.index);
        let someone_apart = nodes.iter().any(|n| n.apart);
        for node in nodes {
            // A node without power has no port.
            let Some(port) = find(&node.port()) else {
                continue;
            };
            let bridge = match (node.cut, someone_apart && !node.apart) {
                (true, _) => None,
                (false, true) => index(FAR_BRIDGE),
                (false, false) => index(BRIDGE),
            };
            if port.controller != bridge {
                kernel.set_bridge(port.index, bridge)?;
            }
            if bridge.is_some() {
                kernel.set_isolated(port.index, node.apart)?;
                kernel.set_one_way(port.index, !node.mute, !node.deaf)?;
            }
        }
        Ok(())
    })
}

/// Removes an address from a node behind its daemon's back, as a person with `ip addr del` would.
///
/// # Errors
/// What the kernel said.
pub(super) fn remove_address(node: Process, address: IpAddr) -> Result<(), LabError> {
    tried(&format!("remove {address} from a node"), || {
        let mut kernel = Kernel::open_in(&open(node)?)?;
        for found in kernel.addresses()?.into_iter().filter(|a| a.ip == address) {
            kernel.delete_address(found.index, found.ip, found.prefix)?;
        }
        Ok(())
    })
}

/// Takes a node's interface down or up, inside the node.
///
/// # Errors
/// What the kernel said.
pub(super) fn set_up(node: Process, up: bool) -> Result<(), LabError> {
    tried(&format!("set {NODE_INTERFACE} of a node up: {up}"), || {
        let mut kernel = Kernel::open_in(&open(node)?)?;
        let index = kernel.link(NODE_INTERFACE)?.index;
        kernel.set_up(index, up)
    })
}

/// What the kernel of `node` has on its interfaces.
///
/// # Errors
/// What the kernel said.
pub(super) fn addresses(node: Process) -> Result<BTreeSet<IpAddr>, LabError> {
    tried("list the addresses of a node", || {
        let mut kernel = Kernel::open_in(&open(node)?)?;
        Ok(kernel.addresses()?.iter().map(|a| a.ip).collect())
    })
}

/// The network namespace of a process of the lab.
pub(super) fn namespace(process: Process) -> Result<NetNs, LabError> {
    Ok(NetNs::from(std::os::fd::OwnedFd::from(
        process.namespace("net")?,
    )))
}

fn open(process: Process) -> netlink::Result<NetNs> {
    NetNs::of_pid(process.pid.unsigned_abs())
}

fn tried<T>(what: &str, work: impl FnOnce() -> netlink::Result<T>) -> Result<T, LabError> {
    work().map_err(|e| LabError::Net {
        what: what.to_owned(),
        cause: e.to_string(),
    })
}
