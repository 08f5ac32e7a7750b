//! `fence_lab`: a fence agent that really cuts a node's power, through the lab's power switch.
//!
//! Speaks the protocol of fence agents (FenceAgentAPI): `key=value` lines on standard input, or
//! `-o ACTION -n NODE`; exit 0 done, 1 failed, 2 "status: off".

use super::mounts::POWER_SOCKET;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

/// What the agent was asked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    action: String,
    node: String,
}

/// Entry point under the name `fence_lab`.
pub(super) fn main(args: &[OsString]) -> ExitCode {
    let mut input = String::new();
    if args.is_empty() && !std::io::stdin().is_terminal() {
        // Unreadable input is no input: the missing action is reported below.
        let _ = std::io::stdin()
            .take(INPUT_BYTES_MAX)
            .read_to_string(&mut input);
    }
    let words: Vec<String> = args
        .iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    match perform(&parse(&words, &input)) {
        Ok(code) => ExitCode::from(code),
        Err(cause) => {
            eprintln!("fence_lab: {cause}");
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[String], input: &str) -> Asked {
    let mut asked = Asked::default();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-o" | "--action" => asked.action = words.next().cloned().unwrap_or_default(),
            "-n" | "--plug" => asked.node = words.next().cloned().unwrap_or_default(),
            _ => {
                for (option, field) in [
                    ("--action=", &mut asked.action),
                    ("--plug=", &mut asked.node),
                ] {
                    if let Some(value) = word.strip_prefix(option) {
                        *field = value.to_owned();
                    }
                }
            }
        }
    }
    let mut named = String::new();
    for line in input.lines() {
        match line.trim().split_once('=') {
            Some(("action" | "option", value)) => asked.action = value.to_owned(),
            Some(("plug" | "port", value)) => asked.node = value.to_owned(),
            Some(("nodename", value)) => named = value.to_owned(),
            _ => {}
        }
    }
    if asked.node.is_empty() {
        asked.node = named;
    }
    if asked.action.is_empty() {
        "reboot".clone_into(&mut asked.action);
    }
    asked
}

fn perform(asked: &Asked) -> Result<u8, String> {
    let node = || match asked.node.as_str() {
        "" => Err(format!("action {:?} needs a node: plug=NODE", asked.action)),
        node => Ok(node),
    };
    match asked.action.as_str() {
        "metadata" | "meta-data" => {
            print!("{METADATA}");
            Ok(0)
        }
        "validate-all" => Ok(0),
        "monitor" => power("list").map(|_| 0),
        "list" => {
            for node in power("list")?.split(',') {
                println!("{node},");
            }
            Ok(0)
        }
        "status" => {
            let state = power(&format!("status {}", node()?))?;
            println!("Status: {}", state.to_uppercase());
            Ok(if state == "on" { 0 } else { 2 })
        }
        action @ ("on" | "off") => power(&format!("{action} {}", node()?)).map(|_| 0),
        // By the switch in one go: a node that has itself fenced cannot ask for the second half.
        "reboot" => power(&format!("cycle {}", node()?)).map(|_| 0),
        other => Err(format!(
            "unknown action {other:?}; on, off, reboot, status, list, monitor"
        )),
    }
}

fn power(request: &str) -> Result<String, String> {
    let failed = |e: std::io::Error| format!("power switch {POWER_SOCKET}: {e}");
    let mut stream = UnixStream::connect(POWER_SOCKET).map_err(failed)?;
    stream
        .set_read_timeout(Some(ANSWER_WITHIN))
        .map_err(failed)?;
    writeln!(stream, "{request}").map_err(failed)?;
    let mut line = String::new();
    BufReader::new(stream.take(INPUT_BYTES_MAX))
        .read_line(&mut line)
        .map_err(failed)?;
    match line.trim_end().split_once(' ') {
        Some(("ok", answer)) => Ok(answer.to_owned()),
        Some(("error", cause)) => Err(cause.to_owned()),
        _ => Err(format!(
            "power switch {POWER_SOCKET} ended without an answer"
        )),
    }
}

/// Longest input or answer, in bytes.
const INPUT_BYTES_MAX: u64 = 64 * 1024;
/// Bound of an answer: a power-on builds a node.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

const METADATA: &str = r#"<?xml version="1.0" ?>
<resource-agent name="fence_lab" shortdesc="Fence agent for the nodes of a mainstay lab">
<longdesc>fence_lab powers nodes of a mainstay lab off and on.</longdesc>
<parameters>
	<parameter name="action" unique="0" required="1">
		<getopt mixed="-o, --action=[action]" />
		<content type="string" default="reboot" />
		<shortdesc lang="en">Fencing action</shortdesc>
	</parameter>
	<parameter name="plug" unique="0" required="1" obsoletes="port">
		<getopt mixed="-n, --plug=[id]" />
		<content type="string" />
		<shortdesc lang="en">Name of the node</shortdesc>
	</parameter>
</parameters>
<actions>
	<action name="on" automatic="0"/>
	<action name="off" />
	<action name="reboot" />
	<action name="status" />
	<action name="list" />
	<action name="monitor" />
	<action name="metadata" />
	<action name="validate-all" />
</actions>
</resource-agent>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(action: &str, node: &str) -> Asked {
        Asked {
            action: action.to_owned(),
            node: node.to_owned(),
        }
    }

    #[test]
    fn lines_and_options_ask_the_same() {
        let none: [String; 0] = [];
        assert_eq!(
            parse(&none, "action=off\nplug=node2\nnodename=x\n"),
            asked("off", "node2")
        );
        assert_eq!(
            parse(&none, "nodename=node3\n# comment\n"),
            asked("reboot", "node3")
        );
        let words = ["-o", "status", "--plug=node1"].map(str::to_owned);
        assert_eq!(parse(&words, ""), asked("status", "node1"));
    }

    #[test]
    fn an_unknown_action_or_a_missing_node_is_refused_before_anything_is_switched() {
        assert!(
            perform(&asked("explode", "node1"))
                .unwrap_err()
                .contains("unknown action")
        );
        assert!(
            perform(&asked("off", ""))
                .unwrap_err()
                .contains("needs a node")
        );
    }
}
