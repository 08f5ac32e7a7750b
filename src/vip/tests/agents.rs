//! The real agents beside the native ones: same requests, same exit codes, same addresses.

use super::{OpRequest, VIP, World, request};
use std::path::Path;
use std::process::{Command, Stdio};

/// Steps of one resource; each is run by the agent and natively on machines of their own.
struct Case {
    params: &'static [(&'static str, &'static str)],
    steps: &'static [&'static str],
}

const WHOLE: &[&str] = &[
    "monitor", "start", "monitor", "status", "start", "stop", "stop", "monitor",
];

const CASES: &[Case] = &[
    Case {
        params: &[("ip", VIP)],
        steps: WHOLE,
    },
    Case {
        params: &[("ip", VIP), ("cidr_netmask", "24"), ("nic", "eth0")],
        steps: WHOLE,
    },
    Case {
        params: &[("ip", VIP), ("cidr_netmask", "32")],
        steps: WHOLE,
    },
    Case {
        params: &[("ip", VIP), ("cidr_netmask", "255.255.255.0")],
        steps: &["validate-all"],
    },
    Case {
        params: &[("ip", VIP), ("iflabel", "web"), ("broadcast", "+")],
        steps: WHOLE,
    },
    Case {
        params: &[("ip", VIP), ("nic", "eth0:old")],
        steps: WHOLE,
    },
    Case {
        params: &[("ip", VIP), ("noprefixroute", "true")],
        steps: WHOLE,
    },
    Case {
        params: &[
            ("ip", "172.16.5.9"),
            ("nic", "eth1"),
            ("cidr_netmask", "16"),
        ],
        steps: WHOLE,
    },
    Case {
        params: &[("ip", "172.16.5.9")],
        steps: &["monitor", "validate-all", "start", "stop"],
    },
    Case {
        params: &[],
        steps: &["monitor", "validate-all", "start"],
    },
    Case {
        params: &[("ip", "10.7.0.300")],
        steps: &["validate-all", "start", "stop"],
    },
    Case {
        params: &[("ip", VIP), ("nic", "eth9")],
        steps: &["validate-all", "start", "stop"],
    },
    Case {
        params: &[("ip", VIP), ("cidr_netmask", "40")],
        steps: &["validate-all", "start"],
    },
    Case {
        params: &[("ip", VIP), ("broadcast", "x")],
        steps: &["validate-all", "start"],
    },
    Case {
        params: &[("ip", VIP), ("arp_count", "0")],
        steps: &["validate-all", "start"],
    },
    Case {
        params: &[("ip", VIP), ("arp_interval", "x")],
        steps: &["validate-all", "start"],
    },
    Case {
        params: &[("ip", VIP), ("iflabel", "much-too-long")],
        steps: &["start"],
    },
    Case {
        params: &[("ip", VIP), ("arp_sender", "pigeon")],
        steps: &["validate-all", "start"],
    },
    Case {
        params: &[("ip", VIP)],
        steps: &["promote"],
    },
    Case {
        params: &[
            ("ip", "fd77::9"),
            ("nic", "eth0"),
            ("cidr_netmask", "64"),
            ("nodad", "true"),
        ],
        steps: WHOLE,
    },
];

#[test]
fn native_and_real_ipaddr2_agree() {
    let agent = Path::new("/usr/lib/ocf/resource.d/heartbeat/IPaddr2");
    if !agent.exists() || !Path::new("/usr/sbin/ip").exists() {
        println!("SKIPPED native_and_real_ipaddr2_agree: resource-agents or iproute2 absent");
        return;
    }
    for case in CASES {
        let Some(mut real) = World::new("native_and_real_ipaddr2_agree") else {
            return;
        };
        let Some(mut native) = World::new("native_and_real_ipaddr2_agree") else {
            return;
        };
        let temporary = tempfile::tempdir().unwrap();
        for (step, operation) in case.steps.iter().enumerate() {
            let asked = request(operation, case.params);
            let expected = real
                .near
                .run(|| run_agent(agent, &asked, temporary.path()))
                .unwrap();
            let (code, reason) = native.near.run(|| native.vip.run(&asked)).unwrap();
            let at = format!("{:?} step {step} {operation}: {reason}", case.params);
            assert_eq!(code, expected, "{at}");
            let Some((_, ip)) = case.params.iter().find(|(name, _)| *name == "ip") else {
                continue;
            };
            if ip.parse::<std::net::IpAddr>().is_ok() {
                assert_eq!(native.shown(ip), real.shown(ip), "{at}");
            }
        }
    }
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
        .env("OCF_RESOURCE_TYPE", "IPaddr2")
        .env("OCF_RESKEY_CRM_meta_interval", "0")
        .env("HA_RSCTMP", temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for (name, value) in &request.params {
        command.env(format!("OCF_RESKEY_{name}"), value);
    }
    command.status().unwrap().code().unwrap_or(-1)
}
