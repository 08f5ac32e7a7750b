//! What the kernel tells of links and addresses as it happens.

use crate::{Error, Result};
use futures_util::StreamExt;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::MulticastGroup;
use std::net::IpAddr;
use tokio::task::JoinHandle;

/// A change that somebody made, ourselves included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// An address was removed.
    AddressGone(IpAddr),
    /// A link came, went, or changed its state.
    Link,
}

/// The kernel's events. Events may be lost under a flood, and carrier events may come up to a
/// second late: whoever must know looks at the state itself from time to time, too.
pub struct Watch {
    messages: Messages,
    connection: JoinHandle<()>,
}

type Messages = futures_util::stream::BoxStream<'static, NetlinkMessage<RouteNetlinkMessage>>;

impl Watch {
    /// Listens from now on, in the namespace of the calling thread. Must be called inside a tokio
    /// runtime with IO.
    ///
    /// # Errors
    /// The system gives no socket.
    pub fn start() -> Result<Self> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
        ];
        let (connection, _, messages) =
            rtnetlink::new_multicast_connection(&groups).map_err(|source| Error::Io {
                what: "listen to the kernel".to_owned(),
                source,
            })?;
        let connection = tokio::spawn(connection);
        Ok(Self {
            messages: messages.map(|(message, _)| message).boxed(),
            connection,
        })
    }

    /// The next change; `None` when the kernel's socket is gone.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            if let Some(change) = change_of(&self.messages.next().await?.payload) {
                return Some(change);
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

fn change_of(payload: &NetlinkPayload<RouteNetlinkMessage>) -> Option<Change> {
    let NetlinkPayload::InnerMessage(message) = payload else {
        return None;
    };
    match message {
        RouteNetlinkMessage::DelAddress(message) => address_of(message).map(Change::AddressGone),
        RouteNetlinkMessage::NewLink(_) | RouteNetlinkMessage::DelLink(_) => Some(Change::Link),
        _ => None,
    }
}

/// IPv4 addresses stand in IFA_LOCAL, IPv6 ones in IFA_ADDRESS (rtnetlink(7)).
fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|a| match a {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    });
    local.or_else(|| {
        message.attributes.iter().find_map(|a| match a {
            AddressAttribute::Address(ip) => Some(*ip),
            _ => None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::machine;
    use crate::{AddressSpec, Kernel};

    #[test]
    fn a_removed_address_and_a_link_that_goes_down_are_told() {
        let Some((netns, _)) = machine("a_removed_address_and_a_link_that_goes_down_are_told")
        else {
            return;
        };
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let mut watch = Watch::start().unwrap();
                let mut kernel = Kernel::open().unwrap();
                let lo = kernel.link("lo").unwrap().index;
                for ip in ["10.9.9.9", "fd09::9"] {
                    let ip: IpAddr = ip.parse().unwrap();
                    let prefix = if ip.is_ipv4() { 32 } else { 128 };
                    kernel
                        .add_address(&AddressSpec::new(lo, ip, prefix))
                        .unwrap();
                    kernel.delete_address(lo, ip, prefix).unwrap();
                    assert_eq!(watch.next().await, Some(Change::AddressGone(ip)));
                }
                let (end, far) = (crate::VethEnd::here("a0"), crate::VethEnd::here("b0"));
                kernel.add_veth(end, far).unwrap();
                assert_eq!(watch.next().await, Some(Change::Link));
            });
        };
        netns.run(run).unwrap();
    }
}
