//! Values that cannot mean what they say: addresses, names, syslog facilities.

use std::net::IpAddr;

/// Why nothing is found at an address of a node; `None` where something may be.
///
/// The name of a host is taken as it is: whether it resolves is seen when it is used.
#[must_use]
pub fn address_problem(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        let why = match address {
            a if a.is_unspecified() => "stands for no machine",
            a if a.is_multicast() => "is a multicast group",
            IpAddr::V4(a) if a.is_broadcast() => "is the broadcast address",
            _ => return None,
        };
        return Some(format!(
            "`{text}` {why}: write the address that the node has"
        ));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '%');
    let number = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    if number || !text.chars().all(plain) {
        return Some(format!("`{text}` is neither an address nor a host's name"));
    }
    None
}

/// Why other nodes cannot reach a node at an address that is one.
#[must_use]
pub fn nobody_reaches(address: IpAddr) -> Option<String> {
    if address.is_loopback() {
        return Some(format!(
            "`{address}` is every machine's own: other nodes do not reach this one there"
        ));
    }
    if let IpAddr::V6(v6) = address
        && v6.is_unicast_link_local()
    {
        return Some(format!(
            "`{address}` is link-local: it says nothing without an interface; give the node a routed address"
        ));
    }
    address_problem(&address.to_string())
}

/// A name as uname(2) could give it, so that it needs no quotes anywhere.
#[must_use]
pub fn is_node_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.chars().all(plain)
}

/// The number of a syslog facility (RFC 5424, section 6.2.1) that corosync.conf(5) names.
#[must_use]
pub fn syslog_facility(name: &str) -> Option<u8> {
    let local = name.strip_prefix("local").and_then(|n| n.parse().ok());
    match local {
        Some(n @ 0..=7) => Some(16 + n),
        Some(_) => None,
        None => {
            let known = FACILITIES.iter().find(|(known, _)| *known == name);
            known.map(|(_, number)| *number)
        }
    }
}

/// Quotes that a text gets on a page, and no file of a program has around a value.
pub(super) fn has_typographic_quotes(value: &str) -> bool {
    value.contains(['\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}'])
}

/// Beside `local0` to `local7`.
const FACILITIES: [(&str, u8); 11] = [
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
];
/// Longest name of a node, as of a host (uname(2)).
const NAME_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_where_no_node_is() {
        for fine in [
            "10.0.0.1",
            "127.0.0.1",
            "fe80::1%eth0",
            "node-1.example",
            "2001:db8::1",
        ] {
            assert_eq!(address_problem(fine), None);
        }
        for (bad, why) in [
            ("0.0.0.0", "no machine"),
            ("::", "no machine"),
            ("226.94.1.1", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("10.0.0.300", "neither"),
            ("", "neither"),
            ("a b", "neither"),
        ] {
            let said = address_problem(bad).unwrap();
            assert!(said.contains(why), "{said}");
        }
        assert!(nobody_reaches("127.0.0.1".parse().unwrap()).is_some());
        assert!(nobody_reaches("fe80::1".parse().unwrap()).is_some());
        assert_eq!(nobody_reaches("10.0.0.1".parse().unwrap()), None);
    }

    #[test]
    fn facilities_have_their_numbers() {
        assert_eq!(syslog_facility("local7"), Some(23));
        assert_eq!(syslog_facility("daemon"), Some(3));
        assert_eq!(syslog_facility("local8"), None);
        assert_eq!(syslog_facility("deamon"), None);
    }
}
