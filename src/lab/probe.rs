//! `mainstay-lab probe`: how long an address did not answer, from the client's place.

use super::cluster::Lab;
use super::error::LabError;
use super::interrupt;
use super::switch;
use netlink::probe::{Echo, EchoProbe, longest_silence};
use std::net::IpAddr;
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

    /// Starts HTTP requests to `target` every `interval` from the client's namespace.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn http(
        &self,
        target: std::net::SocketAddr,
        interval: Duration,
    ) -> Result<super::HttpProbe, LabError> {
        super::HttpProbe::start(&switch::namespace(self.client()?)?, target, interval)
    }
}

/// Probes until `count` requests were made or Ctrl-C, then says how many were answered and how
/// long the longest silence was. Exit code 0 when any was answered, else 1.
pub(super) fn command(
    lab: &Lab,
    target: IpAddr,
    interval: Duration,
    count: Option<u64>,
) -> Result<i32, LabError> {
    let start = Instant::now();
    let probe = lab.probe(target, interval)?;
    let bound = count.map(|n| interval.saturating_mul(u32::try_from(n).unwrap_or(u32::MAX)));
    while !interrupt::arrived() && bound.is_none_or(|b| start.elapsed() < b) {
        std::thread::sleep(LOOK_EVERY);
    }
    let end = Instant::now();
    // The last ones may still be answered.
    std::thread::sleep(LAST_ANSWERS);
    let echoes = probe.stop();
    let answered = echoes.iter().filter(|e| e.answered.is_some()).count();
    println!(
        "{target}: {answered} of {} probes answered, one every {interval:?}",
        echoes.len()
    );
    println!("{}", Silence::longest(&echoes, start, end).describe(start));
    Ok(i32::from(answered == 0))
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
