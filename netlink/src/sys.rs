//! The crate's (and the program's) only `unsafe`: socket addresses nix has no constructor for.
#![allow(unsafe_code)]

use nix::sys::socket::{LinkAddr, SockaddrLike};

/// An `AF_PACKET` address: interface, protocol in host order (`ETH_P_*`), hardware destination.
pub(crate) fn link_address(index: u32, protocol: u16, destination: [u8; 6]) -> LinkAddr {
    let mut hardware = [0; 8];
    hardware[..destination.len()].copy_from_slice(&destination);
    let raw = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: index.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: destination.len() as u8,
        sll_addr: hardware,
    };
    let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // JUSTIFICATION: nix reads link addresses but offers no safe way to make one.
    // SAFETY: `raw` is a whole, initialised sockaddr_ll that outlives the call, `len` is its
    // exact size, and its family says AF_PACKET, which is what `LinkAddr` checks for.
    unsafe { LinkAddr::from_raw((&raw const raw).cast(), Some(len)) }
        .expect("family and length are those of a link address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_says_what_was_asked() {
        let address = link_address(7, libc::ETH_P_ARP as u16, [0xff; 6]);
        assert_eq!((address.ifindex(), address.halen()), (7, 6));
        assert_eq!(u16::from_be(address.protocol()), 0x0806);
        assert_eq!(address.addr(), Some([0xff; 6]));
    }
}
