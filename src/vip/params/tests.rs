use super::*;

fn params(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}

fn read(pairs: &[(&str, &str)]) -> Result<Settings, Refusal> {
    Settings::read(Agent::IPaddr2, &params(pairs))
}

#[test]
fn the_agents_defaults() {
    let two = read(&[("ip", "10.0.2.10")]).unwrap();
    assert_eq!(
        (two.announces, two.interval.as_millis(), two.refreshes),
        (5, 200, 0)
    );
    assert!(two.background && !two.noprefixroute && !two.arping);
    assert_eq!(two.broadcast, Broadcast::Inherit);
    let one = Settings::read(Agent::IPaddr, &params(&[("ip", "10.0.2.10")])).unwrap();
    assert_eq!((one.announces, one.interval.as_millis()), (10, 500));
    assert_eq!(one.broadcast, Broadcast::Ones);
}

#[test]
fn netmasks_come_as_numbers_and_dotted() {
    let table = [
        ("24", Some(24)),
        ("255.255.255.0", Some(24)),
        ("255.255.255.255", Some(32)),
        ("128.0.0.0", Some(1)),
        ("0", None),
        ("33", None),
        ("255.0.255.0", None),
        ("0.0.0.0", None),
        ("banana", None),
    ];
    for (mask, expect) in table {
        let read = read(&[("ip", "10.0.2.10"), ("cidr_netmask", mask)]);
        assert_eq!(read.ok().and_then(|s| s.target.prefix), expect, "{mask}");
    }
    let old = read(&[("ip", "10.0.2.10"), ("netmask", "16")]).unwrap();
    assert_eq!(old.target.prefix, Some(16));
}

#[test]
fn a_label_may_sit_in_the_nic() {
    let both = read(&[("ip", "10.0.2.10"), ("nic", "eth0:web"), ("iflabel", "x")]).unwrap();
    assert_eq!(both.target.nic.as_deref(), Some("eth0"));
    assert_eq!(both.label_on("eth0"), Ok(Some("eth0:web".to_owned())));
    let long = read(&[("ip", "10.0.2.10"), ("iflabel", "a-long-label")]).unwrap();
    assert_eq!(long.label_on("eth0").unwrap_err().rc, rc::CONFIGURED);
    assert!(long.label_on("e0").is_ok());
}

#[test]
fn wrong_values_name_the_parameter_and_the_cure() {
    let ip = ("ip", "10.0.2.10");
    let table: &[(&[(&str, &str)], &str)] = &[
        (&[], "parameter ip is missing"),
        (&[("ip", " ")], "parameter ip is missing"),
        (
            &[("ip", "10.0.2.10/24")],
            "write ip=10.0.2.10 cidr_netmask=24",
        ),
        (
            &[("ip", "10.0.2.300")],
            "ip=10.0.2.300 is not an IP address",
        ),
        (&[("ip", "0.0.0.0")], "cannot be an interface's address"),
        (&[("ip", "fe80::1")], "name one with nic"),
        (
            &[ip, ("arp_count", "0")],
            "arp_count=0 is not a number from 1",
        ),
        (&[ip, ("arp_interval", "fast")], "arp_interval=fast"),
        (
            &[ip, ("arp_sender", "pigeon")],
            "arp_sender=pigeon is none of send_arp",
        ),
        (&[ip, ("broadcast", "x")], "broadcast=x"),
        (&[ip, ("preferred_lft", "")], "preferred_lft= is neither"),
    ];
    for (pairs, expect) in table {
        let refusal = read(pairs).unwrap_err();
        assert_eq!(refusal.rc, rc::CONFIGURED, "{expect}");
        assert!(
            refusal.reason.contains(expect),
            "{} lacks {expect}",
            refusal.reason
        );
    }
    let old = params(&[ip, ("ARP_REPEAT", "0")]);
    assert_eq!(
        Settings::read(Agent::IPaddr, &old).unwrap_err().rc,
        rc::ARGS
    );
    let six = params(&[("ip", "fd00::1")]);
    assert!(
        Settings::read(Agent::IPaddr, &six)
            .unwrap_err()
            .reason
            .contains("IPaddr2")
    );
}

#[test]
fn booleans_are_the_shell_librarys() {
    for (word, expect) in [
        ("true", true),
        ("YES", true),
        ("1", true),
        ("ja", true),
        ("no", false),
        ("2", false),
    ] {
        assert_eq!(is_true(Some(&word.to_owned())), expect, "{word}");
    }
}

#[test]
fn what_needs_the_real_agent_is_said() {
    let request = |pairs: &[(&str, &str)], meta: &[(&str, &str)]| OpRequest {
        class: "ocf".into(),
        provider: Some("heartbeat".into()),
        kind: "IPaddr2".into(),
        operation: "start".into(),
        params: params(pairs),
        meta: params(meta),
        ..OpRequest::default()
    };
    let check = |pairs: &[(&str, &str)], meta: &[(&str, &str)]| {
        unserved(Agent::IPaddr2, &request(pairs, meta))
    };
    let (several, one) = (&[("clone_max", "2")][..], &[("clone-max", "1")][..]);
    let unique = ("unique_clone_address", "true");
    let mac = ("mac", "01:02:03:04:05:06");
    type Pairs<'a> = &'a [(&'a str, &'a str)];
    let table: &[(Pairs<'_>, Pairs<'_>, Option<&str>)] = &[
        (&[("lvs_support", "yes"), ("flush_routes", "1")], &[], None),
        // Only clones that share the address use it.
        (&[mac], one, None),
        (&[mac], several, Some("CLUSTERIP")),
        (&[unique], several, None),
        (&[("send_arp_opts", "-A")], &[], None),
        (
            &[("send_arp_opts", "-A -b")],
            &[],
            Some("send_arp_opts=-A -b"),
        ),
        (&[("network_namespace", "blue")], &[], None),
    ];
    for (pairs, meta, expect) in table {
        let why = check(pairs, meta);
        let fits = why
            .as_deref()
            .unwrap_or("")
            .contains(expect.unwrap_or("\0"));
        assert!(
            why.is_none() && expect.is_none() || fits,
            "{pairs:?}: {why:?}"
        );
    }
    let scripts = params(&[("local_stop_script", "/bin/true")]);
    let old = OpRequest {
        params: scripts,
        ..request(&[], &[])
    };
    assert!(unserved(Agent::IPaddr, &old).is_some());
}

#[test]
fn clone_instances_count_up_from_the_address() {
    let request = |ip: &str, number: &str| OpRequest {
        class: "ocf".into(),
        provider: Some("heartbeat".into()),
        kind: "IPaddr2".into(),
        params: params(&[("ip", ip), ("unique_clone_address", "true")]),
        meta: params(&[("clone", number)]),
        ..OpRequest::default()
    };
    for (ip, number, expect) in [
        ("10.0.2.10", "0", "10.0.2.10"),
        ("10.0.2.10", "3", "10.0.2.13"),
        ("10.0.2.250", "9", "10.0.2.259"),
        ("fd00::1", "3", "fd00::1"),
    ] {
        assert_eq!(resolved(&request(ip, number)).params["ip"], expect);
    }
    let one = request("10.0.2.10", "0");
    assert_eq!(
        contradiction(Agent::IPaddr2, &one).unwrap().rc,
        rc::CONFIGURED
    );
    let unique = OpRequest {
        meta: params(&[("globally-unique", "true")]),
        ..one
    };
    assert_eq!(contradiction(Agent::IPaddr2, &unique), None);
}

#[test]
fn ipv6addr_reads_its_own_names() {
    let read = |pairs: &[(&str, &str)]| Settings::read(Agent::IPv6addr, &params(pairs));
    for (pairs, prefix) in [
        (&[("ipv6addr", "fd00::1")][..], None),
        (&[("ipv6addr", "fd00::1/64")], Some(64)),
        (
            &[("ipv6addr", "fd00::1/64"), ("cidr_netmask", "96")],
            Some(96),
        ),
    ] {
        let target = read(pairs).unwrap().target;
        assert_eq!(
            (target.ip.to_string().as_str(), target.prefix),
            ("fd00::1", prefix)
        );
        assert_eq!(Target::lenient(&params(pairs)).unwrap().prefix, prefix);
    }
    for (given, code) in [
        ("", rc::CONFIGURED),
        ("10.0.0.1", rc::ARGS),
        ("fd00::1/129", rc::ARGS),
    ] {
        assert_eq!(
            read(&[("ipv6addr", given)]).unwrap_err().rc,
            code,
            "{given}"
        );
    }
}
