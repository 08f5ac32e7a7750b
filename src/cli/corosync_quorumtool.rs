//! `corosync-quorumtool`: votes and members in the layout that scripts and exporters parse.

use super::backend;
use super::console::Console;
use super::corosync::{net, options};
use super::exit::{Exit, Failure};
use crate::ipc::Request;
use crate::view::asctime;
use crate::view::net::{NetNode, NetQuorum, NetStatus};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

/// The whole program: 0, 2 for a status without quorum, 1 where it fails, as corosync's.
#[must_use]
pub(crate) fn main(args: &[String]) -> ExitCode {
    let mut console = Console::process();
    let found = match options("corosync-quorumtool", LETTERS, args) {
        Ok(found) => found,
        Err(text) => {
            console.err_line(&text);
            console.print(USAGE);
            return Exit::Error.into();
        }
    };
    if found.contains_key(&'h') {
        console.print(USAGE);
        return Exit::Ok.into();
    }
    if found.contains_key(&'V') {
        let version = env!("CARGO_PKG_VERSION");
        console.line(&format!(
            "corosync-quorumtool, served by mainstay {version}"
        ));
        return Exit::Ok.into();
    }
    match run(&found, &mut console) {
        Ok(code) => code,
        Err(failure) => {
            console.err_line(&format!("corosync-quorumtool: {failure}"));
            if let Some(cure) = &failure.cure {
                console.err_line(cure);
            }
            Exit::Error.into()
        }
    }
}

fn run(found: &BTreeMap<char, String>, console: &mut Console) -> Result<ExitCode, Failure> {
    if let Some(votes) = found.get(&'e') {
        expect(backend::open()?.as_mut(), votes)?;
        return Ok(Exit::Ok.into());
    }
    if let Some(letter) = "mvf".chars().find(|c| found.contains_key(c)) {
        return Err(elsewhere(letter));
    }
    let mut backend = backend::open()?;
    let net = net(backend.as_mut())?;
    let form = Form::of(found)?;
    if found.contains_key(&'l') {
        console.print(&members(&net, form));
        return Ok(Exit::Ok.into());
    }
    console.print(&status(&net, form));
    Ok(match net.quorum.quorate {
        true => Exit::Ok.into(),
        false => ExitCode::from(NOT_QUORATE),
    })
}

/// `-e`: so many votes are expected from now on.
///
/// # Errors
/// No number; what the daemon has against it.
pub(super) fn expect(backend: &mut dyn backend::Backend, votes: &str) -> Result<String, Failure> {
    let votes = votes
        .parse()
        .map_err(|_| Failure::usage(format!("`{votes}` is no number of votes")))?;
    backend::ask_done(backend, &Request::ExpectVotes { votes })
}

/// `-p`: how quorum stands, and the members.
///
/// # Errors
/// No daemon answers.
pub(super) fn parsable_status(backend: &mut dyn backend::Backend) -> Result<String, Failure> {
    let form = Form {
        parsable: true,
        ..Form::default()
    };
    Ok(status(&net(backend)?, form))
}

/// `-l`: the members.
///
/// # Errors
/// No daemon answers.
pub(super) fn list(backend: &mut dyn backend::Backend) -> Result<String, Failure> {
    Ok(members(&net(backend)?, Form::default()))
}

/// How members are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Form {
    /// `-p`: the device's column always.
    parsable: bool,
    /// `-H`.
    hex: bool,
    /// `-i`: addresses, not names.
    addresses: bool,
    /// `-a`: all addresses.
    all: bool,
    order: Order,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Order {
    #[default]
    Id,
    Name,
    Address,
}

impl Form {
    fn of(found: &BTreeMap<char, String>) -> Result<Self, Failure> {
        let order = match found.get(&'o').map(String::as_str) {
            None | Some("i") => Order::Id,
            Some("n") => Order::Name,
            Some("a") => Order::Address,
            Some(other) => {
                let text = format!("-o takes a, n or i, not `{other}`");
                return Err(Failure::usage(text));
            }
        };
        Ok(Self {
            parsable: found.contains_key(&'p'),
            hex: found.contains_key(&'H'),
            addresses: found.contains_key(&'i'),
            all: found.contains_key(&'a'),
            order,
        })
    }
}

/// `-s`, and without an option.
fn status(net: &NetStatus, form: Form) -> String {
    let quorum = &net.quorum;
    let (expected, present, needed) = quorum.votes;
    let here = net.nodes.iter().filter(|n| n.here);
    let first = here.clone().map(|n| n.id).min().unwrap_or(net.local);
    let id = |id: u32| {
        if form.hex {
            format!("{id:#010x}")
        } else {
            id.to_string()
        }
    };
    let mut flags = quorum.flags.join(" ");
    flags.push(' ');
    let mut text = String::new();
    // Writing into a string has no way to fail.
    let _ = write!(
        text,
        "Quorum information\n\
         ------------------\n\
         Date:             {}\n\
         Quorum provider:  corosync_votequorum\n\
         Nodes:            {}\n\
         Node ID:          {}\n\
         Ring ID:          {}.{:x}\n\
         Quorate:          {}\n\
         \n\
         Votequorum information\n\
         ----------------------\n\
         Expected votes:   {expected}\n\
         Highest expected: {expected}\n\
         Total votes:      {present}\n\
         Quorum:           {needed} {}\n\
         Flags:            {flags}\n",
        asctime(net.now),
        here.count(),
        id(net.local),
        id(first),
        net.view_no,
        if quorum.quorate { "Yes" } else { "No" },
        if quorum.quorate {
            " "
        } else {
            "Activity blocked"
        },
    );
    text.push_str(&members(net, form));
    text
}

/// `-l`.
fn members(net: &NetStatus, form: Form) -> String {
    let device = form.parsable || net.quorum.device;
    let mut text = String::from("\nMembership information\n----------------------\n");
    let _ = write!(text, "{:>10} {:>10} ", "Nodeid", "Votes");
    if device {
        let _ = write!(text, "{:>10} ", "Qdevice");
    }
    text.push_str("Name\n");
    let mut nodes: Vec<&NetNode> = net.nodes.iter().filter(|n| n.here).collect();
    match form.order {
        Order::Id => nodes.sort_by_key(|n| n.id),
        Order::Name => nodes.sort_by_key(|n| n.name.clone()),
        Order::Address => nodes.sort_by_key(|n| called(n, true, false)),
    }
    // What the members do not have of the votes that count is the witness's.
    let (_, present, _) = net.quorum.votes;
    let witness_votes = present.saturating_sub(nodes.iter().map(|n| n.votes).sum());
    for node in nodes {
        let id = if form.hex {
            format!("{:#010x}", node.id)
        } else {
            node.id.to_string()
        };
        let _ = write!(text, "{id:>10} {:>10} ", node.votes);
        if device {
            let _ = write!(text, "{:>10} ", device_column(&net.quorum, witness_votes));
        }
        let local = if node.id == net.local { " (local)" } else { "" };
        let _ = writeln!(text, "{}{local}", called(node, form.addresses, form.all));
    }
    if net.quorum.device {
        let id = if form.hex { "0x00000000" } else { "0" };
        let _ = write!(text, "{id:>10} {witness_votes:>10} {:>10} Qdevice", "");
        text.push_str(match witness_votes {
            0 => " (votes 1)\n",
            _ => "\n",
        });
    }
    text
}

/// Registered, alive, casts its vote; it never wins against the members.
fn device_column(quorum: &NetQuorum, votes: u32) -> &'static str {
    match (quorum.device, votes) {
        (false, _) => "NR",
        (true, 0) => "NA,NV,NMW",
        (true, _) => "A,V,NMW",
    }
}

fn called(node: &NetNode, by_address: bool, all: bool) -> String {
    if !by_address && !all {
        return node.name.clone();
    }
    let links = node.links.iter().map(|l| l.address.as_str());
    let shown: Vec<&str> = links.take(if all { usize::MAX } else { 1 }).collect();
    shown.join(", ")
}

/// What has another command here.
fn elsewhere(letter: char) -> Failure {
    let cure = match letter {
        'm' => "watch the cluster with `crm_mon`",
        'f' => "a witness is taken out of the configuration, not unregistered by force",
        _ => "votes are changed in corosync.conf on all nodes, and `mainstay reload`",
    };
    Failure {
        exit: Exit::Error,
        text: format!("-{letter} is not offered"),
        cure: Some(cure.to_owned()),
    }
}

const LETTERS: &str = "smlapv:n:e:Hio:fhV";
/// Exit code of a status without quorum.
const NOT_QUORATE: u8 = 2;

const USAGE: &str = "\
usage: corosync-quorumtool [-s | -l | -e VOTES] [-p] [-H] [-i] [-a] [-o a|n|i] | -h | -V
  -e  expect so many votes
  -s  how quorum stands, and the members; the default
  -l  the members
  -p  for machines: with the column of the quorum device
  -H  node ids in hexadecimal
  -i  addresses instead of names
  -a  all addresses of each node
  -o  order by address, name or id (the default)
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::net::NetLink;

    fn net(quorate: bool) -> NetStatus {
        let node = |id, here| NetNode {
            id,
            name: format!("node{id}"),
            votes: 1,
            here,
            links: vec![NetLink {
                address: format!("10.9.0.{id}"),
                ..NetLink::default()
            }],
            ..NetNode::default()
        };
        let flags: &[&str] = if quorate { &["Quorate"] } else { &[] };
        NetStatus {
            local: 1,
            nodes: vec![node(1, true), node(2, quorate), node(3, false)],
            quorum: NetQuorum {
                quorate,
                votes: (3, if quorate { 2 } else { 1 }, 2),
                flags: flags.iter().map(|f| (*f).to_owned()).collect(),
                ..NetQuorum::default()
            },
            view_no: 26,
            now: 0,
        }
    }

    /// The layout, blanks at ends of lines included, was taken from the output of corosync 3.1.7.
    #[test]
    fn status_as_corosync_prints_it() {
        let text = status(&net(true), Form::default());
        let want = "Quorum provider:  corosync_votequorum\nNodes:            2\n\
            Node ID:          1\nRing ID:          1.1a\nQuorate:          Yes\n\n\
            Votequorum information\n----------------------\nExpected votes:   3\n\
            Highest expected: 3\nTotal votes:      2\nQuorum:           2  \n\
            Flags:            Quorate \n\nMembership information\n----------------------\n    \
            Nodeid      Votes Name\n         1          1 node1 (local)\n         \
            2          1 node2\n";
        assert!(text.starts_with("Quorum information\n------------------\nDate:             "));
        assert!(text.ends_with(want), "{text}");
        let text = status(&net(false), Form::default());
        assert!(text.contains("Quorate:          No\n"));
        assert!(text.contains("Quorum:           2 Activity blocked\nFlags:             \n"));
    }

    /// The last row is that of corosync 3.1.7 with a device, which has its place after the nodes.
    #[test]
    fn a_witness_has_a_row_of_its_own() {
        let mut net = net(true);
        net.quorum.device = true;
        net.quorum.votes = (3, 3, 2);
        let text = members(&net, Form::default());
        let want = "    Nodeid      Votes    Qdevice Name\n         \
             1          1    A,V,NMW node1 (local)\n         2          1    A,V,NMW node2\n         \
             0          1            Qdevice\n";
        assert!(text.ends_with(want), "{text}");
        net.quorum.votes = (3, 2, 2);
        let text = members(&net, Form::default());
        assert!(text.contains("  NA,NV,NMW node2\n"), "{text}");
        assert!(
            text.ends_with("         0          0            Qdevice (votes 1)\n"),
            "{text}"
        );
    }

    /// The expressions of ha_cluster_exporter, collector/corosync.
    #[test]
    fn the_exporter_finds_its_fields() {
        let form = Form {
            parsable: true,
            ..Form::default()
        };
        let text = status(&net(true), form);
        for (pattern, groups) in [
            (r"(?m)Node ID:\s+(\w+)", "1"),
            (r"(?m)Ring ID:\s+(\w+).(\d+)", "1,1"),
            (r"(?m)Quorate:\s+(Yes|No)", "Yes"),
            (
                r"(?m)Expected votes:\s+(\d+)\s+Highest expected:\s+(\d+)\s+Total votes:\s+(\d+)\s+Quorum:\s+(\d+)",
                "3,3,2,2",
            ),
            (
                r"(?m)Membership information\n-+\s+Nodeid\s+Votes\s+(Qdevice)\s+Name",
                "Qdevice",
            ),
            (
                r"(?m)(\w+)\s+(\d+)\s+NR\s([\w.-]+)(?:\s(\(local\)))?$",
                "1,1,node1,(local)",
            ),
        ] {
            let found = regex_lite::Regex::new(pattern).unwrap();
            let found = found
                .captures(&text)
                .unwrap_or_else(|| panic!("{pattern}: {text}"));
            let found: Vec<&str> = found.iter().skip(1).flatten().map(|m| m.as_str()).collect();
            assert_eq!(found.join(","), groups, "{pattern}");
        }
    }

    #[test]
    fn members_in_every_form() {
        let parsable = Form {
            parsable: true,
            ..Form::default()
        };
        assert_eq!(
            members(&net(true), parsable),
            "\nMembership information\n----------------------\n    \
             Nodeid      Votes    Qdevice Name\n         \
             1          1         NR node1 (local)\n         2          1         NR node2\n"
        );
        let other = Form {
            hex: true,
            addresses: true,
            ..Form::default()
        };
        let text = members(&net(true), other);
        assert!(
            text.ends_with(
                "0x00000001          1 10.9.0.1 (local)\n0x00000002          1 10.9.0.2\n"
            )
        );
    }
}
