use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

fn strict(text: &str) -> Result<ClusterConf, ConfError> {
    read("corosync.conf", text, Strictness::Strict)
}

fn error(text: &str) -> String {
    strict(text).unwrap_err().to_string()
}

/// A Corosync 1 file: unicast members inside the interface, obsolete sections around.
const GENERATION_1: &str = "\
# a comment
totem {
	version: 2
	token: 5000
	token_retransmits_before_loss_const: 20
	join: 1000
	consensus: 7500
	vsftype: none
	max_messages: 20
	clear_node_high_bit: yes
	secauth: off
	threads: 0
	#nodeid: 1234
	rrp_mode: passive
	interface {
		member {
			memberaddr: 10.0.66.201
		}
		member {
			memberaddr: 10.0.66.202
		}
		ringnumber: 0
		bindnetaddr: 10.0.66.201
		mcastport: 5407
	}
	transport: udpu
}
amf {
	mode: disabled
}
service {
	ver: 0
	name: pacemaker
}
aisexec {
	user: root
	group: root
}
logging {
	fileline: off
	to_stderr: yes
	to_logfile: no
	to_syslog: yes
	syslog_facility: daemon
	debug: off
	timestamp: on
	logger_subsys {
		subsys: AMF
		debug: off
		tags: enter|leave|trace1
	}
}
";

/// A Corosync 2 file: nodelist and votequorum.
const GENERATION_2: &str = "\
totem {
  version: 2
  secauth: off
  cluster_name: dev-samm

  interface {
    ringnumber: 0
    bindnetaddr: 10.51.11.231
    broadcast: yes
  }
}

quorum {
  provider: corosync_votequorum
  two_node: 1
}

nodelist {
  node {
    ring0_addr: 10.51.11.231
    nodeid: 1
  }
  node {
    ring0_addr: 10.51.11.232
    nodeid: 2
    name: dev-samm-02
    quorum_votes: 3
  }
}
";

/// The multicast example file, edited: no peer is named.
const GENERATION_MULTICAST: &str = "\
totem {
	version: 2
	interface {
		ringnumber: 0
		bindnetaddr: 192.168.1.0
		mcastaddr: 226.94.1.1
		mcastport: 5405
	}
}
logging {
	to_logfile: yes
	logfile: /var/log/corosync
}
";

#[test]
fn unicast_members_of_corosync_1_become_nodes() {
    let conf = strict(GENERATION_1).unwrap();
    assert_eq!(conf.token_ms, Some(5000));
    let seen: Vec<_> = conf
        .nodes
        .iter()
        .map(|n| (n.id, n.addrs[0].clone().unwrap()))
        .collect();
    let id = |last: u32| 10 << 24 | 66 << 8 | last;
    assert_eq!(
        seen,
        [
            (id(201), "10.0.66.201".into()),
            (id(202), "10.0.66.202".into())
        ]
    );
    assert_eq!(conf.links[0].port, 5407);
    assert!(conf.logging.to_stderr && conf.logging.to_syslog && conf.logging.logfile.is_none());
    let about = |key: &str| conf.warnings.iter().find(|w| w.key == key).map(|w| w.line);
    assert_eq!(about("secauth"), Some(11));
    assert_eq!(about("amf"), Some(28));
    assert!(about("tags").is_some() && about("vsftype").is_some() && about("service").is_some());
}

#[test]
fn the_nodelist_of_corosync_2_is_read() {
    let conf = strict(GENERATION_2).unwrap();
    assert_eq!(conf.cluster_name, "dev-samm");
    assert!(conf.quorum.two_node);
    let seen: Vec<_> = conf
        .nodes
        .iter()
        .map(|n| (n.id, n.name.clone(), n.votes))
        .collect();
    assert_eq!(seen, [(1, None, 1), (2, Some("dev-samm-02".into()), 3)]);
    assert!(
        conf.warnings
            .iter()
            .any(|w| w.key == "broadcast" && w.line == 9)
    );
}

#[test]
fn the_multicast_form_names_no_node() {
    let conf = strict(GENERATION_MULTICAST).unwrap();
    assert!(conf.nodes.is_empty());
    assert_eq!(conf.links[0].bindnetaddr.as_deref(), Some("192.168.1.0"));
    assert_eq!(conf.logging.logfile.as_deref(), Some("/var/log/corosync"));
}

#[test]
fn generated_ids_have_31_bits() {
    let conf = strict("nodelist {\n node {\n ring0_addr: 192.168.1.101\n }\n}").unwrap();
    assert_eq!(conf.nodes[0].id, 0x40a8_0165);
}

#[test]
fn redundant_links_are_numbered() {
    let text =
        "nodelist {\n node {\n ring0_addr: 10.0.0.1\n ring1_addr: 10.1.0.1\n nodeid: 1\n }\n}";
    let conf = strict(text).unwrap();
    assert_eq!(conf.nodes[0].addrs.len(), 2);
    assert_eq!(
        conf.links.iter().map(|l| l.number).collect::<Vec<_>>(),
        [0, 1]
    );
}

#[test]
fn errors_name_file_line_key_and_cure() {
    let cases = [
        (
            "totem {\n tokn: 5\n}",
            "corosync.conf:2: tokn: unknown key in `totem`; did you mean `token`?",
        ),
        (
            "totem {\n token: 1\n}",
            "corosync.conf:2: token: 1 ms is out of range: at least 50 ms",
        ),
        (
            "totem {\n token: soon\n}",
            "corosync.conf:2: token: `soon` is no number",
        ),
        ("totem {\n transport: upnp\n}", "did you mean `udpu`?"),
        (
            "totem {\n transport: iba\n}",
            "corosync.conf:2: transport: `iba` is no transport",
        ),
        (
            "totem {\n version: 1\n}",
            "corosync.conf:2: version: must be 2",
        ),
        (
            "totm {\n}",
            "corosync.conf:1: totm: unknown section; did you mean `totem`?",
        ),
        (
            "totem {\n",
            "section `totem` opened in line 1 is not closed",
        ),
        ("}\n", "corosync.conf:1: }: a `}` without a section"),
        (
            "totem {\n version 2\n}",
            "corosync.conf:2: `version 2` is neither",
        ),
        (
            "token: 3\n",
            "corosync.conf:1: token: a key outside of any section",
        ),
        (
            "quorum {\n two_node: perhaps\n}",
            "corosync.conf:2: two_node: `perhaps` is neither yes nor no",
        ),
        ("quorum {\n provider: x\n}", "must be corosync_votequorum"),
        (
            "nodelist {\n node {\n nodeid: 1\n }\n}",
            "corosync.conf:2: node: a node needs ring0_addr",
        ),
        (
            "nodelist {\n node {\n ring0_addr: a.example\n }\n}",
            "give this node a nodeid",
        ),
        (
            "nodelist {\n node {\n ring0_addr: 10.0.0.1\n nodeid: 0\n }\n}",
            "0 is reserved",
        ),
        (
            "nodelist {\n node {\n ring0_addr: 10.0.0.1\n ring8_addr: 10.0.0.2\n }\n}",
            "at most 8 links: ring0_addr to ring7_addr",
        ),
        (
            "totem {\n cluster_name: \u{201c}x\u{201d}\n}",
            "corosync.conf:2: cluster_name: a value stands without quotes",
        ),
        (
            "totem { version: 2 }",
            "`version: 2 }` stands on a line of its own",
        ),
        ("totem: {\n}", "a section has no colon: write `totem {`"),
        (
            "nodelist {\n node {\n ring0_addr: 0.0.0.0\n nodeid: 1\n }\n}",
            "corosync.conf:3: ring0_addr: `0.0.0.0` stands for no machine",
        ),
        (
            "nodelist {\n node {\n ring0_addr: 10.0.0.1\n nodeid: 1\n name: a b\n }\n}",
            "corosync.conf:5: name: `a b` is no name for a node",
        ),
        (
            "logging {\n syslog_facility: deamon\n}",
            "`deamon` is no facility of syslog",
        ),
    ];
    for (text, expected) in cases {
        let said = error(text);
        assert!(said.contains(expected), "{text:?} said: {said}");
    }
}

#[test]
fn a_key_that_is_given_twice_is_remarked_upon() {
    let conf =
        strict("\u{feff}compatibility: none\ntotem {\n token: 3000\n token: 4000\n}").unwrap();
    assert_eq!(conf.token_ms, Some(4000));
    let told: Vec<_> = conf
        .warnings
        .iter()
        .map(|w| (w.line, w.key.as_str()))
        .collect();
    assert_eq!(told, [(1, "compatibility"), (4, "token")]);
    assert!(conf.warnings[1].text.starts_with("given in line 3 already"));
}

#[test]
fn two_nodes_with_one_id_or_address_are_refused() {
    let node = |id: u32, addr: &str| format!(" node {{\n ring0_addr: {addr}\n nodeid: {id}\n }}\n");
    let twice = format!(
        "nodelist {{\n{}{}}}",
        node(1, "10.0.0.1"),
        node(1, "10.0.0.2")
    );
    assert!(error(&twice).contains("nodeid 1 belongs to two nodes, 10.0.0.1 and 10.0.0.2"));
    let same = format!(
        "nodelist {{\n{}{}}}",
        node(1, "10.0.0.1"),
        node(2, "10.0.0.1")
    );
    assert!(error(&same).contains("address 10.0.0.1 belongs to two nodes"));
}

#[test]
fn lenient_turns_unknown_keys_into_warnings() {
    let conf = read("c", "totem {\n bogus_key: 1\n}", Strictness::Lenient).unwrap();
    assert!(
        conf.warnings
            .iter()
            .any(|w| w.key == "bogus_key" && w.line == 2)
    );
}

#[test]
fn names_come_from_the_file_or_the_hosts_file() {
    let hosts = Hosts::parse("127.0.0.1 localhost\n10.0.0.1 alpha.example alpha # first\n");
    let node = |addr: &str, name: Option<&str>| NodeConf {
        addrs: vec![Some(addr.to_owned())],
        name: name.map(str::to_owned),
        ..NodeConf::default()
    };
    assert_eq!(hosts.node_name(&node("10.0.0.1", Some("x"))), "x");
    assert_eq!(hosts.node_name(&node("10.0.0.1", None)), "alpha.example");
    assert_eq!(hosts.node_name(&node("beta", None)), "beta");
    assert_eq!(hosts.node_name(&node("10.0.0.9", None)), "10.0.0.9");
    assert_eq!(hosts.address("alpha"), Some("10.0.0.1".parse().unwrap()));
}

#[test]
fn the_key_is_made_once_and_guarded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("corosync/authkey");
    assert!(matches!(
        load_authkey(&path),
        Err(AuthkeyError::Missing { .. })
    ));
    generate_authkey(&path, &[7; KEY_BYTES]).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o400
    );
    assert_eq!(*load_authkey(&path).unwrap(), vec![7; KEY_BYTES]);
    assert!(matches!(
        generate_authkey(&path, &[8; KEY_BYTES]),
        Err(AuthkeyError::Exists { .. })
    ));

    for mode in [0o440, 0o404, 0o420, 0o402, 0o410, 0o401] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = load_authkey(&path).unwrap_err();
        assert!(
            matches!(error, AuthkeyError::Mode { .. }),
            "{mode:o}: {error}"
        );
        assert!(error.to_string().contains("chmod 400"), "{error}");
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    let link = dir.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(matches!(
        load_authkey(&link),
        Err(AuthkeyError::Symlink { .. })
    ));
}

#[test]
fn a_key_of_somebody_else_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        let test = "a_key_of_somebody_else_is_refused";
        return crate::skip::skip(test, "only root can give a file away");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("authkey");
    generate_authkey(&path, &[7; KEY_BYTES]).unwrap();
    std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
    assert!(matches!(
        load_authkey(&path),
        Err(AuthkeyError::Owner { uid: 65534, .. })
    ));
}

#[test]
fn a_key_of_the_wrong_length_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("authkey");
    for bytes in [0, 31, 4097] {
        std::fs::write(&path, vec![1; bytes]).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert!(
            matches!(load_authkey(&path), Err(AuthkeyError::Length { .. })),
            "{bytes}"
        );
        std::fs::remove_file(&path).unwrap();
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "([a-z_]{0,8}[ :{}#\n]{0,3}){0,40}") {
        let _ = strict(&text);
        let _ = read("c", &text, Strictness::Lenient);
    }
}

const THREE: &str = "nodelist {\n node {\n ring0_addr: 10.0.0.1\n nodeid: 1\n }\n node {\n ring0_addr: 10.0.0.2\n nodeid: 2\n }\n node {\n ring0_addr: 10.0.0.3\n nodeid: 3\n }\n}\n";
const PAIR: &str = "nodelist {\n node {\n ring0_addr: 10.0.0.1\n nodeid: 1\n }\n node {\n ring0_addr: 10.0.0.2\n nodeid: 2\n }\n}\n";
const DEVICE: &str = "device {\n model: net\n votes: 1\n net {\n host: 10.0.0.9\n algorithm: ffsplit\n tls: on\n }\n }\n";

#[test]
fn what_decides_is_read() {
    let conf = strict(&format!(
        "{THREE}quorum {{\n auto_tie_breaker: 1\n auto_tie_breaker_node: highest\n last_man_standing: 1\n last_man_standing_window: 20000\n}}"
    ))
    .unwrap();
    let voters = conf.voters();
    assert_eq!(voters.tie_node, Some(wire::NodeId(3)));
    assert_eq!(voters.last_man_standing, Some(20_000_000));
    assert!(voters.wait_for_all, "implied");
    assert_eq!(voters.check(), Ok(()));
    let conf = strict(&format!("{PAIR}quorum {{\n two_node: 1\n {DEVICE}}}")).unwrap();
    let voters = conf.voters();
    assert_eq!(voters.witness, Some(wire::NodeId(WITNESS_ID)));
    assert_eq!((voters.votes.len(), voters.two_node), (3, false));
    assert_eq!(voters.check(), Ok(()));
    let remarks: Vec<_> = conf.warnings.iter().map(|w| w.key.as_str()).collect();
    assert!(
        remarks.contains(&"two_node") && remarks.contains(&"tls"),
        "{remarks:?}"
    );
}

#[test]
fn what_cannot_decide_together_is_refused() {
    let cases = [
        (
            PAIR,
            "two_node: 1\n auto_tie_breaker: 1",
            "contradicts two_node",
        ),
        (PAIR, "auto_tie_breaker: 1\n DEVICE", "contradicts device{}"),
        (
            PAIR,
            "last_man_standing: 1\n DEVICE",
            "goes neither with device{}",
        ),
        (
            THREE,
            "last_man_standing: 1\n wait_for_all: 0",
            "needs wait_for_all: 1",
        ),
        (THREE, "last_man_standing_window: 5", "1000 to 86400000"),
        (
            THREE,
            "auto_tie_breaker_node: 1 2",
            "a list of nodes is not offered",
        ),
        (
            THREE,
            "auto_tie_breaker: 1\n auto_tie_breaker_node: 7",
            "node 7 is not in the node list",
        ),
        (PAIR, "device {\n model: disk\n }", "`disk` is no model"),
        (
            PAIR,
            "device {\n model: net\n }",
            "a device needs net{ host",
        ),
        (
            PAIR,
            "device {\n model: net\n votes: 2\n net {\n host: a\n }\n }",
            "a witness has one vote",
        ),
        (
            PAIR,
            "device {\n model: net\n net {\n host: a\n algorithm: lms\n }\n }",
            "`lms` is not offered",
        ),
    ];
    for (nodes, quorum, expected) in cases {
        let quorum = quorum.replace("DEVICE", DEVICE);
        let said = error(&format!("{nodes}quorum {{\n {quorum}\n}}"));
        assert!(said.contains(expected), "{quorum:?} said: {said}");
    }
}

/// The reference's own example: 10.12.12.93 with the mask 255.0.0.0.
#[test]
fn a_bindnetaddr_that_fits_nothing_is_named_with_what_would() {
    let own = [
        ("127.0.0.1".parse().unwrap(), 8),
        ("10.12.12.93".parse().unwrap(), 8),
        ("192.168.1.101".parse().unwrap(), 24),
    ];
    for (bind, fits) in [
        ("10.0.0.0", true),
        ("10.12.12.93", true),
        ("192.168.1.0", true),
        // The file is the same on both nodes, and names one of them.
        ("10.12.12.94", true),
        ("10.12.12.0", false),
        ("192.168.2.0", false),
    ] {
        let text = format!(
            "totem {{\n version: 2\n interface {{\n ringnumber: 0\n bindnetaddr: {bind}\n }}\n}}\nnodelist {{\n node {{\n ring0_addr: 10.12.12.93\n nodeid: 1\n }}\n node {{\n ring0_addr: 10.12.12.94\n nodeid: 2\n }}\n}}\n"
        );
        let conf = read("corosync.conf", &text, Strictness::Strict).unwrap();
        let remarks = conf.bind_remarks(&own);
        assert_eq!(remarks.is_empty(), fits, "{bind}: {remarks:?}");
        for remark in remarks {
            assert!(
                remark.contains("10.0.0.0 (10.12.12.93/8), 192.168.1.0 (192.168.1.101/24)"),
                "{remark}"
            );
        }
    }
}

#[test]
fn everything_may_be_told_of_some_parts_alone() {
    let text = |logging: &str| format!("totem {{\n version: 2\n}}\nlogging {{\n{logging}\n}}\n");
    let part = |subsys: &str, debug: &str| {
        format!(" logger_subsys {{\n  subsys: {subsys}\n  debug: {debug}\n }}\n")
    };
    let told = |conf: &ClusterConf| LogPart::ALL.map(|part| conf.logging.debug_of(part));
    let conf = strict(&text(" debug: off")).unwrap();
    assert_eq!(told(&conf), [false; 6]);
    // Names of today's parts and of Corosync's, in any case; of two sections the later counts.
    let some = part("voteq", "trace") + &part("VIP", "on") + &part("VIP", "off");
    let conf = strict(&text(&some)).unwrap();
    assert_eq!(told(&conf), [false, false, true, false, false, false]);
    let conf = strict(&text(&format!(" debug: on\n{}", part("TOTEM", "off")))).unwrap();
    assert_eq!(told(&conf), [true, false, true, true, true, true]);
    let conf = strict(&text(&part("AMF", "on"))).unwrap();
    let remark = conf.warnings.first().unwrap();
    assert_eq!(
        (remark.line, remark.key.as_str()),
        (6, "subsys"),
        "{remark:?}"
    );
    let wrong = strict(&text(&part("VIP", "perhaps"))).unwrap_err();
    assert_eq!((wrong.line, wrong.key.as_str()), (7, "debug"));
}
