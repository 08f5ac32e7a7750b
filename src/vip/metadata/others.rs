//! The smaller agents.

use super::{Description, NIC, NONLOCAL_BIND, parameter, required};

pub(super) static IPV6ADDR: Description = Description {
    name: "IPv6addr",
    short: "Floating IPv6 address",
    long: "Keeps an IPv6 address on an interface of the node the resource runs on; the older name,\n\
           kept for configurations that use it. Served inside mainstayd through netlink. New\n\
           configurations use IPaddr2.",
    parameters: &[
        required(parameter(
            "ipv6addr",
            "string",
            "",
            "The floating address",
            "IPv6 address, with or without prefix length.",
        )),
        parameter(
            "cidr_netmask",
            "string",
            "",
            "Prefix length",
            "Wins over the one behind the address. Without either that of the connected network is\n\
             taken.",
        ),
        NIC,
        NONLOCAL_BIND,
    ],
    timeout: "15s",
    monitor_interval: "15s",
    status: true,
    reload: false,
};

pub(super) static IPSRCADDR: Description = Description {
    name: "IPsrcaddr",
    short: "Source address of what this node sends",
    long: "Makes an address of the node, mostly a floating one, the source of packets that leave by\n\
           the default route or by another one. Start it after that address, stop it before.\n\
           Served inside mainstayd through netlink.",
    parameters: &[
        required(parameter(
            "ipaddress",
            "string",
            "",
            "Source address",
            "An IPv4 address that the node has.",
        )),
        parameter(
            "cidr_netmask",
            "string",
            "",
            "Prefix length",
            "To find the interface by; as a number of bits or in dotted notation.",
        ),
        parameter(
            "destination",
            "string",
            "0.0.0.0/0",
            "Where the packets go",
            "Network with prefix length whose route gets the source address.",
        ),
        parameter(
            "proto",
            "string",
            "",
            "Origin of the interface's network route",
            "As kernel or static; that of the route found where it is not given.",
        ),
        parameter(
            "metric",
            "string",
            "",
            "Metric of the network route",
            "That of the route found where it is not given.",
        ),
        parameter(
            "table",
            "string",
            "",
            "Routing table",
            "main, local, default or a number; a resource with another name is handed to the\n\
             packaged agent.",
        ),
    ],
    timeout: "20s",
    monitor_interval: "10s",
    status: false,
    reload: false,
};

pub(super) static ROUTE: Description = Description {
    name: "Route",
    short: "Network route",
    long: "Keeps a route in a routing table of the node the resource runs on. Served inside\n\
           mainstayd through netlink.",
    parameters: &[
        required(parameter(
            "destination",
            "string",
            "",
            "Where the route leads",
            "Network with prefix length, a host, or default.",
        )),
        parameter(
            "device",
            "string",
            "",
            "Outgoing interface",
            "Needed without a gateway.",
        ),
        parameter(
            "gateway",
            "string",
            "",
            "Next router",
            "Needed without a device.",
        ),
        parameter(
            "source",
            "string",
            "",
            "Source address",
            "An address of this node that packets on this route carry.",
        ),
        parameter(
            "table",
            "string",
            "",
            "Routing table",
            "main, local, default or a number; a resource with another name is handed to the\n\
             packaged agent.",
        ),
        parameter(
            "family",
            "string",
            "detect",
            "Address family",
            "ip4, ip6, or detect from the destination.",
        ),
    ],
    timeout: "20s",
    monitor_interval: "10s",
    status: false,
    reload: true,
};
