//! `corosync-cfgtool`: links and nodes in the words that scripts and exporters look for.

use super::backend::{self, Backend};
use super::console::Console;
use super::corosync::{net, options};
use super::exit::{Exit, Failure};
use crate::ipc::Request;
use crate::view::net::{NetLink, NetNode, NetStatus};
use std::fmt::Write as _;
use std::process::ExitCode;

/// The whole program; 1 where it fails, as corosync's.
#[must_use]
pub(crate) fn main(args: &[String]) -> ExitCode {
    let mut console = Console::process();
    let found = match options("corosync-cfgtool", LETTERS, args) {
        Ok(found) => found,
        Err(text) => {
            console.err_line(&text);
            return Exit::Error.into();
        }
    };
    let command = "snrRLkaH".chars().find(|c| found.contains_key(c));
    let Some(command) = command.filter(|_| !found.contains_key(&'h')) else {
        console.print(USAGE);
        return Exit::Ok.into();
    };
    let only = found.get(&'i').map(String::as_str);
    let brief = found.contains_key(&'b');
    let run = |console: &mut Console| {
        let mut backend = backend::open()?;
        let backend = backend.as_mut();
        match command {
            's' => console.print(&links(&net(backend)?, only, brief)?),
            'n' => console.print(&nodes(&net(backend)?)),
            'a' => console.line(&addresses(&net(backend)?, &found[&'a'])?),
            'r' => reset(backend, console)?,
            'R' => reload(backend, console)?,
            other => return Err(elsewhere(other)),
        }
        Ok(())
    };
    match run(&mut console) {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            console.err_line(&format!("corosync-cfgtool: {failure}"));
            if let Some(cure) = &failure.cure {
                console.err_line(cure);
            }
            Exit::Error.into()
        }
    }
}

/// `-s`: the own links, and which nodes are reached by each.
fn links(net: &NetStatus, only: Option<&str>, brief: bool) -> Result<String, Failure> {
    let mut text = head(net);
    let own = net.own().map(|n| n.links.as_slice()).unwrap_or_default();
    let wanted = |l: &&NetLink| only.is_none_or(|o| l.address == o || l.number.to_string() == o);
    let mut shown = 0;
    for link in own.iter().filter(wanted) {
        shown += 1;
        // Writing into a string has no way to fail.
        let _ = writeln!(
            text,
            "LINK ID {} udp\n\taddr\t= {}",
            link.number, link.address
        );
        let states = net
            .nodes
            .iter()
            .map(|n| (n.id, reached(net, n, link.number)));
        if brief {
            let letters: String = states.map(|(_, (_, letter))| letter).collect();
            let _ = writeln!(text, "\tstatus\t= {letters}");
        } else {
            text.push_str("\tstatus:\n");
            for (id, (word, _)) in states {
                let _ = writeln!(text, "\t\tnodeid: {id:>10}:\t{word}");
            }
        }
    }
    match (shown, only) {
        (0, Some(only)) => Err(Failure::no_such(format!("no link is called {only}"))),
        _ => Ok(text),
    }
}

/// A node on a link: in words, and as the letter of the brief form.
fn reached(net: &NetStatus, node: &NetNode, link: u8) -> (&'static str, char) {
    if node.id == net.local {
        return ("localhost", 'n');
    }
    match node.links.iter().find(|l| l.number == link) {
        Some(l) if l.up => ("connected", '3'),
        Some(_) => ("disconnected", '1'),
        None => ("disconnected", '0'),
    }
}

/// `-n`: the nodes that are reached, and their links.
fn nodes(net: &NetStatus) -> String {
    let mut text = head(net);
    let own = net.own().map(|n| n.links.as_slice()).unwrap_or_default();
    for node in net.others().filter(|n| n.here) {
        let _ = writeln!(text, "nodeid: {} reachable", node.id);
        for link in &node.links {
            let from = own.iter().find(|l| l.number == link.number);
            let from = from.map_or("?", |l| l.address.as_str());
            let up = if link.up { " connected" } else { "" };
            let _ = writeln!(
                text,
                "   LINK: {} udp ({from}->{}) enabled{up} mtu: {}",
                link.number,
                link.address,
                wire::DATAGRAM_LEN_MAX
            );
        }
        text.push('\n');
    }
    text
}

fn head(net: &NetStatus) -> String {
    // What runs below is no knet, but a transport that tools know to have several links.
    format!("Local node ID {}, transport knet\n", net.local)
}

/// `-a`: a node's addresses.
fn addresses(net: &NetStatus, id: &str) -> Result<String, Failure> {
    let node = net.nodes.iter().find(|n| n.id.to_string() == id);
    let node = node.ok_or_else(|| Failure::no_such(format!("no node has the id {id}")))?;
    let all: Vec<&str> = node.links.iter().map(|l| l.address.as_str()).collect();
    Ok(all.join(" "))
}

/// `-r`: links that are held down after flaps may come up at once.
fn reset(backend: &mut dyn Backend, console: &mut Console) -> Result<(), Failure> {
    console.line(&backend::ask_done(backend, &Request::ResetLinks)?);
    Ok(())
}

fn reload(backend: &mut dyn Backend, console: &mut Console) -> Result<(), Failure> {
    console.line("Reloading corosync.conf...");
    let text = backend::ask_done(backend, &Request::Reload)?;
    console.line("Done");
    console.err_line(&format!("on this node: {text}"));
    Ok(())
}

/// What has another command here.
fn elsewhere(letter: char) -> Failure {
    let cure = match letter {
        'L' => "the log is opened anew by `systemctl reload mainstay`",
        'k' => "a node is taken out by `crm node standby NODE` or, by force, `mainstay fence NODE`",
        _ => "this node is stopped by `systemctl stop mainstay` or /etc/init.d/mainstay stop",
    };
    Failure {
        exit: Exit::Error,
        text: format!("-{letter} is not offered"),
        cure: Some(cure.to_owned()),
    }
}

const LETTERS: &str = "i:snbrRLk:a:hH";

const USAGE: &str = "\
usage: corosync-cfgtool [-i ADDRESS|LINK] [-b] -s | -n | -a NODEID | -r | -R | -h
  -s  the links of this node, and which nodes are reached by each
  -b  with -s: one character per node
  -i  with -s: only the link with this address or number
  -n  the nodes that are reached, with their links
  -a  the addresses of a node
  -r  let links come up at once that are held down after flaps
  -R  read corosync.conf again on this node
";

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> NetStatus {
        let link = |number: u8, node: u32, up| NetLink {
            number,
            address: format!("10.9.{number}.{node}"),
            up,
            ..NetLink::default()
        };
        let node = |id, here, ups: [bool; 2]| NetNode {
            id,
            name: format!("node{id}"),
            here,
            links: vec![link(0, id, ups[0]), link(1, id, ups[1])],
            ..NetNode::default()
        };
        NetStatus {
            local: 1,
            nodes: vec![
                node(1, true, [true, true]),
                node(2, true, [false, true]),
                node(3, false, [false, false]),
            ],
            ..NetStatus::default()
        }
    }

    /// The layout was taken from the output of corosync 3.1.7.
    #[test]
    fn links_as_corosync_prints_them() {
        let want = "Local node ID 1, transport knet\n\
            LINK ID 0 udp\n\taddr\t= 10.9.0.1\n\tstatus:\n\
            \t\tnodeid:          1:\tlocalhost\n\
            \t\tnodeid:          2:\tdisconnected\n\
            \t\tnodeid:          3:\tdisconnected\n\
            LINK ID 1 udp\n\taddr\t= 10.9.1.1\n\tstatus:\n\
            \t\tnodeid:          1:\tlocalhost\n\
            \t\tnodeid:          2:\tconnected\n\
            \t\tnodeid:          3:\tdisconnected\n";
        assert_eq!(links(&status(), None, false).unwrap(), want);
        let brief = links(&status(), Some("1"), true).unwrap();
        assert!(brief.ends_with("LINK ID 1 udp\n\taddr\t= 10.9.1.1\n\tstatus\t= n31\n"));
        assert!(links(&status(), Some("10.9.9.9"), false).is_err());
    }

    #[test]
    fn nodes_as_corosync_prints_them() {
        let want = "Local node ID 1, transport knet\n\
            nodeid: 2 reachable\n   \
            LINK: 0 udp (10.9.0.1->10.9.0.2) enabled mtu: 1400\n   \
            LINK: 1 udp (10.9.1.1->10.9.1.2) enabled connected mtu: 1400\n\n";
        assert_eq!(nodes(&status()), want);
    }

    #[test]
    fn addresses_of_a_node() {
        assert_eq!(addresses(&status(), "2").unwrap(), "10.9.0.2 10.9.1.2");
        assert!(addresses(&status(), "9").is_err());
    }
}
