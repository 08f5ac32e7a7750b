//! The real agents beside the native ones: same requests, same exit codes, same addresses.

use super::{OpRequest, VIP, World, request};
use crate::vip::NativeVip;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Steps of one resource; each is run by the agent and natively on machines of their own.
struct Case {
    /// Before the first step, on both machines.
    setup: &'static [&'static str],
    params: &'static [(&'static str, &'static str)],
    steps: &'static [&'static str],
}

const WHOLE: &[&str] = &[
    "monitor", "start", "monitor", "status", "start", "stop", "stop", "monitor",
];

const IPADDR2: &[Case] = &[
    Case {
        setup: &[],
        params: &[("ip", VIP)],
        steps: WHOLE,
    },
    Case {
        setup: &[],
        params: &[("ip", VIP), ("cidr_netmask", "24"), ("nic", "eth0")],
        steps: WHOLE,
    },
    Case {
        setup: &[],
        params: &[("ip", VIP), ("cidr_netmask", "32")],
        steps: WHOLE,
    },
    Case {
        setup: &[],
        params: &[("ip", VIP), ("iflabel", "web"), ("broadcast", "+")],
        steps: WHOLE,
    },
    Case {
        setup: &[],
        params: &[("ip", VIP), ("nic", "eth0:old")],
        steps: WHOLE,
    },
    Case {
        setup: &[],
        params: &[("ip", VIP), ("noprefixroute", "true")],
        steps: WHOLE,
    },
    Case {
        setup: &[],
        params: &[
            ("ip", "172.16.5.9"),
            ("nic", "eth1"),
            ("cidr_netmask", "16"),
        ],
        steps: WHOLE,
    },
    Case {
        setup: &[],
        params: &[
            ("ip", "fd77::9"),
            ("nic", "eth0"),
            ("cidr_netmask", "64"),
            ("nodad", "true"),
        ],
        steps: WHOLE,
    },
    Case {
        setup: &["ip addr add 10.7.0.200/32 brd 255.255.255.255 dev lo"],
        params: &[
            ("ip", "10.7.0.200"),
            ("nic", "eth0"),
            ("cidr_netmask", "24"),
            ("lvs_support", "true"),
        ],
        steps: WHOLE,
    },
    Case {
        setup: &[],
        params: &[
            ("ip", VIP),
            ("flush_routes", "true"),
            ("send_arp_opts", "-A"),
            ("mac", "x"),
        ],
        steps: WHOLE,
    },
    Case {
        setup: &[],
        params: &[
            ("ip", "fd77::9"),
            ("nic", "eth0"),
            ("cidr_netmask", "64"),
            ("nodad", "true"),
            ("lvs_ipv6_addrlabel", "true"),
            ("preferred_lft", "0"),
        ],
        steps: &["start", "monitor", "stop"],
    },
];

const IPADDR2_WRONG: &[Case] = &[
    Case {
        setup: &[],
        params: &[("ip", VIP), ("cidr_netmask", "255.255.255.0")],
        steps: &["validate-all"],
    },
    Case {
        setup: &[],
        params: &[("ip", "172.16.5.9")],
        steps: &["monitor", "validate-all", "start", "stop"],
    },
    Case {
        setup: &[],
        params: &[],
        steps: &["monitor", "validate-all", "start"],
    },
    Case {
        setup: &[],
        params: &[("ip", "10.7.0.300")],
        steps: &["validate-all", "start", "stop"],
    },
    Case {
        setup: &[],
        params: &[("ip", VIP), ("nic", "eth9")],
        steps: &["validate-all", "start", "stop"],
    },
    Case {
        setup: &[],
        params: &[("ip", VIP), ("cidr_netmask", "40")],
        steps: &["validate-all", "start"],
    },
    Case {
        setup: &[],
        params: &[("ip", VIP), ("broadcast", "x")],
        steps: &["validate-all", "start"],
    },
    Case {
        setup: &[],
        params: &[("ip", VIP), ("arp_count", "0")],
        steps: &["validate-all", "start"],
    },
    Case {
        setup: &[],
        params: &[("ip", VIP), ("arp_interval", "x")],
        steps: &["validate-all", "start"],
    },
    Case {
        setup: &[],
        params: &[("ip", VIP), ("iflabel", "much-too-long")],
        steps: &["start"],
    },
    Case {
        setup: &[],
        params: &[("ip", VIP), ("arp_sender", "pigeon")],
        steps: &["validate-all", "start"],
    },
    Case {
        setup: &[],
        params: &[("ip", VIP)],
        steps: &["promote"],
    },
    Case {
        setup: &[],
        params: &[("ip", VIP), ("lvs_ipv6_addrlabel", "true")],
        steps: &["validate-all", "start"],
    },
    Case {
        setup: &[],
        params: &[
            ("ip", "fd77::9"),
            ("nic", "eth0"),
            ("cidr_netmask", "64"),
            ("lvs_support", "1"),
        ],
        steps: &["validate-all", "start"],
    },
    Case {
        setup: &[],
        params: &[("ip", VIP), ("unique_clone_address", "true")],
        steps: &["validate-all", "start"],
    },
    Case {
        setup: &["ip link set eth0 down"],
        params: &[("ip", VIP)],
        steps: &["validate-all", "start"],
    },
];

/// Where the packages' programs for the older agents are absent, the agents themselves say so.
const IPV6ADDR: &[Case] = &[
    Case {
        setup: &["ip -6 addr add fd77::1/64 dev eth0 nodad"],
        params: &[("ipv6addr", "fd77::9")],
        steps: &["monitor", "start", "monitor", "stop", "stop", "monitor"],
    },
    Case {
        setup: &["ip -6 addr add fd77::1/64 dev eth0 nodad"],
        params: &[("ipv6addr", "fd77::9/64"), ("nic", "eth0")],
        steps: &["monitor", "start", "monitor", "stop", "monitor"],
    },
    Case {
        setup: &[],
        params: &[("ipv6addr", "10.0.0.1")],
        steps: &["start"],
    },
    Case {
        setup: &[],
        params: &[("ipv6addr", "fd77::9/129")],
        steps: &["start"],
    },
];

const GATEWAY: &str = "ip route add default via 10.7.0.2";
const HELD: &str = "ip addr add 10.7.0.100/24 dev eth0";

const IPSRCADDR: &[Case] = &[
    Case {
        setup: &[GATEWAY, HELD],
        params: &[("ipaddress", VIP)],
        steps: &[
            "monitor",
            "start",
            "start",
            "monitor",
            "stop",
            "monitor",
            "stop",
            "validate-all",
        ],
    },
    Case {
        setup: &[GATEWAY, HELD],
        params: &[("ipaddress", VIP), ("cidr_netmask", "24")],
        steps: &["start", "monitor", "stop"],
    },
    Case {
        setup: &["ip route add default via 10.7.0.2 metric 50 mtu 1400", HELD],
        params: &[("ipaddress", VIP), ("metric", "7")],
        steps: &["start", "monitor", "stop"],
    },
    Case {
        setup: &[HELD, "ip route add 172.16.0.0/16 dev eth0"],
        params: &[("ipaddress", VIP), ("destination", "172.16.0.0/16")],
        steps: &["monitor", "start", "monitor", "stop", "monitor"],
    },
    // Nothing to change, nothing to speak for, nonsense.
    Case {
        setup: &[HELD],
        params: &[("ipaddress", VIP)],
        steps: &["monitor", "start", "stop"],
    },
    Case {
        setup: &[GATEWAY],
        params: &[("ipaddress", VIP)],
        steps: &["monitor", "start", "stop"],
    },
    Case {
        setup: &[GATEWAY],
        params: &[],
        steps: &["validate-all", "start", "stop"],
    },
    Case {
        setup: &[GATEWAY, HELD],
        params: &[("ipaddress", VIP), ("destination", "172.16.0.0")],
        steps: &["validate-all", "start", "stop"],
    },
    Case {
        setup: &[GATEWAY],
        params: &[("ipaddress", "127.0.0.1")],
        steps: &["validate-all", "start"],
    },
];

const ROUTE: &[Case] = &[
    Case {
        setup: &[],
        params: &[("destination", "172.16.0.0/16"), ("device", "eth0")],
        steps: &[
            "monitor", "start", "start", "monitor", "reload", "stop", "stop", "monitor",
        ],
    },
    Case {
        setup: &[],
        params: &[
            ("destination", "default"),
            ("gateway", "10.7.0.2"),
            ("family", "ip4"),
        ],
        steps: &["monitor", "start", "monitor", "stop", "monitor"],
    },
    Case {
        setup: &[HELD],
        params: &[
            ("destination", "192.0.2.7"),
            ("gateway", "10.7.0.2"),
            ("source", VIP),
            ("device", "eth0"),
            ("table", "77"),
        ],
        steps: &["start", "monitor", "stop", "monitor", "validate-all"],
    },
    Case {
        setup: &["ip -6 addr add fd77::1/64 dev eth0 nodad"],
        params: &[("destination", "fd99::/64"), ("gateway", "fd77::2")],
        steps: &["monitor", "start", "monitor", "stop", "monitor"],
    },
    Case {
        setup: &[],
        params: &[("destination", "172.16.0.0/16")],
        steps: &["validate-all", "start"],
    },
    Case {
        setup: &[],
        params: &[("device", "eth0"), ("family", "ip4")],
        steps: &["validate-all", "start"],
    },
    Case {
        setup: &[],
        params: &[("destination", "172.16.0.0/16"), ("device", "eth9")],
        steps: &["validate-all", "start"],
    },
    Case {
        setup: &[],
        params: &[("destination", "172.16.0.0/16"), ("gateway", "192.0.2.1")],
        steps: &["start"],
    },
    Case {
        setup: &[],
        params: &[
            ("destination", "172.16.0.0/16"),
            ("device", "eth0"),
            ("source", VIP),
        ],
        steps: &["validate-all", "start"],
    },
];

#[test]
fn native_and_real_ipaddr2_agree() {
    agree("native_and_real_ipaddr2_agree", "IPaddr2", IPADDR2);
}

#[test]
fn native_and_real_ipaddr2_agree_on_what_is_wrong() {
    let test = "native_and_real_ipaddr2_agree_on_what_is_wrong";
    agree(test, "IPaddr2", IPADDR2_WRONG);
}

#[test]
fn native_and_real_ipv6addr_agree() {
    agree("native_and_real_ipv6addr_agree", "IPv6addr", IPV6ADDR);
}

#[test]
fn native_and_real_ipsrcaddr_agree() {
    agree("native_and_real_ipsrcaddr_agree", "IPsrcaddr", IPSRCADDR);
}

#[test]
fn native_and_real_route_agree() {
    agree("native_and_real_route_agree", "Route", ROUTE);
}

/// Names, defaults and required parameters, as tools read them; the texts are our own.
#[test]
fn native_and_real_agents_name_the_same_parameters() {
    for kind in ["IPaddr2", "IPaddr", "IPv6addr", "IPsrcaddr", "Route"] {
        let Some(agent) = installed("native_and_real_agents_name_the_same_parameters", kind) else {
            continue;
        };
        let output = Command::new(&agent)
            .arg("meta-data")
            .env("OCF_ROOT", "/usr/lib/ocf")
            .output()
            .unwrap();
        let real = parameters(&String::from_utf8_lossy(&output.stdout));
        let mut native = parameters(&NativeVip::meta_data(kind).unwrap());
        // Deliberately: see mainstay-vip(7).
        native.retain(|(name, _)| name != "ip_nonlocal_bind");
        for (name, default) in native.iter_mut() {
            match (kind, &**name) {
                ("IPaddr2", "nodad") => *default = "false".to_owned(),
                ("IPaddr", "nic") => *default = "eth0".to_owned(),
                _ => {}
            }
        }
        assert_eq!(native, real, "{kind}");
    }
}

fn parameters(xml: &str) -> Vec<(String, String)> {
    let quoted = |text: &str, key: &str| {
        let (_, rest) = text.split_once(&format!("{key}=\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    let mut found: Vec<_> = xml
        .split("<parameter ")
        .skip(1)
        .map(|part| {
            let (_, content) = part.split_once("<content ").unwrap();
            let (content, _) = content.split_once('>').unwrap();
            let name = quoted(part, "name").unwrap();
            (name, quoted(content, "default").unwrap_or_default())
        })
        .collect();
    found.sort();
    found
}

fn installed(test: &str, kind: &str) -> Option<PathBuf> {
    let agent = Path::new("/usr/lib/ocf/resource.d/heartbeat").join(kind);
    if agent.exists() && Path::new("/usr/sbin/ip").exists() {
        return Some(agent);
    }
    println!("SKIPPED {test}: {} or iproute2 absent", agent.display());
    None
}

fn agree(test: &str, kind: &str, cases: &[Case]) {
    let Some(agent) = installed(test, kind) else {
        return;
    };
    for case in cases {
        let (Some(mut real), Some(mut native)) = (World::new(test), World::new(test)) else {
            return;
        };
        for command in case.setup {
            real.near.run(|| shell(command)).unwrap();
            native.near.run(|| shell(command)).unwrap();
        }
        let temporary = tempfile::tempdir().unwrap();
        let notes = tempfile::tempdir().unwrap();
        native.start_anew(notes.path());
        for (step, operation) in case.steps.iter().enumerate() {
            let asked = OpRequest {
                kind: kind.into(),
                ..request(operation, case.params)
            };
            let expected = real
                .near
                .run(|| run_agent(&agent, &asked, temporary.path()))
                .unwrap();
            let (code, reason) = native.near.run(|| native.vip.run(&asked)).unwrap();
            let at = format!("{kind} {:?} step {step} {operation}: {reason}", case.params);
            assert_eq!(code, expected, "{at}");
            assert_eq!(picture(&mut native), picture(&mut real), "{at}");
        }
    }
}

/// Addresses and routes that somebody set. What the kernel adds by itself to IPv6 addresses comes
/// when it comes, and `nodad` is set here by default.
fn picture(world: &mut World) -> String {
    let words = |line: &str| {
        let words = line.split_whitespace().skip(1);
        let kept = words.filter(|word| !matches!(*word, "tentative" | "nodad"));
        kept.collect::<Vec<_>>().join(" ")
    };
    let addresses = world.near.run(|| shell("ip -o addr show")).unwrap();
    let addresses = addresses.lines().filter(|line| !line.contains("fe80::"));
    let mut shown: Vec<String> = addresses.map(words).collect();
    for family in ["-4", "-6"] {
        let list = || shell(&format!("ip {family} route show table all"));
        let routes = world.near.run(list).unwrap();
        let by_itself = ["fe80::", "ff00::", "local fd", "anycast"];
        let set = |line: &&str| !by_itself.iter().any(|word| line.contains(word));
        shown.extend(
            routes
                .lines()
                .filter(set)
                .map(|line| line.trim().to_owned()),
        );
    }
    shown.join("\n")
}

fn shell(command: &str) -> String {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap())
        .args(words)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn run_agent(agent: &Path, request: &OpRequest, temporary: &Path) -> i32 {
    let mut command = Command::new(agent);
    command
        .arg(&request.operation)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C")
        .env("OCF_ROOT", "/usr/lib/ocf")
        .env("OCF_RA_VERSION_MAJOR", "1")
        .env("OCF_RA_VERSION_MINOR", "1")
        .env("OCF_RESOURCE_INSTANCE", &request.instance)
        .env("OCF_RESOURCE_TYPE", &request.kind)
        .env("OCF_RESKEY_CRM_meta_interval", "0")
        .env("HA_RSCTMP", temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for (name, value) in &request.params {
        command.env(format!("OCF_RESKEY_{name}"), value);
    }
    // IPv6addr stops whoever its file below /run names, and that may be a second run of this test.
    let mut ends = (0..AGENT_RUNS_MAX).map(|_| command.status().unwrap().code());
    ends.find_map(|code| code).unwrap_or(-1)
}

/// How often an agent that a signal ended is run before that counts as its answer.
const AGENT_RUNS_MAX: u32 = 5;
