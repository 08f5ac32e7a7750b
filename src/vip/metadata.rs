//! What the agents say about themselves: names, types and defaults are the agents'.

mod others;

use others::{IPSRCADDR, IPV6ADDR, ROUTE};
use std::fmt::Write;

/// One parameter.
struct Parameter {
    name: &'static str,
    kind: &'static str,
    default: Option<&'static str>,
    required: bool,
    short: &'static str,
    long: &'static str,
}

/// One agent.
struct Description {
    name: &'static str,
    short: &'static str,
    long: &'static str,
    parameters: &'static [Parameter],
    /// For start, stop and monitor.
    timeout: &'static str,
    monitor_interval: &'static str,
    /// Operations beside start, stop, monitor, meta-data and validate-all.
    status: bool,
    reload: bool,
}

/// The XML that `meta-data` prints.
pub(super) fn xml(kind: &str) -> Option<String> {
    Some(render(match kind {
        "IPaddr2" => &IPADDR2,
        "IPaddr" => &IPADDR,
        "IPv6addr" => &IPV6ADDR,
        "IPsrcaddr" => &IPSRCADDR,
        "Route" => &ROUTE,
        _ => return None,
    }))
}

fn render(agent: &Description) -> String {
    let mut xml = String::from("<?xml version=\"1.0\"?>\n");
    xml.push_str("<!DOCTYPE resource-agent SYSTEM \"ra-api-1.dtd\">\n");
    let _ = writeln!(
        xml,
        "<resource-agent name=\"{}\" version=\"1.0\">",
        agent.name
    );
    let _ = writeln!(xml, "<version>1.0</version>\n");
    describe(&mut xml, agent.short, agent.long);
    xml.push_str("\n<parameters>\n");
    for parameter in agent.parameters {
        let required = if parameter.required {
            " unique=\"1\" required=\"1\""
        } else {
            ""
        };
        let _ = writeln!(xml, "<parameter name=\"{}\"{required}>", parameter.name);
        describe(&mut xml, parameter.short, parameter.long);
        let default = parameter
            .default
            .map(|value| format!(" default=\"{value}\""));
        let default = default.unwrap_or_default();
        let _ = writeln!(
            xml,
            "<content type=\"{}\"{default}/>\n</parameter>",
            parameter.kind
        );
    }
    xml.push_str("</parameters>\n\n<actions>\n");
    actions(&mut xml, agent);
    xml.push_str("</actions>\n</resource-agent>\n");
    xml
}

fn actions(xml: &mut String, agent: &Description) {
    let timeout = agent.timeout;
    let mut once = vec!["start", "stop"];
    once.extend(agent.reload.then_some("reload"));
    for name in once {
        let _ = writeln!(xml, "<action name=\"{name}\" timeout=\"{timeout}\"/>");
    }
    let mut recurring = vec!["monitor"];
    recurring.extend(agent.status.then_some("status"));
    for name in recurring {
        let interval = agent.monitor_interval;
        let _ = writeln!(
            xml,
            "<action name=\"{name}\" depth=\"0\" timeout=\"{timeout}\" interval=\"{interval}\"/>"
        );
    }
    xml.push_str("<action name=\"meta-data\" timeout=\"5s\"/>\n");
    xml.push_str("<action name=\"validate-all\" timeout=\"20s\"/>\n");
}

fn describe(xml: &mut String, short: &str, long: &str) {
    let _ = writeln!(xml, "<longdesc lang=\"en\">\n{long}\n</longdesc>");
    let _ = writeln!(xml, "<shortdesc lang=\"en\">{short}</shortdesc>");
}

const fn parameter(
    name: &'static str,
    kind: &'static str,
    default: &'static str,
    short: &'static str,
    long: &'static str,
) -> Parameter {
    Parameter {
        name,
        kind,
        default: Some(default),
        required: false,
        short,
        long,
    }
}

/// A parameter that must be set, and that tells resources apart.
const fn required(parameter: Parameter) -> Parameter {
    Parameter {
        required: true,
        ..parameter
    }
}

const NIC: Parameter = Parameter {
    name: "nic",
    kind: "string",
    default: None,
    required: false,
    short: "Network interface",
    long: "Interface that gets the address. Without it the interface whose directly connected\n\
           network holds the address is taken, the narrowest network first. The old form\n\
           eth0:label is understood as nic=eth0 iflabel=label.",
};

static IPADDR2: Description = Description {
    name: "IPaddr2",
    short: "Floating IPv4 or IPv6 address",
    long: "Keeps an IPv4 or IPv6 address on an interface of the node the resource runs on and tells\n\
           the neighbours where it is. Served inside mainstayd through netlink, no program is run.\n\
           What only that agent can do is handed to it.",
    parameters: &[
        required(parameter(
            "ip",
            "string",
            "",
            "The floating address",
            "IPv4 address in dotted notation or IPv6 address, without prefix length.",
        )),
        NIC,
        parameter(
            "cidr_netmask",
            "string",
            "",
            "Prefix length",
            "Prefix length in bits, 24 rather than 255.255.255.0 (which is understood). Without it\n\
             that of the connected network is taken.",
        ),
        parameter(
            "broadcast",
            "string",
            "",
            "Broadcast address",
            "IPv4 broadcast address, or + or - for all host bits set or cleared. Without it that of\n\
             the interface's own address in the same network is taken.",
        ),
        parameter(
            "iflabel",
            "string",
            "",
            "Label of the address",
            "Shown after the interface's name and a colon by ip and ifconfig; interface name, colon\n\
             and label have at most 15 characters together. IPv4 only.",
        ),
        parameter(
            "lvs_support",
            "boolean",
            "false",
            "Keep the address on lo when stopped",
            "For direct routing behind an LVS director: the loopback's copy of an IPv4 address makes\n\
             room at the start and comes back at the stop.",
        ),
        parameter(
            "lvs_ipv6_addrlabel",
            "boolean",
            "false",
            "Label the IPv6 address against use as source",
            "For direct routing behind an LVS director: the address gets a label of its own, so that it\n\
             is not chosen as a source.",
        ),
        parameter(
            "lvs_ipv6_addrlabel_value",
            "integer",
            "99",
            "Value of that label",
            "A value no other entry of the address label table uses.",
        ),
        parameter(
            "mac",
            "string",
            "",
            "Hardware address of a shared address",
            "Only for an address shared by clone instances, which is handed to the packaged agent.",
        ),
        parameter(
            "clusterip_hash",
            "string",
            "sourceip-sourceport",
            "How clients are shared out",
            "Only for an address shared by clone instances.",
        ),
        parameter(
            "unique_clone_address",
            "boolean",
            "false",
            "One address per clone instance",
            "Adds the instance number to the last part of an IPv4 address; needs globally-unique=true.",
        ),
        parameter(
            "arp_interval",
            "integer",
            "200",
            "Milliseconds between announcements",
            "Time between two gratuitous ARPs or neighbour advertisements.",
        ),
        parameter(
            "arp_count",
            "integer",
            "5",
            "Announcements on start",
            "How many gratuitous ARPs or neighbour advertisements follow a start, the first one at\n\
             once.",
        ),
        parameter(
            "arp_count_refresh",
            "integer",
            "0",
            "Announcements on monitor",
            "How many are sent with every recurring monitor, to correct neighbours that learned a\n\
             wrong place during a split.",
        ),
        parameter(
            "arp_bg",
            "string",
            "",
            "Announce in the background",
            "Unless false, a start returns after the first announcement.",
        ),
        parameter(
            "arp_sender",
            "string",
            "",
            "Program that announces",
            "Checked and otherwise ignored: announcements are sent without a program, in request\n\
             form.",
        ),
        parameter(
            "send_arp_opts",
            "string",
            "",
            "Options of that program",
            "-A announces in reply form, -U in request form, as ever; a resource with other options is\n\
             handed to the packaged agent.",
        ),
        parameter(
            "flush_routes",
            "boolean",
            "false",
            "Flush the route cache on stop",
            "For programs on the same node that would go on over the loopback for a while.",
        ),
        parameter(
            "run_arping",
            "string",
            "false",
            "Ask for a second owner before start",
            "Probes the network for an IPv4 address and refuses to start when somebody\n\
             answers.",
        ),
        parameter(
            "nodad",
            "string",
            "true",
            "Skip duplicate address detection",
            "IPv6: the kernel does not ask around before it uses the address, which would take one to\n\
             two seconds. Set false to have it ask; a duplicate then fails the start.",
        ),
        parameter(
            "noprefixroute",
            "string",
            "false",
            "No route to the prefix",
            "The address brings no route to its network (noprefixroute of ip-address).",
        ),
        NONLOCAL_BIND,
        parameter(
            "preferred_lft",
            "string",
            "forever",
            "Preferred lifetime of an IPv6 address",
            "Seconds, or forever; with 0 the address is never chosen as a source.",
        ),
        parameter(
            "network_namespace",
            "string",
            "",
            "Network namespace",
            "Name of an existing namespace to work in; the interface must be in it.",
        ),
    ],
    timeout: "20s",
    monitor_interval: "10s",
    status: true,
    reload: false,
};

/// Ours alone, for every agent of an address.
const NONLOCAL_BIND: Parameter = parameter(
    super::nonlocal::PARAMETER,
    "boolean",
    "false",
    "Let services listen on the address before it is here",
    "Sets ip_nonlocal_bind of the address's family on every node, as the cluster property\n\
     ip-nonlocal-bind does for both families. It gets its old value back at a clean stop.",
);

static IPADDR: Description = Description {
    name: "IPaddr",
    short: "Floating IPv4 address",
    long: "Keeps an IPv4 address on an interface of the node the resource runs on; the older name,\n\
           kept for configurations that use it. Served inside mainstayd through netlink. New\n\
           configurations use IPaddr2.",
    parameters: &[
        required(parameter(
            "ip",
            "string",
            "",
            "The floating address",
            "IPv4 address in dotted notation, without prefix length.",
        )),
        NIC,
        parameter(
            "cidr_netmask",
            "string",
            "",
            "Prefix length",
            "As a number of bits or in dotted notation. Without it that of the connected network is\n\
             taken.",
        ),
        parameter(
            "broadcast",
            "string",
            "",
            "Broadcast address",
            "Without it all host bits are set.",
        ),
        parameter(
            "iflabel",
            "string",
            "",
            "Label of the address",
            "Shown after the interface's name and a colon by ip and ifconfig.",
        ),
        parameter(
            "lvs_support",
            "boolean",
            "false",
            "Keep the address on lo when stopped",
            "For direct routing behind an LVS director: the loopback's copy of the address makes room\n\
             at the start and comes back at the stop.",
        ),
        parameter(
            "local_stop_script",
            "string",
            "",
            "Program to run when the address goes",
            "A resource that sets it is handed to the packaged agent.",
        ),
        parameter(
            "local_start_script",
            "string",
            "",
            "Program to run when the address comes",
            "A resource that sets it is handed to the packaged agent.",
        ),
        parameter(
            "ARP_INTERVAL_MS",
            "integer",
            "500",
            "Milliseconds between announcements",
            "Time between two gratuitous ARPs.",
        ),
        parameter(
            "ARP_REPEAT",
            "integer",
            "10",
            "Announcements on start",
            "How many gratuitous ARPs follow a start, the first one at once.",
        ),
        parameter(
            "ARP_BACKGROUND",
            "boolean",
            "yes",
            "Announce in the background",
            "Unless no, a start returns after the first announcement.",
        ),
        parameter(
            "ARP_NETMASK",
            "string",
            "ffffffffffff",
            "Mask for the announcements",
            "Accepted and ignored.",
        ),
        NONLOCAL_BIND,
    ],
    timeout: "20s",
    monitor_interval: "5s",
    status: false,
    reload: false,
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Name to default, as tools read them out of the XML.
    fn defaults(xml: &str) -> BTreeMap<String, String> {
        let quoted = |text: &str, key: &str| {
            let (_, rest) = text.split_once(&format!("{key}=\""))?;
            rest.split_once('"').map(|(value, _)| value.to_owned())
        };
        xml.split("<parameter ")
            .skip(1)
            .map(|part| {
                let (_, content) = part.split_once("<content ").unwrap();
                let (content, _) = content.split_once("/>").unwrap();
                (
                    quoted(part, "name").unwrap(),
                    quoted(content, "default").unwrap_or_default(),
                )
            })
            .collect()
    }

    #[test]
    fn the_agents_describe_themselves() {
        let xml = |kind| super::xml(kind).unwrap();
        let two = defaults(&xml("IPaddr2"));
        assert_eq!(two.len(), 24);
        assert_eq!(
            (two["arp_count"].as_str(), two["arp_interval"].as_str()),
            ("5", "200")
        );
        let one = defaults(&xml("IPaddr"));
        assert_eq!(one.len(), 13);
        assert_eq!(
            (one["ARP_REPEAT"].as_str(), one["ARP_INTERVAL_MS"].as_str()),
            ("10", "500")
        );
    }

    #[test]
    fn the_text_is_clean_xml() {
        for kind in ["IPaddr2", "IPaddr", "IPv6addr", "IPsrcaddr", "Route"] {
            let xml = xml(kind).unwrap();
            assert!(!xml.contains('&'), "no entities are needed");
            let tags = [
                "parameter",
                "longdesc",
                "shortdesc",
                "parameters",
                "actions",
            ];
            for tag in tags.into_iter().chain(["resource-agent"]) {
                let opened = xml.matches(&format!("<{tag}>")).count()
                    + xml.matches(&format!("<{tag} ")).count();
                assert_eq!(
                    opened,
                    xml.matches(&format!("</{tag}>")).count(),
                    "{kind} {tag}"
                );
            }
        }
    }
}
