//! Does anybody answer for an address? Asked over the wire, because nothing else is left to ask.

use netlink::probe::EchoProbe;
use netlink::{ClaimListener, Kernel, Link};
use std::collections::{BTreeMap, BTreeSet};
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

/// Asks for all of them, by echo and (on the same network) by ARP or neighbour solicitation, again
/// and again while it listens; who answered first. Blocks for `listen`.
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
    let ears = ears(questions)?;
    let until = Instant::now() + listen;
    while Instant::now() < until {
        for ear in &ears {
            ear.probe().map_err(|e| e.to_string())?;
        }
        let round = (Instant::now() + step).min(until);
        while Instant::now() < round {
            let heard = claimed(&ears)?.or_else(|| {
                let answered = |(_, probe): &&(_, EchoProbe)| probe.last_answer().is_some();
                probes.iter().find(answered).map(|(q, _)| q.ip)
            });
            if let Some(ip) = heard {
                let whose = questions.iter().find(|q| q.ip == ip);
                return Ok(whose.map(|q| (q.whose.clone(), ip)));
            }
            std::thread::sleep(EAR_WAIT);
        }
    }
    Ok(None)
}

/// A listener on every device behind which one of the addresses is or would be.
fn ears(questions: &[Question]) -> Result<Vec<ClaimListener>, String> {
    let mut by_link: BTreeMap<u32, (Link, BTreeSet<IpAddr>)> = BTreeMap::new();
    for question in questions {
        if let Some(link) = device(question)? {
            let (_, ips) = by_link.entry(link.index).or_insert((link, BTreeSet::new()));
            ips.insert(question.ip);
        }
    }
    let listening = |(link, ips): (Link, BTreeSet<IpAddr>)| {
        let mut ear = ClaimListener::new(&link)?;
        ear.watch(&ips)?;
        Ok(ear)
    };
    let ears: netlink::Result<Vec<_>> = by_link.into_values().map(listening).collect();
    ears.map_err(|e| e.to_string())
}

/// An address that somebody else has just claimed.
fn claimed(ears: &[ClaimListener]) -> Result<Option<IpAddr>, String> {
    for ear in ears {
        if let Some(claim) = ear.next().map_err(|e| e.to_string())? {
            return Ok(Some(claim.ip));
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
/// Between two looks at what was heard.
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
        for (kernel, host) in [(&mut peer, 2), (&mut kernel, 1)] {
            let eth0 = kernel.link("eth0").unwrap().index;
            let (four, six) = (format!("10.7.0.{host}"), format!("fd07::{host}"));
            for (ip, prefix) in [(four, 24), (six, 64)] {
                let mut spec = AddressSpec::new(eth0, ip.parse().unwrap(), prefix);
                spec.nodad = true;
                kernel.add_address(&spec).unwrap();
            }
            kernel.set_up(eth0, true).unwrap();
        }
        let ask = |ip: &str| near.run(|| first_answer(&[question(ip)], LONG)).unwrap();
        for ip in ["10.7.0.2", "fd07::2"] {
            let answer = Some(("peer".to_owned(), ip.parse().unwrap()));
            assert_eq!(ask(ip), Ok(answer));
        }
        for ip in ["10.7.0.3", "fd07::3"] {
            let short = || first_answer(&[question(ip)], Duration::from_millis(100));
            assert_eq!(near.run(short).unwrap(), Ok(None));
        }
    }

    #[test]
    fn who_answers_no_echo_is_heard_all_the_same() {
        let (Ok(near), Ok(far)) = (NetNs::create(), NetNs::create()) else {
            eprintln!("who_answers_no_echo_is_heard_all_the_same: skipped, no namespaces");
            return;
        };
        let mut kernel = Kernel::open_in(&near).unwrap();
        let mut peer = Kernel::open_in(&far).unwrap();
        let (end, other) = (VethEnd::here("eth0"), VethEnd::within("eth0", &far));
        kernel.add_veth(end, other).unwrap();
        // Only the peer has addresses: nothing can be sent to it but questions on the wire.
        let eth0 = peer.link("eth0").unwrap().index;
        for (ip, prefix) in [("10.7.0.2", 24), ("fd07::2", 64)] {
            let mut spec = AddressSpec::new(eth0, ip.parse().unwrap(), prefix);
            spec.nodad = true;
            peer.add_address(&spec).unwrap();
        }
        peer.set_up(eth0, true).unwrap();
        let here = kernel.link("eth0").unwrap().index;
        kernel.set_up(here, true).unwrap();
        for ip in ["10.7.0.2", "fd07::2"] {
            let question = Question {
                device: Some("eth0".to_owned()),
                ..question(ip)
            };
            let heard = near.run(|| first_answer(&[question], LONG)).unwrap();
            assert_eq!(heard, Ok(Some(("peer".to_owned(), ip.parse().unwrap()))));
        }
    }

    const LONG: Duration = Duration::from_secs(20);
}
