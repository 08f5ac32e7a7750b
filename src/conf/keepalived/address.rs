//! A line of `virtual_ipaddress`: `192.0.2.1/24 brd 192.0.2.255 dev eth0 label eth0:1`.

use super::Fate;
use super::syntax::Statement;
use std::net::{IpAddr, Ipv4Addr};

/// What `IPaddr2` is told of an address.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Address<'a> {
    pub(super) nic: Option<&'a str>,
    pub(super) broadcast: Option<&'a str>,
    pub(super) label: Option<&'a str>,
    pub(super) preferred_lft: Option<&'a str>,
    pub(super) no_prefix_route: bool,
    /// Words that are lost, and why.
    pub(super) lost: Vec<(Fate, String)>,
}

impl<'a> Address<'a> {
    /// The words behind the address itself.
    pub(super) fn read(s: &'a Statement) -> Self {
        let mut address = Self::default();
        let mut words = s.words.iter().skip(1).map(String::as_str);
        while let Some(word) = words.next() {
            let value = match HAVE_VALUE.contains(&word) {
                false => "",
                true => match words.next() {
                    Some(value) => value,
                    None => {
                        address.lose(Fate::Refused, s, word, "nothing stands behind it");
                        break;
                    }
                },
            };
            address.word(s, word, value);
        }
        address
    }

    fn word(&mut self, s: &'a Statement, word: &'a str, value: &'a str) {
        let (fate, why) = match word {
            "dev" => return self.nic = Some(value),
            "label" => return self.label = Some(value),
            "preferred_lft" => return self.preferred_lft = Some(value),
            "noprefixroute" => return self.no_prefix_route = true,
            "brd" | "broadcast" if value == "-" => return,
            "brd" | "broadcast" if value == "+" || value.parse::<Ipv4Addr>().is_ok() => {
                return self.broadcast = Some(value);
            }
            "brd" | "broadcast" => (Fate::Refused, "an IPv4 address is expected behind it"),
            "scope" if value == "global" => return,
            "scope" => (Fate::Refused, "the address gets the scope global"),
            "metric" => (Fate::Refused, "its route has the metric of others"),
            "peer" => (Fate::Refused, "an address gets no other end here"),
            "no_track" | "no-track" => {
                (Fate::Refused, "an address whose interface is down is moved")
            }
            // No address waits for a check, and none is anybody's home.
            "nodad" | "home" | "mngtmpaddr" | "use_vmac" | "track_group" => {
                (Fate::Obsolete, "nothing here needs it")
            }
            _ => (Fate::Refused, "not known here"),
        };
        self.lose(fate, s, word, why);
    }

    fn lose(&mut self, fate: Fate, s: &Statement, word: &str, why: &str) {
        let text = format!("{word} of {}: {why}", s.keyword());
        self.lost.push((fate, text));
    }

    /// Keeps what stands behind `NIC:` in the label: `IPaddr2` writes the interface before it.
    pub(super) fn within(&mut self, nic: Option<&str>) {
        let Some(label) = self.label.take() else {
            return;
        };
        let problem = match label.split_once(':') {
            Some((before, _)) if nic.is_some_and(|nic| nic != before) => NO_LABEL,
            None => NO_LABEL,
            Some(_) if label.len() > LABEL_BYTES_MAX => "it has more than 15 characters",
            Some((_, label)) => return self.label = Some(label),
        };
        let text = format!("label {label}: {problem}");
        self.lost.push((Fate::Refused, text));
    }
}

/// The address, or why it is none.
pub(super) fn parse(word: &str) -> Result<IpAddr, String> {
    let (ip, mask) = ip_and_mask(word);
    if word.contains('$') {
        return Err(format!(
            "{word}: definitions are not followed: write what they come to"
        ));
    }
    let Ok(ip) = ip.parse::<IpAddr>() else {
        return Err(format!("{word}: an IPv4 or IPv6 address is expected"));
    };
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    let dotted = mask.is_some_and(|m| ip.is_ipv4() && m.parse::<Ipv4Addr>().is_ok());
    let counted = mask.is_none_or(|m| m.parse::<u8>().is_ok_and(|bits| bits <= longest));
    match dotted || counted {
        true => Ok(ip),
        false => Err(format!("{word}: a prefix has 0 to {longest} bits")),
    }
}

/// `192.0.2.1/24` in two.
pub(super) fn ip_and_mask(word: &str) -> (&str, Option<&str>) {
    match word.split_once('/') {
        Some((ip, mask)) => (ip, Some(mask)),
        None => (word, None),
    }
}

/// Words with another one behind them.
const HAVE_VALUE: [&str; 9] = [
    "brd",
    "broadcast",
    "dev",
    "label",
    "metric",
    "peer",
    "preferred_lft",
    "scope",
    "track_group",
];
const NO_LABEL: &str = "a label is the interface, a colon and a word";
/// Longest label, as the kernel keeps it beside its final zero (`IFNAMSIZ`).
const LABEL_BYTES_MAX: usize = 15;
