//! `corosync-cmapctl`: configuration and present state as keys and values, as corosync's
//! configuration map names them. It shows; the configuration is changed in its file.

use super::backend;
use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{self, Found, Opt, flag, with_value};
use crate::conf;
use crate::paths::Paths;
use crate::view::{PeerStatus, Status};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use std::collections::BTreeMap;
use std::io::{BufRead, Read};
use std::os::fd::AsFd;

/// The whole program; exit code 1 on every failure, as corosync's.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    let mut console = Console::process();
    match getopt::parse(OPTIONS, args).and_then(|found| run(&mut console, &found)) {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            console.err_line(&failure.text);
            if let Some(cure) = &failure.cure {
                console.err_line(cure);
            }
            Exit::Error
        }
    }
}

fn run(console: &mut Console, found: &Found) -> Result<(), Failure> {
    if found.has("help") {
        console.line(USAGE);
        return Ok(());
    }
    if let Some(option) = found.first_of(&["set", "delete", "delete-prefix", "load", "clear"]) {
        return Err(Failure {
            exit: Exit::Unimplemented,
            text: format!("corosync-cmapctl: --{option} is not offered: this map is a view"),
            cure: Some(
                match option {
                    "clear" => "what is measured counts from the start of mainstayd on",
                    _ => "change /etc/corosync/corosync.conf and say `mainstay reload` (corosync-cfgtool -R)",
                }
                .to_owned(),
            ),
        });
    }
    let name = found.value("map").unwrap_or("icmap");
    if let Some(kind) = found.last_of(&["track", "track-prefix"]) {
        return track(console, name, &found.words, kind == "track-prefix");
    }
    let map = map_of(name)?;
    if found.has("get") {
        return get(console, found, &map);
    }
    for (key, value) in map.iter().filter(|(key, _)| begins(key, &found.words)) {
        console.line(&line(key, value));
    }
    Ok(())
}

/// Keys by name; alone, their values.
fn get(console: &mut Console, found: &Found, map: &Map) -> Result<(), Failure> {
    if found.words.is_empty() {
        return Err(Failure::usage(format!("Expected key after -g\n{USAGE}")));
    }
    for key in &found.words {
        let value = map.get(key).ok_or_else(|| {
            Failure::no_such(format!("Can't get key {key}. Error CS_ERR_NOT_EXIST"))
        })?;
        match found.has("quiet") {
            true => console.line(&value.text),
            false => console.line(&line(key, value)),
        }
    }
    Ok(())
}

fn map_of(name: &str) -> Result<Map, Failure> {
    match name {
        "icmap" => icmap(),
        "stats" => Ok(stats(&status()?)),
        other => Err(Failure::usage(format!(
            "Can't open map {other}: there are icmap and stats"
        ))),
    }
}

fn begins(key: &str, prefixes: &[String]) -> bool {
    prefixes.is_empty() || prefixes.iter().any(|p| key.starts_with(p.as_str()))
}

/// Tells what changes, until somebody types `q` or there is nothing more to read.
fn track(
    console: &mut Console,
    name: &str,
    keys: &[String],
    by_prefix: bool,
) -> Result<(), Failure> {
    if keys.is_empty() {
        return Err(Failure::usage(format!(
            "Expected a key to track, or a prefix with -T\n{USAGE}"
        )));
    }
    let wanted = |key: &String| match by_prefix {
        true => begins(key, keys),
        false => keys.contains(key),
    };
    let now = || -> Result<Map, Failure> {
        let all = map_of(name)?.into_iter();
        Ok(all.filter(|(key, _)| wanted(key)).collect())
    };
    let mut before = now()?;
    console.line("Type \"q\" to finish");
    while !asked_to_end()? {
        let after = now()?;
        for text in changes(&before, &after) {
            console.line(&text);
        }
        before = after;
    }
    Ok(())
}

/// Waits for a while for somebody to say that it is enough.
fn asked_to_end() -> Result<bool, Failure> {
    let stdin = std::io::stdin();
    let mut ready = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    let failed = |e: String| Failure::new(Exit::IoErr, format!("standard input: {e}"));
    match poll(&mut ready, LOOK_MS) {
        Ok(0) | Err(Errno::EINTR) => return Ok(false),
        Ok(_) => {}
        Err(e) => return Err(failed(e.to_string())),
    }
    let mut typed = String::new();
    let read = stdin.lock().take(LINE_BYTES_MAX).read_line(&mut typed);
    let length = read.map_err(|e| failed(e.to_string()))?;
    Ok(length == 0 || typed.starts_with('q'))
}

/// What came, went and changed.
fn changes(before: &Map, after: &Map) -> Vec<String> {
    let mut told = Vec::new();
    for (key, value) in after {
        match before.get(key) {
            None => told.push(format!("create> {}", line(key, value))),
            Some(old) if old != value => told.push(format!("modify> {}", line(key, value))),
            Some(_) => {}
        }
    }
    for (key, value) in before.iter().filter(|(key, _)| !after.contains_key(*key)) {
        told.push(format!("delete> {}", line(key, value)));
    }
    told
}

/// A value with the type that corosync gives its key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    kind: &'static str,
    text: String,
}

type Map = BTreeMap<String, Value>;

fn line(key: &str, value: &Value) -> String {
    format!("{key} ({}) = {}", value.kind, value.text)
}

fn value(kind: &'static str, text: impl ToString) -> Value {
    Value {
        kind,
        text: text.to_string(),
    }
}

fn status() -> Result<Status, Failure> {
    let mut backend = backend::Daemon::connect(&Paths::from_env()).map_err(|failure| Failure {
        text: "Failed to initialize the cmap API. Error CS_ERR_LIBRARY".to_owned(),
        ..failure
    })?;
    backend::status(&mut backend)
}

/// Configuration and membership.
fn icmap() -> Result<Map, Failure> {
    let status = status()?;
    let path = Paths::from_env().corosync_conf();
    let text = std::fs::read_to_string(&path)
        .map_err(|e| Failure::new(Exit::NoInput, format!("{}: {e}", path.display())))?;
    let keys = conf::map_keys(&path.display().to_string(), &text)
        .map_err(|e| Failure::new(Exit::Config, e.to_string()))?;
    let mut map = configured(keys);
    members(&mut map, &status);
    Ok(map)
}

fn configured(keys: Vec<(String, String)>) -> Map {
    let typed = |(key, text): (String, String)| {
        let last = key.rsplit('.').next().unwrap_or_default();
        let kind = match text.parse::<u32>() {
            Ok(_) if BYTES.contains(&last) => "u8",
            Ok(_) if last == "mcastport" => "u16",
            Ok(_) => "u32",
            Err(_) => "str",
        };
        (key, value(kind, text))
    };
    keys.into_iter().map(typed).collect()
}

fn members(map: &mut Map, status: &Status) {
    for peer in &status.peers {
        let joined = is_there(peer);
        let addresses = peer.links.iter().enumerate();
        let addresses: String = addresses
            .map(|(n, (address, ..))| format!("r({n}) ip({}) ", host(address)))
            .collect();
        let start = format!("runtime.members.{}", peer.node_id);
        map.insert(format!("{start}.config_version"), value("u64", 0));
        // Older programs know the members by an older name.
        let older = format!("runtime.totem.pg.mrp.srp.members.{}", peer.node_id);
        for start in [&start, &older] {
            map.insert(format!("{start}.ip"), value("str", &addresses));
        }
        map.insert(
            format!("{start}.join_count"),
            value("u32", u32::from(joined)),
        );
        let word = if joined { "joined" } else { "left" };
        for start in [&start, &older] {
            map.insert(format!("{start}.status"), value("str", word));
        }
    }
    let own = status.peers.iter().find(|p| p.state == "self");
    if let Some(own) = own {
        for key in [
            "runtime.votequorum.this_node_id",
            "runtime.totem.this_node_id",
        ] {
            map.insert(key.to_owned(), value("u32", own.node_id));
        }
    }
    let (expected, present, needed) = status.votes;
    for (key, number) in [
        ("runtime.votequorum.ev_barrier", expected),
        (
            "runtime.votequorum.highest_node_id",
            status.peers.iter().map(|p| p.node_id).max().unwrap_or(0),
        ),
        ("runtime.votequorum.total_votes", present),
        ("runtime.votequorum.quorum", needed),
    ] {
        map.insert(key.to_owned(), value("u32", number));
    }
    map.insert(
        "runtime.votequorum.quorate".to_owned(),
        value("u8", u8::from(status.quorate)),
    );
    for (name, ms) in &status.timers {
        map.insert(format!("runtime.config.totem.{name}"), value("u32", ms));
    }
}

/// Addresses are told with their port.
fn host(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host.trim_matches(['[', ']']),
        _ => address,
    }
}

/// In contact, be it through another node.
fn is_there(peer: &PeerStatus) -> bool {
    matches!(peer.state.as_str(), "up" | "degraded" | "self")
}

/// What the links measure.
fn stats(status: &Status) -> Map {
    let mut map = Map::new();
    for peer in &status.peers {
        let reachable = is_there(peer);
        let start = format!("stats.knet.node{}", peer.node_id);
        map.insert(
            format!("{start}.reachable"),
            value("u8", u8::from(reachable)),
        );
        for (number, (_, up, round_trip_us)) in peer.links.iter().enumerate() {
            let link = format!("{start}.link{number}");
            map.insert(format!("{link}.connected"), value("u8", u8::from(*up)));
            map.insert(format!("{link}.enabled"), value("u8", 1));
            map.insert(format!("{link}.latency_ave"), value("u32", round_trip_us));
        }
    }
    map.insert("stats.srp.epoch".to_owned(), value("u64", status.view_no));
    map
}

/// Keys that are one byte to corosync.
const BYTES: [&str; 8] = [
    "two_node",
    "wait_for_all",
    "auto_tie_breaker",
    "last_man_standing",
    "allow_downscale",
    "linknumber",
    "ringnumber",
    "ttl",
];

/// corosync-cmapctl(8).
pub(super) const OPTIONS: &[Opt] = &[
    flag('b', "binary"),
    flag('g', "get"),
    flag('q', "quiet"),
    flag('t', "track"),
    flag('T', "track-prefix"),
    flag('C', "clear"),
    with_value('m', "map"),
    flag('s', "set"),
    flag('d', "delete"),
    flag('D', "delete-prefix"),
    with_value('p', "load"),
    flag('h', "help"),
    flag('?', "help"),
];

const USAGE: &str =
    "usage: corosync-cmapctl [-m icmap|stats] [[-q] -g KEY… | -t KEY… | -T PREFIX… | PREFIX…]";
/// How often tracked keys are looked at.
const LOOK_MS: u16 = 1000;
/// Longest line of somebody who types.
const LINE_BYTES_MAX: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(node_id: u32, state: &str) -> PeerStatus {
        PeerStatus {
            node_id,
            state: state.to_owned(),
            links: vec![(format!("10.0.0.{node_id}:5405"), state != "lost", 250)],
            ..PeerStatus::default()
        }
    }

    #[test]
    fn members_as_crmsh_looks_for_them() {
        let status = Status {
            peers: vec![peer(1, "self"), peer(2, "lost"), peer(3, "degraded")],
            votes: (2, 1, 2),
            ..Status::default()
        };
        let mut map = Map::new();
        members(&mut map, &status);
        let text: Vec<String> = map.iter().map(|(k, v)| line(k, v)).collect();
        for wanted in [
            "runtime.members.1.ip (str) = r(0) ip(10.0.0.1) ",
            "runtime.members.1.status (str) = joined",
            "runtime.members.2.status (str) = left",
            "runtime.members.3.status (str) = joined",
            "runtime.votequorum.this_node_id (u32) = 1",
            "runtime.votequorum.quorate (u8) = 0",
        ] {
            assert!(text.iter().any(|l| l == wanted), "{wanted}: {text:#?}");
        }
        let stats = stats(&status);
        assert_eq!(
            line("x", &stats["stats.knet.node2.link0.connected"]),
            "x (u8) = 0"
        );
    }

    #[test]
    fn what_is_tracked_is_told_as_it_changes() {
        let map = |pairs: &[(&str, u32)]| -> Map {
            let pairs = pairs.iter();
            pairs
                .map(|(k, n)| ((*k).to_owned(), value("u32", n)))
                .collect()
        };
        let told = changes(
            &map(&[("a", 1), ("b", 1), ("c", 1)]),
            &map(&[("a", 1), ("b", 2), ("d", 1)]),
        );
        assert_eq!(
            told,
            [
                "modify> b (u32) = 2",
                "create> d (u32) = 1",
                "delete> c (u32) = 1"
            ]
        );
    }

    #[test]
    fn several_keys_are_shown_and_their_values_alone() {
        let mut map = Map::new();
        map.insert("a".to_owned(), value("u8", 1));
        map.insert("b".to_owned(), value("str", "x"));
        let say = |line: &str| {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let mut console = Console::buffers();
            let found = getopt::parse(OPTIONS, &args).unwrap();
            let told = get(&mut console, &found, &map).map_err(|f| f.text);
            told.map(|()| console.into_texts().0)
        };
        assert_eq!(say("-g a b").unwrap(), "a (u8) = 1\nb (str) = x\n");
        assert_eq!(say("-q -g b").unwrap(), "x\n");
        assert!(say("-g").unwrap_err().contains("Expected key"));
        assert!(say("-g a c").unwrap_err().contains("Can't get key c"));
    }

    #[test]
    fn values_have_their_types() {
        let keys = [
            ("totem.version", "2"),
            ("quorum.two_node", "1"),
            ("totem.cluster_name", "shop"),
        ];
        let keys = keys.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
        let map = configured(keys);
        assert_eq!(map["totem.version"].kind, "u32");
        assert_eq!(map["quorum.two_node"].kind, "u8");
        assert_eq!(map["totem.cluster_name"].kind, "str");
    }
}
