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
            "primitive vip-10.1 ocf:heartbeat:IPaddr2 params ip=10.1.0.1 nic=eth2 \
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
    assert!(!done.findings.iter().any(|f| f.text.contains("s3cret")));
}

#[test]
fn what_is_no_such_file_is_told_with_its_line() {
    for (text, line, what) in [
        ("vrrp_instance x {\n", 1, "not closed"),
        ("}\n", 1, "closes nothing"),
        ("\n{\n", 2, "without a name"),
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

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z0-9{}\\n \"'#!/:.]{0,200}") {
        let _ = translate("k", &text, "n");
        let _ = is_one(&text);
    }
}
