//! Parameters that every fence device has, whatever its agent (pacemaker-fenced(7)): `pcmk_*`. What
//! they do stands in `crate::fencing`.

use super::{Known, heeded, without_effect};

/// The three parameters of an action; its name and those of the parameters are literals, so that
/// one list has to agree with `crate::fencing`, which joins the same words.
macro_rules! action {
    ($action:literal) => {
        [
            heeded(
                concat!("pcmk_", $action, "_action"),
                $action,
                "string",
                &[],
                concat!("What the agent calls the action ", $action, "."),
            )
            .advanced(),
            heeded(
                concat!("pcmk_", $action, "_timeout"),
                "60s",
                "timeout",
                &[],
                concat!(
                    "How long the action ",
                    $action,
                    " may take. The default is stonith-timeout of the cluster.",
                ),
            )
            .advanced(),
            heeded(
                concat!("pcmk_", $action, "_retries"),
                "2",
                "integer",
                &[],
                concat!(
                    "How often the action ",
                    $action,
                    " is tried while its time lasts.",
                ),
            )
            .advanced(),
        ]
    };
}

/// All of them: those of the device, then those of its actions.
pub(in crate::cli) fn all() -> Vec<Known> {
    let mut all = DEVICE.to_vec();
    all.extend(ACTIONS.as_flattened());
    all
}

const DEVICE: [Known; 7] = [
    heeded(
        "pcmk_host_argument",
        "",
        "string",
        &[],
        "Parameter of the agent that names the node to fence. Without a value it is port or plug, whichever the agent has; none leaves it out.",
    )
    .advanced(),
    heeded(
        "pcmk_host_map",
        "",
        "string",
        &[],
        "What the device calls the nodes. NODE:NAME;NODE:NAME, for devices that know them by other names.",
    ),
    heeded(
        "pcmk_host_list",
        "",
        "string",
        &[],
        "Nodes that the device can fence. They are separated by commas or blanks.",
    ),
    heeded(
        "pcmk_host_check",
        "",
        "select",
        &["dynamic-list", "static-list", "status", "none"],
        "How it is found out which nodes the device can fence. The agent lists them, the configuration does, the agent knows the node, or it can fence all; without a value it is static-list where nodes are named, and otherwise the first that the agent can do.",
    ),
    heeded(
        "pcmk_delay_max",
        "0s",
        "time",
        &[],
        "Longest time to wait before a node is fenced. It is drawn anew each time, from pcmk_delay_base up.",
    ),
    heeded(
        "pcmk_delay_base",
        "0s",
        "string",
        &[],
        "Shortest time to wait before a node is fenced. A time, or NODE:TIME;NODE:TIME for one per node: of two nodes that fence each other at once, the one without delay wins.",
    ),
    without_effect(
        "pcmk_action_limit",
        "1",
        "integer",
        &[],
        "Most actions that may be under way on the device at once; -1 is no limit.",
    ),
];

const ACTIONS: [[Known; 3]; 6] = [
    action!("reboot"),
    action!("off"),
    action!("on"),
    action!("list"),
    action!("monitor"),
    action!("status"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fencing::AgentMetadata;
    use crate::fencing::Device;

    #[test]
    fn what_is_said_to_be_the_default_is() {
        let plain = Device::default();
        for known in all() {
            let Some((action, what)) = known
                .name
                .strip_prefix("pcmk_")
                .and_then(|rest| rest.rsplit_once('_'))
            else {
                continue;
            };
            match what {
                "action" => assert_eq!(plain.action_name(action), known.default),
                "timeout" => assert_eq!(
                    cib::value::parse_interval_ms(known.default),
                    Ok(plain.timeout_ms(action, 60_000))
                ),
                "retries" => assert_eq!(plain.tries(action).to_string(), known.default),
                _ => {}
            }
        }
        assert_eq!(plain.delay_ms("a", u32::MAX), 0);
    }

    #[test]
    fn every_word_of_host_check_means_something() {
        let known = all();
        let known = known.iter().find(|k| k.name == "pcmk_host_check").unwrap();
        let read: Vec<String> = known
            .values
            .iter()
            .map(|word| {
                let mut device = Device::default();
                device
                    .params
                    .insert("pcmk_host_check".to_owned(), (*word).to_owned());
                format!("{:?}", device.host_check(&AgentMetadata::default()))
            })
            .collect();
        assert_eq!(read, ["DynamicList", "StaticList", "Status", "None"]);
    }
}
