//! `mainstay-lab probe`: how long an address did not answer, from the client's place.

use super::cluster::Lab;
use super::error::LabError;
use super::interrupt;
use super::state::State;
use super::switch;
use netlink::Mac;
use netlink::owners::OwnerWatch;
use netlink::probe::{Echo, EchoProbe, longest_silence};
use netlink::provoke::{Provoker, Questions};
use netlink::speakers::Capture;
use netlink::sweep::Sweep;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

impl Lab {
    /// Starts ICMP echo requests to `target` every `interval` from the client's namespace.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn probe(&self, target: IpAddr, interval: Duration) -> Result<EchoProbe, LabError> {
        let netns = switch::namespace(self.client()?)?;
        EchoProbe::start(Some(&netns), target, interval).map_err(|e| LabError::Net {
            what: format!("probe {target} from the lab's client"),
            cause: e.to_string(),
        })
    }

    /// Starts asking by ARP, every `interval`, who has `address`: every question reaches every
    /// node, whatever the client's neighbour table says.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn owners(&self, address: Ipv4Addr, interval: Duration) -> Result<OwnerWatch, LabError> {
        let netns = switch::namespace(self.client()?)?;
        let (link, asker) = (switch::NODE_INTERFACE, switch::CLIENT_ADDRESS);
        OwnerWatch::start(&netns, link, asker, address, interval).map_err(|e| LabError::Net {
            what: format!("watch who answers for {address} from the lab's client"),
            cause: e.to_string(),
        })
    }

    /// Starts asking many addresses from the client's place; `old` is the hardware address of
    /// their holder.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn sweep(&self, targets: &[Ipv4Addr], old: Mac) -> Result<Sweep, LabError> {
        let netns = switch::namespace(self.client()?)?;
        let link = switch::NODE_INTERFACE;
        Sweep::start(&netns, link, targets, old).map_err(|e| LabError::Net {
            what: format!("ask {} addresses from the lab's client", targets.len()),
            cause: e.to_string(),
        })
    }

    /// Starts asking every node whether it has one of `ips`, every `interval` and by its hardware
    /// address, and noting at the switch whoever speaks for them.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn watch_owners(
        &self,
        ips: &BTreeSet<IpAddr>,
        interval: Duration,
    ) -> Result<(Provoker, Capture), LabError> {
        let state = State::load(&self.dir)?;
        let failed = |e: netlink::Error| LabError::Net {
            what: format!("watch who answers for {ips:?} in the lab"),
            cause: e.to_string(),
        };
        if ips.iter().any(IpAddr::is_ipv6) {
            switch::give_client_ipv6(state.client)?;
        }
        let hub = switch::namespace(state.switch)?;
        let capture = Capture::start(&hub, ips, &switch::INNER).map_err(failed)?;
        let machines = state.nodes.iter();
        let machines = machines.map(super::state::Node::mac);
        let questions = Questions {
            ips: ips.clone(),
            asker4: switch::CLIENT_ADDRESS,
            asker6: switch::CLIENT_ADDRESS6,
            machines: machines.collect(),
        };
        let client = switch::namespace(state.client)?;
        let provoker = Provoker::start(&client, switch::NODE_INTERFACE, questions, interval)
            .map_err(failed)?;
        Ok((provoker, capture))
    }

    /// Starts HTTP requests to `target` every `interval` from the client's namespace.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn http(
        &self,
        target: SocketAddr,
        interval: Duration,
    ) -> Result<super::HttpProbe, LabError> {
        super::HttpProbe::start(&switch::namespace(self.client()?)?, target, interval)
    }
}

/// What `mainstay-lab probe` was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) address: IpAddr,
    pub(super) interval: Duration,
    /// Number of probes; until Ctrl-C when not given.
    pub(super) count: Option<u64>,
    /// Pages from this TCP port instead of echoes.
    pub(super) http: Option<u16>,
}

/// Probes until the count is reached or Ctrl-C, then says how many were answered and how long the
/// longest silence was. Exit code 0 when any was answered, else 1.
pub(super) fn command(lab: &Lab, asked: &Asked) -> Result<i32, LabError> {
    let start = Instant::now();
    let (echoes, end) = match asked.http {
        None => {
            let probe = lab.probe(asked.address, asked.interval)?;
            let end = wait_for_end(asked, start);
            (probe.stop(), end)
        }
        Some(port) => {
            let probe = lab.http(SocketAddr::new(asked.address, port), asked.interval)?;
            let end = wait_for_end(asked, start);
            (probe.stop(), end)
        }
    };
    let answered = echoes.iter().filter(|e| e.answered.is_some()).count();
    println!(
        "{}: {answered} of {} probes answered, one every {:?}",
        asked.address,
        echoes.len(),
        asked.interval
    );
    println!("{}", Silence::longest(&echoes, start, end).describe(start));
    Ok(i32::from(answered == 0))
}

/// Returns the end of the observation; the last probes get a little longer for their answers.
fn wait_for_end(asked: &Asked, start: Instant) -> Instant {
    let bound = asked.count.map(|n| {
        asked
            .interval
            .saturating_mul(u32::try_from(n).unwrap_or(u32::MAX))
    });
    while !interrupt::arrived() && bound.is_none_or(|b| start.elapsed() < b) {
        std::thread::sleep(LOOK_EVERY);
    }
    let end = Instant::now();
    std::thread::sleep(LAST_ANSWERS);
    end
}

/// A time without answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Silence {
    pub(super) from: Instant,
    pub(super) lasted: Duration,
}

impl Silence {
    /// The longest one between `start` and `end`.
    pub(super) fn longest(echoes: &[Echo], start: Instant, end: Instant) -> Self {
        let lasted = longest_silence(echoes, start, end);
        let mut ends: Vec<Instant> = echoes.iter().filter_map(|e| e.answered).collect();
        ends.push(end);
        // It ended with an answer or with the observation, and began `lasted` before.
        let from = ends
            .iter()
            .filter_map(|at| at.checked_sub(lasted))
            .find(|from| {
                *from >= start
                    && !echoes
                        .iter()
                        .filter_map(|e| e.answered)
                        .any(|at| at > *from && at < *from + lasted)
            })
            .unwrap_or(start);
        Self { from, lasted }
    }

    fn describe(&self, start: Instant) -> String {
        format!(
            "longest silence {:.1} ms, {:.3} s after the start",
            self.lasted.as_secs_f64() * 1e3,
            self.from.saturating_duration_since(start).as_secs_f64()
        )
    }
}

/// How often Ctrl-C and the count are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Time for the answers that are under way at the end.
const LAST_ANSWERS: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silence_is_found_with_its_beginning() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let echoes: Vec<Echo> = [5, 10, 15, 515, 520]
            .into_iter()
            .enumerate()
            .map(|(i, ms)| Echo {
                number: i as u64,
                sent: at(ms - 1),
                answered: Some(at(ms)),
            })
            .collect();
        let silence = Silence::longest(&echoes, start, at(525));
        assert_eq!(
            silence,
            Silence {
                from: at(15),
                lasted: Duration::from_millis(500)
            }
        );
        let nothing = Silence::longest(&[], start, at(40));
        assert_eq!(
            nothing,
            Silence {
                from: start,
                lasted: Duration::from_millis(40)
            }
        );
    }
}
