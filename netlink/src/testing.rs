//! A kernel of our own for tests, in throw-away namespaces.

use crate::rights;
use crate::{AddressSpec, ArpListener, Kernel, NetNs, VethEnd};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// A new namespace, or nothing when the machine does not let us (see [`rights::elsewhere`]).
pub(crate) fn netns(test: &str) -> Option<NetNs> {
    match NetNs::create() {
        Ok(netns) => Some(netns),
        Err(error) => {
            rights::elsewhere(test, &error.to_string());
            None
        }
    }
}

/// A namespace with `lo` up and its handle.
pub(crate) fn machine(test: &str) -> Option<(NetNs, Kernel)> {
    let netns = netns(test)?;
    let mut kernel = Kernel::open_in(&netns).expect("netlink socket");
    kernel.loopback_up().expect("loopback up");
    Some((netns, kernel))
}

/// One of two namespaces with `eth0` between them, 10.7.0.1/24 and 10.7.0.2/24.
pub(crate) struct Machine {
    pub(crate) netns: NetNs,
    pub(crate) kernel: Kernel,
}

impl Machine {
    /// Hears the ARP traffic of `eth0` from now on.
    pub(crate) fn listen(&self) -> ArpListener {
        self.netns
            .run(|| ArpListener::open(&Kernel::open().unwrap().link("eth0").unwrap()).unwrap())
            .unwrap()
    }

    /// Makes the kernel learn where an address lives: a datagram to it, and its refusal back.
    pub(crate) fn speak_to(&self, ip: Ipv4Addr) {
        self.netns
            .run(|| {
                let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
                socket
                    .set_read_timeout(Some(std::time::Duration::from_secs(5)))
                    .unwrap();
                socket.connect((ip, 9)).unwrap();
                socket.send(b"?").unwrap();
                let error = socket.recv(&mut [0; 8]).unwrap_err();
                assert_eq!(
                    error.kind(),
                    std::io::ErrorKind::ConnectionRefused,
                    "{error}"
                );
            })
            .unwrap();
    }
}

/// Two machines on one wire, or nothing as in [`netns`].
pub(crate) fn pair(test: &str) -> Option<[Machine; 2]> {
    let (near_ns, mut near) = machine(test)?;
    let (far_ns, mut far) = machine(test)?;
    near.add_veth(VethEnd::here("eth0"), VethEnd::within("eth0", &far_ns))
        .expect("a wire");
    // The end that is opened last can send at once; the other's queue starts a moment later.
    for (kernel, last) in [(&mut far, 2), (&mut near, 1)] {
        let index = kernel.link("eth0").expect("eth0").index;
        let ip = IpAddr::V4(Ipv4Addr::new(10, 7, 0, last));
        kernel
            .add_address(&AddressSpec::new(index, ip, 24))
            .expect("an address");
        kernel.set_up(index, true).expect("eth0 up");
    }
    Some([
        Machine {
            netns: near_ns,
            kernel: near,
        },
        Machine {
            netns: far_ns,
            kernel: far,
        },
    ])
}
