//! The table that sorts IPv6 addresses when a source is chosen (RFC 6724 section 2.1,
//! `ip addrlabel`).

use crate::{Kernel, Result};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::addrlabel::{AddrLabelAttribute, AddrLabelMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::net::{IpAddr, Ipv6Addr};

impl Kernel {
    /// Gives one address a label of its own.
    ///
    /// # Errors
    /// [`crate::Error::is_exists`] when it has one.
    pub fn add_address_label(&mut self, ip: Ipv6Addr, label: u32) -> Result<()> {
        let what = format!("label {ip} with {label}");
        let request = RouteNetlinkMessage::NewAddrLabel(message(ip, label));
        self.socket
            .request(&what, request, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Takes an address's label away.
    ///
    /// # Errors
    /// [`crate::Error::is_absent`] when it has none.
    pub fn delete_address_label(&mut self, ip: Ipv6Addr, label: u32) -> Result<()> {
        // The kernel wants a label even where it needs none.
        let request = RouteNetlinkMessage::DelAddrLabel(message(ip, label));
        self.socket
            .request(&format!("remove the label of {ip}"), request, 0)
    }
}

fn message(ip: Ipv6Addr, label: u32) -> AddrLabelMessage {
    let mut message = AddrLabelMessage::default();
    message.header.family = AddressFamily::Inet6;
    message.header.prefix_len = 128;
    message.attributes = vec![
        AddrLabelAttribute::Address(IpAddr::V6(ip)),
        AddrLabelAttribute::Label(label),
    ];
    message
}

#[cfg(test)]
mod tests {
    use crate::testing::machine;

    #[test]
    fn a_label_comes_and_goes() {
        let Some((_ns, mut kernel)) = machine("a_label_comes_and_goes") else {
            return;
        };
        let ip = "fd77::100".parse().unwrap();
        kernel.add_address_label(ip, 99).unwrap();
        assert!(kernel.add_address_label(ip, 99).unwrap_err().is_exists());
        kernel.delete_address_label(ip, 99).unwrap();
        assert!(kernel.delete_address_label(ip, 99).unwrap_err().is_absent());
    }
}
