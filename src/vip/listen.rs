//! Does anybody answer for an address? Asked over the wire, because nothing else is left to ask.

use netlink::probe::EchoProbe;
use netlink::{ArpListener, Kernel, Link};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// An address to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The address.
    pub ip: IpAddr,
    /// Whose it is or whose it could be, for the answer.
    pub whose: String,
    /// The device where it is or would be, where known.
    pub device: Option<String>,
}

/// Asks for all of them, by echo and (IPv4, on the same network) by ARP, again and again while it
/// listens; who answered first. Blocks for `listen`.
///
/// # Errors
/// Why nothing could be asked: silence would prove nothing then.
pub fn first_answer(
    questions: &[Question],
    listen: Duration,
) -> Result<Option<(String, IpAddr)>, String> {
    let step = (listen / ROUNDS).max(STEP_MIN);
    let mut probes = Vec::new();
    for question in questions {
        let probe = EchoProbe::start(None, question.ip, step).map_err(|e| e.to_string())?;
        probes.push((question, probe));
    }
    let mut ears = Vec::new();
    for question in questions {
        if let (IpAddr::V4(ip), Some(link)) = (question.ip, device(question)?) {
            let ear = ArpListener::open(&link).map_err(|e| e.to_string())?;
            ears.push((question, ip, link, ear));
        }
    }
    let until = Instant::now() + listen;
    while Instant::now() < until {
        for (_, ip, _, ear) in &ears {
            ear.ask(*ip).map_err(|e| e.to_string())?;
        }
        let round = (Instant::now() + step).min(until);
        while Instant::now() < round {
            for (question, ip, link, ear) in &ears {
                let heard = ear.next(EAR_WAIT).map_err(|e| e.to_string())?;
                let claims = |p: netlink::ArpPacket| link.mac.is_some_and(|m| p.claims(*ip, m));
                if heard.is_some_and(claims) {
                    return Ok(Some((question.whose.clone(), question.ip)));
                }
            }
            if let Some((question, _)) = probes.iter().find(|(_, p)| p.last_answer().is_some()) {
                return Ok(Some((question.whose.clone(), question.ip)));
            }
            if ears.is_empty() {
                std::thread::sleep(EAR_WAIT);
            }
        }
    }
    Ok(None)
}

/// The Ethernet device over which an address of the own networks is reached.
fn device(question: &Question) -> Result<Option<Link>, String> {
    let mut kernel = Kernel::open().map_err(|e| e.to_string())?;
    let link = match &question.device {
        Some(name) => kernel.link(name).ok(),
        None => {
            let wanted = netlink::Wanted {
                ip: question.ip,
                prefix: None,
                nic: None,
                broadcast: netlink::Broadcast::Inherit,
            };
            kernel.find_place(&wanted).ok().map(|place| place.link)
        }
    };
    Ok(link.filter(|l| l.up && !l.loopback && !l.noarp && l.mac.is_some()))
}

/// Rounds of questions while listening: a lost packet or two prove nothing.
const ROUNDS: u32 = 5;
/// Shortest time between two rounds.
const STEP_MIN: Duration = Duration::from_millis(10);
/// Longest look at one ear while there are others.
const EAR_WAIT: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;
    use netlink::{AddressSpec, NetNs, VethEnd};

    fn question(ip: &str) -> Question {
        Question {
            ip: ip.parse().unwrap(),
            whose: "peer".to_owned(),
            device: None,
        }
    }

    #[test]
    fn who_lives_answers_and_who_does_not_is_silent() {
        let (Ok(near), Ok(far)) = (NetNs::create(), NetNs::create()) else {
            eprintln!("who_lives_answers_and_who_does_not_is_silent: skipped, no namespaces");
            return;
        };
        let mut kernel = Kernel::open_in(&near).unwrap();
        let mut peer = Kernel::open_in(&far).unwrap();
        let (end, other) = (VethEnd::here("eth0"), VethEnd::within("eth0", &far));
        kernel.add_veth(end, other).unwrap();
        for (kernel, ip) in [(&mut peer, "10.7.0.2"), (&mut kernel, "10.7.0.1")] {
            let eth0 = kernel.link("eth0").unwrap().index;
            let spec = AddressSpec::new(eth0, ip.parse().unwrap(), 24);
            kernel.add_address(&spec).unwrap();
            kernel.set_up(eth0, true).unwrap();
        }
        let ask = |ip: &str| near.run(|| first_answer(&[question(ip)], LONG)).unwrap();
        assert_eq!(
            ask("10.7.0.2"),
            Ok(Some(("peer".to_owned(), "10.7.0.2".parse().unwrap())))
        );
        let short = || first_answer(&[question("10.7.0.3")], Duration::from_millis(100));
        assert_eq!(near.run(short).unwrap(), Ok(None));
    }

    const LONG: Duration = Duration::from_secs(20);
}
