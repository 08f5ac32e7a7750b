//! The kernel's neighbour tables: which hardware address an address has been seen at.

use crate::attribute::{Attributes, u32_at};
use crate::socket::Reply;
use crate::{Kernel, Mac, Result};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::NeighbourMessage;
use std::net::IpAddr;

/// An entry with a hardware address, fresh or stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of the interface it was seen on.
    pub index: u32,
    /// The address.
    pub ip: IpAddr,
    /// Where it lives.
    pub mac: Mac,
}

impl Kernel {
    /// The entries of both families that have an Ethernet address.
    ///
    /// # Errors
    /// When the kernel refuses the dump.
    pub fn neighbours(&mut self) -> Result<Vec<Neighbour>> {
        let request = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        self.socket.dump("list the neighbours", request, read)
    }
}

fn read(reply: Reply<'_>) -> Option<Neighbour> {
    if reply.kind != RTM_NEWNEIGH {
        return None;
    }
    let attributes = Attributes::after(reply.body, NEIGHBOUR_HEADER_BYTES);
    Some(Neighbour {
        index: u32_at(reply.body, 4)?,
        ip: attributes.ip(NDA_DST)?,
        mac: Mac(attributes.bytes(NDA_LLADDR)?.try_into().ok()?),
    })
}

/// `struct ndmsg`: family, padding, index, state, flags, type.
const NEIGHBOUR_HEADER_BYTES: usize = 12;
const RTM_NEWNEIGH: u16 = 28;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pair;

    #[test]
    fn who_was_spoken_to_is_known() {
        let Some([mut near, mut far]) = pair("who_was_spoken_to_is_known") else {
            return;
        };
        far.speak_to("10.7.0.1".parse().unwrap());
        let link = near.kernel.link("eth0").unwrap();
        let ip = "10.7.0.1".parse().unwrap();
        let index = far.kernel.link("eth0").unwrap().index;
        let mac = link.mac.unwrap();
        let expect = Neighbour { index, ip, mac };
        assert!(far.kernel.neighbours().unwrap().contains(&expect));
    }
}
