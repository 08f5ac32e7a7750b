use super::*;

const TWO: &str = r#"
! Configuration File for keepalived
global_defs {
    router_id LVS_1
    notification_email {
        root@example.org
    }
}
vrrp_script chk { script "/usr/bin/pgrep haproxy" interval 2 }
vrrp_instance VI_1 {
    state MASTER
    interface eth0
    virtual_router_id 51   # must agree
    priority 101
    nopreempt
    advert_int 1
    garp_master_repeat 3
    authentication {
        auth_type PASS
        auth_pass s3cret
    }
    virtual_ipaddress {
        192.0.2.10/24 brd 192.0.2.255 label eth0:web
        2001:db8::10/64 dev eth1
    }
    track_script { chk }
    notify_master "/etc/keepalived/up.sh now"
}
vrrp_instance 10.1
{
    interface eth2
    virtual_ipaddress { 10.1.0.1 }
}
vrrp_sync_group both { group { VI_1 10.1 } }
"#;

#[test]
fn instances_become_addresses_that_stay_together() {
    let done = translate("k", TWO, "lb1").unwrap();
    assert_eq!(
        done.lines,
        [
            "primitive VI_1 ocf:heartbeat:IPaddr2 params ip=192.0.2.10 cidr_netmask=24 nic=eth0 \
             broadcast=192.0.2.255 iflabel=web arp_count=3 op monitor interval=10s \
             meta resource-stickiness=INFINITY",
            "primitive VI_1-2 ocf:heartbeat:IPaddr2 params ip=2001:db8::10 cidr_netmask=64 \
             nic=eth1 arp_count=3 op monitor interval=10s meta resource-stickiness=INFINITY",
            "colocation VI_1-together inf: ( VI_1-2 ) VI_1",
            "location VI_1-on-lb1 VI_1 101: lb1",
            "primitive vip-10.1 ocf:heartbeat:IPaddr2 params ip=10.1.0.1 cidr_netmask=32 nic=eth2 \
             op monitor interval=10s",
            "colocation both inf: ( vip-10.1 ) VI_1",
        ]
    );
}

#[test]
fn every_setting_has_a_fate_with_its_place() {
    let done = translate("k", TWO, "lb1").unwrap();
    let of = |word: &str| {
        let found = done.findings.iter().find(|f| f.text.contains(word));
        found.map(|f| (f.line, f.column, f.fate))
    };
    assert_eq!(of("router_id LVS_1"), Some((4, 5, Fate::Obsolete)));
    assert_eq!(of("notification_email"), Some((5, 5, Fate::Refused)));
    assert_eq!(of("vrrp_script"), Some((9, 1, Fate::Refused)));
    assert_eq!(of("virtual_router_id 51"), Some((13, 5, Fate::Obsolete)));
    assert_eq!(of("priority 101"), Some((14, 5, Fate::Maps)));
    assert_eq!(of("notify_master"), Some((27, 5, Fate::Refused)));
    assert_eq!(of("192.0.2.10/24"), Some((23, 9, Fate::Maps)));
    assert_eq!(of("both"), Some((34, 1, Fate::Maps)));
    assert_eq!(of("left it out"), Some((24, 9, Fate::Maps)));
    assert!(!done.findings.iter().any(|f| f.text.contains("s3cret")));
}

#[test]
fn what_is_no_such_file_is_told_with_its_line() {
    for (text, line, what) in [
        ("vrrp_instance x {\n", 1, "not closed"),
        ("}\n", 1, "closes nothing"),
        ("\n{\n", 2, "without a name"),
        ("a {\n b \"c d\n}\n", 2, "a quote is not closed"),
    ] {
        let error = translate("k", text, "n").unwrap_err();
        assert_eq!(error.line, line, "{text}");
        assert!(error.to_string().contains(what), "{error}");
    }
    let deep = "a {\n".repeat(40);
    assert!(translate("k", &deep, "n").is_err());
}

#[test]
fn addresses_that_are_none_are_refused() {
    let text = "vrrp_instance x {\n virtual_ipaddress {\n  300.1.2.3/24\n }\n}\n";
    let done = translate("k", text, "n").unwrap();
    assert_eq!(done.lines, [] as [&str; 0]);
    assert_eq!(done.findings[0].fate, Fate::Refused);
}

#[test]
fn what_would_be_lost_or_collide_is_refused() {
    let text = "vrrp_instance a {\n interface eth0\n virtual_ipaddress {\n  10.0.0.1/99\n\
                \x20 10.0.0.2/255.255.255.0 scope link noprefixroute\n  10.0.0.3 label web\n }\n}\n\
                vrrp_instance b {\n virtual_ipaddress {\n  10.0.0.2\n  10.0.0.4\n }\n}\n\
                vrrp_instance a {\n virtual_ipaddress {\n  10.0.0.5\n }\n}\n\
                vrrp_sync_group g {\n group {\n  a\n  c\n }\n}\n";
    let done = translate("k", text, "n").unwrap();
    let refused: Vec<_> = done
        .findings
        .iter()
        .filter(|f| f.fate == Fate::Refused)
        .map(|f| (f.line, f.text.as_str()))
        .collect();
    assert_eq!(
        refused,
        [
            (4, "10.0.0.1/99: a prefix has 0 to 32 bits"),
            (
                5,
                "scope of 10.0.0.2/255.255.255.0: the address gets the scope global"
            ),
            (6, "label web: a label is the interface, a colon and a word"),
            (11, "10.0.0.2: it is an address of a already"),
            (15, "vrrp_instance a: an instance of this name stands above"),
            (20, "vrrp_sync_group g: c is no instance with an address"),
        ]
    );
    let lines = done.lines.join("\n");
    assert!(lines.contains("ip=10.0.0.2 cidr_netmask=255.255.255.0 nic=eth0 noprefixroute=true"));
    assert!(lines.contains("primitive b ocf:heartbeat:IPaddr2 params ip=10.0.0.4"));
    assert!(!lines.contains("10.0.0.5") && !lines.contains("colocation g"));
}

/// What is refused in this text: line and words.
fn refused(text: &str) -> Vec<(usize, String)> {
    let done = translate("k", text, "n").unwrap();
    let findings = done.findings.into_iter();
    let refused = findings.filter(|f| f.fate == Fate::Refused);
    refused.map(|f| (f.line, f.text)).collect()
}

#[test]
fn words_of_an_address_are_looked_at() {
    for (words, why) in [
        ("brd nonsense", "an IPv4 address is expected behind it"),
        ("dev", "dev of 192.0.2.1/24: nothing stands behind it"),
        (
            "peer 192.0.2.2",
            "peer of 192.0.2.1/24: an address gets no other end",
        ),
        ("label eth0:with-a-long-tail", "more than 15 characters"),
        ("dev eth1 label eth0:1", "a label is the interface"),
        ("sideways", "sideways of 192.0.2.1/24: not known here"),
    ] {
        let text =
            format!("vrrp_instance x {{\n virtual_ipaddress {{\n  192.0.2.1/24 {words}\n }}\n}}\n");
        let refused = refused(&text);
        assert_eq!(refused.len(), 1, "{words}: {refused:?}");
        assert!(
            refused[0].0 == 3 && refused[0].1.contains(why),
            "{refused:?}"
        );
    }
    let text = "vrrp_instance x {\n interface eth0\n virtual_ipaddress {\n\
                \x20 192.0.2.1 broadcast 192.0.2.255 label eth0:1 scope global\n }\n}\n";
    let done = translate("k", text, "n").unwrap();
    assert_eq!(refused(text), []);
    assert!(done.lines[0].contains("nic=eth0 broadcast=192.0.2.255 iflabel=1 op"));
}

#[test]
fn slips_of_the_pen_are_told_with_the_nearest_word() {
    let text = "global_defs {\n router_idd x\n vrrp_strict\n}\n\
                vrrp_instanc a {\n}\n\
                vrrp_instance b {\n prioritty 5\n priority 300\n priority 0\n\
                \x20virtual_ipaddress {\n  ${VIP}/24\n }\n}\nvrrp_instance {\n}\n";
    let refused = refused(text);
    let refused: Vec<_> = refused
        .iter()
        .map(|(line, text)| (*line, text.as_str()))
        .collect();
    assert_eq!(
        refused,
        [
            (2, "router_idd x: not known here; did you mean `router_id`?"),
            (
                5,
                "vrrp_instanc a: not known here; did you mean `vrrp_instance`?"
            ),
            (
                7,
                "vrrp_instance b: it has no virtual_ipaddress that can be taken over"
            ),
            (8, "prioritty 5: not known here; did you mean `priority`?"),
            (9, "priority 300: a number from 1 to 255 is expected"),
            (10, "priority 0: a number from 1 to 255 is expected"),
            (
                12,
                "${VIP}/24: definitions are not followed: write what they come to"
            ),
            (15, "vrrp_instance: a name is expected behind it"),
        ]
    );
}

#[test]
fn what_holds_for_all_instances_holds_unless_one_says_else() {
    let text = "vrrp_instance a {\n virtual_ipaddress {\n  192.0.2.1/24\n }\n}\n\
                vrrp_instance b {\n interface eth2\n garp_master_repeat 7\n\
                \x20virtual_ipaddress {\n  192.0.2.2/24\n }\n}\n\
                global_defs {\n default_interface eth1\n vrrp_garp_master_repeat 3\n}\n";
    let done = translate("k", text, "n").unwrap();
    assert!(
        done.lines[0].contains("nic=eth1 arp_count=3 "),
        "{:?}",
        done.lines
    );
    assert!(
        done.lines[1].contains("nic=eth2 arp_count=7 "),
        "{:?}",
        done.lines
    );
    let bare = translate("k", &text[..text.find("global").unwrap()], "n").unwrap();
    let told = |f: &Finding| f.line == 3 && f.text.contains("no interface is named");
    assert!(bare.findings.iter().any(told), "{:?}", bare.findings);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z0-9${}\\n \"'#!/:.]{0,200}") {
        let _ = translate("k", &text, "n");
        let _ = is_one(&text);
    }
}
