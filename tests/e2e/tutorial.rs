//! The command lines of the tutorials, as their readers paste them, in a living cluster of two
//! nodes. The table is in the order of the acceptance list; what is not in it stands in another test:
//! keys, files, services, three nodes in `walks.rs`, the units' names (row 38) in `tests/service.rs`,
//! where systemd itself resolves them, configuration files of all ages in `tests/import.rs`, the bare
//! commands on a file in `tests/cli`. Three rows are commands of the machine, and no lab can show them:
//! 25 fetches packages (`scripts/install --compat` puts the same names there: `tests/service.rs`), 34
//! hands out ssh keys, which nothing here uses (nodes join with a token: `growth.rs`), 47 sets up the
//! database (its agents run in `real_agents.rs`).

use crate::cluster::{Cluster, is_online, node_of};
use mainstay::lab::Output;

/// A line, what it must come to, and what it must print there.
pub(crate) struct Row {
    number: u8,
    line: &'static str,
    code: i32,
    out: &'static [&'static str],
    err: &'static [&'static str],
}

pub(crate) const fn row(number: u8, line: &'static str) -> Row {
    Row {
        number,
        line,
        code: 0,
        out: &[],
        err: &[],
    }
}

impl Row {
    pub(crate) const fn prints(mut self, out: &'static [&'static str]) -> Self {
        self.out = out;
        self
    }

    pub(crate) const fn warns(mut self, err: &'static [&'static str]) -> Self {
        self.err = err;
        self
    }

    pub(crate) const fn refused(mut self, code: i32, err: &'static [&'static str]) -> Self {
        self.code = code;
        self.err = err;
        self
    }

    /// What is wrong with what it came to.
    fn judge(&self, found: &Output) -> Option<String> {
        let mut wrong = Vec::new();
        if found.code != self.code {
            wrong.push(format!("exit code {}, not {}", found.code, self.code));
        }
        for (what, text, wanted) in [
            ("output", &found.stdout, self.out),
            ("errors", &found.stderr, self.err),
        ] {
            let missing = wanted.iter().filter(|w| !text.contains(**w));
            wrong.extend(missing.map(|w| format!("no {w:?} in its {what}")));
        }
        if wrong.is_empty() {
            return None;
        }
        Some(format!(
            "row {}: `{}`: {}; it printed {:?} and {:?}",
            self.number,
            self.line,
            wrong.join(", "),
            found.stdout,
            found.stderr
        ))
    }
}

/// Carries the rows out, one after the other; all that went wrong is told together.
pub(crate) fn paste(c: &Cluster, node: &str, rows: &[Row]) {
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|row| row.judge(&c.sh(node, row.line)))
        .collect();
    if !wrong.is_empty() {
        c.fail(node, &wrong.join("\n"));
    }
}

/// Nodes, options, the first address and the web server (S0).
const FIRST: &[Row] = &[
    row(2, "crm_mon --one-shot -V").prints(&["Current DC:", "partition with quorum", "Online: [ node1 node2 ]"]),
    row(3, "crm status").prints(&["Online: [ node1 node2 ]", "2 nodes configured"]),
    row(4, "crm node standby"),
    row(45, "printf 'node\\nonline\\nquit\\n' | crm"),
    row(5, "crm node online"),
    row(6, "crm node standby node2"),
    row(6, "crm node online node2"),
    row(7, "crm configure property stonith-enabled=false"),
    row(7, "crm status").warns(&["stonith-enabled=false"]),
    row(
        8,
        "crm configure primitive failover-ip ocf:heartbeat:IPaddr2 params ip=10.0.2.10 cidr_netmask=32 op monitor interval=10s",
    ),
    row(8, "cibadmin -Q -o resources").prints(&[
        "<primitive id=\"failover-ip\" class=\"ocf\" provider=\"heartbeat\" type=\"IPaddr2\">",
        "<instance_attributes id=\"failover-ip-instance_attributes\">",
        "<op id=\"failover-ip-monitor-10s\" name=\"monitor\" interval=\"10s\"/>",
    ]),
    row(9, "crm ra classes").prints(&["lsb\n", "ocf / heartbeat", "service\n", "stonith\n"]),
    row(10, "crm ra list ocf pacemaker").prints(&["Dummy"]),
    row(11, "crm ra list ocf heartbeat").prints(&["IPaddr2"]),
    row(
        12,
        "crm configure primitive apache-ha ocf:heartbeat:apache params configfile=/etc/apache2/apachd2.conf op monitor interval=1min",
    )
    .warns(&["apache-ha: "]),
    row(
        13,
        "crm configure colocation apache-with-ip inf: apache-ha failover-ip",
    ),
    row(
        14,
        "crm configure order apache-after-ip mandatory: failover-ip apache-ha",
    ),
    row(14, "crm configure show apache-after-ip apache-with-ip").prints(&[
        "order apache-after-ip Mandatory: failover-ip apache-ha",
        "colocation apache-with-ip inf: apache-ha failover-ip",
    ]),
    row(1, "crm -w resource stop failover-ip"),
    row(1, "crm resource locate failover-ip").prints(&["is NOT running"]),
    row(19, "crm resource cleanup failover-ip"),
    // As the page prints it, a shell never passes it on.
    row(15, "sh -c 'crm resource stop $`RESOURCENAME'").refused(2, &["ackquote"]),
    row(15, "crm resource stop apache-ha"),
    row(16, "crm configure delete apache-ha").warns(&[
        "INFO: hanging colocation:apache-with-ip deleted",
        "INFO: hanging order:apache-after-ip deleted",
    ]),
    row(18, "crm configure property stop-all-resources=true"),
    row(18, "crm status").prints(&[
        "*** Resource management is DISABLED ***",
        "The cluster will keep all resources stopped",
    ]),
    row(20, "crm configure erase").warns(&["brings it back"]),
    row(20, "crm configure show").prints(&["node 1: node1", "node 2: node2"]),
    row(21, "crm configure property no-quorum-policy=ignore").warns(&["two_node: 1"]),
    row(22, "crom configure rsc_defaults resource-stickiness=100").refused(127, &["crom"]),
    row(23, "crm configure rsc_defaults resource-stickiness=100"),
    row(23, "mainstay lint").prints(&["does not bring them back"]),
    row(26, "corosync-keygen -k /run/key").prints(&[
        "Corosync Cluster Engine Authentication key generator.",
        "Gathering 2048 bits for key from /dev/urandom.",
        "Writing corosync key to /run/key.",
    ]),
    row(26, "stat -c '%a %s' /run/key").prints(&["400 256"]),
    row(24, "sysctl -w net.ipv4.ip_nonlocal_bind=1 || echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind"),
    row(24, "mainstay vip").prints(&["net.ipv4.ip_nonlocal_bind", "somebody else"]),
    row(24, "echo 0 > /proc/sys/net/ipv4/ip_nonlocal_bind"),
];

/// The interactive session of S4, from a pipe: levels by word, lines that go on, what is unknown.
const TYPED: &[Row] = &[
    row(
        40,
        "printf 'configure\\nproperty stonith-enabled=false\\nproperty no-quorum-policy=ignore\\ncommit\\nquit\\n' | crm",
    ),
    row(41, "crm configure show").prints(&[
        "property cib-bootstrap-options:",
        "stonith-enabled=false",
        "no-quorum-policy=ignore",
    ]),
    row(
        41,
        "printf 'configure\\nproperty $id=\"cib-bootstrap-options\" batch-limit=\"7\"\\ncommit\\nquit\\n' | crm",
    ),
    row(42, "EDITOR='sed -i s/batch-limit=7/batch-limit=8/' crm configure edit").prints(&["-\tbatch-limit=7", "+\tbatch-limit=8"]),
    row(
        43,
        "printf 'configure\\nprimitive ip ocf:heartbeat:IPaddr params ip=\"192.168.1.100\" op monitor interval=10s\\ncommit\\nquit\\n' | crm",
    )
    .warns(&["IPaddr2", "cidr_netmask"]),
    row(
        44,
        "printf 'configure\\nprimitive mysql ocf:pacemaker:Dummy \\\\\\nparams state=\"/run/mysql.state\" \\\\\\nop monitor interval=\"30s\" timeout=\"30s\" \\\\\\nop start interval=\"0\" timeout=\"120\" \\\\\\nop stop interval=\"0\" timeout=\"120\"\\ncommit\\nquit\\n' | crm",
    ),
    row(44, "crm configure show mysql").prints(&[
        "op monitor interval=30s timeout=30s",
        "op start interval=0 timeout=120",
    ]),
    row(46, "crm configure colocation nobody-mysql inf: nobody mysql")
        .refused(1, &["resource \"nobody\" does not exist"]),
    row(46, "crm configure colocation ip-mysql inf: ip mysql"),
    row(62, "crm_mon -1 -n -r").prints(&["Node List:", "Inactive Resources:"]),
];

/// The slides (S3), in the words of pcs.
const SLIDES: &[Row] = &[
    row(48, "pcs resource standards").prints(&["lsb\n", "ocf\n", "service\n"]),
    row(49, "pcs resource agents").prints(&["\nIPaddr2\n"]),
    row(50, "pcs resource describe IPAddr2")
        .prints(&["ocf:heartbeat:IPaddr2 - "])
        .warns(&["Assumed agent name 'ocf:heartbeat:IPaddr2' (deduced from 'IPAddr2')"]),
    row(
        51,
        "pcs resource create virtualIP ocf:pacemaker:Dummy --force",
    ),
    row(51, "pcs resource create NFS ocf:pacemaker:Dummy --force"),
    row(
        51,
        "pcs constraint colocation add virtualIP with NFS INFINITY",
    ),
    row(52, "pcs resource create DRBD ocf:pacemaker:Dummy --force"),
    row(52, "pcs resource create RAID ocf:pacemaker:Dummy --force"),
    row(52, "pcs constraint colocation add DRBD with RAID INFINITY"),
    row(52, "cibadmin -Q -o constraints").prints(&["id=\"colocation-DRBD-RAID-INFINITY\""]),
    row(53, "pcs constraint order set virtualIP NFS"),
    row(53, "cibadmin -Q -o constraints").prints(&[
        "id=\"colocation-virtualIP-NFS-INFINITY\"",
        "<rsc_order id=\"order_set_vPNS\">",
        "<resource_set id=\"order_set_vPNS_set\">",
    ]),
    row(
        54,
        "pcs resource create myvip IPAddr2 ip=10.51.10.150 cidr_netmask=23 op monitor interval=30s timeout=30s op start interval=0 timeout=15s on-fail=restart op stop interval=0 timeout=15s on-fail=block",
    ),
    row(54, "cibadmin -Q --xpath \"//primitive[@id='myvip']\"").prints(&[
        "id=\"myvip-monitor-interval-30s\"",
        "id=\"myvip-start-interval-0\"",
        "id=\"myvip-stop-interval-0\"",
    ]),
    row(55, "pcs resource delete myvip --force"),
    row(
        55,
        "pcs resource create myvip IPAddr2 ip=10.51.10.150 cidr_netmask=23",
    ),
    row(55, "cibadmin -Q --xpath \"//primitive[@id='myvip']\"").prints(&[
        "<op name=\"monitor\" interval=\"10s\" timeout=\"20s\" id=\"myvip-monitor-interval-10s\"/>",
        "<op name=\"start\" interval=\"0s\" timeout=\"20s\" id=\"myvip-start-interval-0s\"/>",
        "<op name=\"stop\" interval=\"0s\" timeout=\"20s\" id=\"myvip-stop-interval-0s\"/>",
    ]),
    row(56, "pcs resource create logstash systemd:logstash")
        .refused(1, &["use --force to override"]),
    row(57, "pcs constraint colocation add myvip with NFS INFINITY")
        .warns(&["a colocation says where, not when"]),
    // Without their descriptions: a machine may have a hundred of them, each a program to start.
    row(58, "pcs stonith list --nodesc"),
    row(59, "pcs status").prints(&[
        "Online: [ node1 node2 ]",
        "Full List of Resources:",
        "virtualIP",
    ]),
    row(59, "pcs status --legacy").prints(&["Full list of resources:"]),
    row(60, "pcs cluster standby node2").warns(&["pcs node standby node2"]),
    row(60, "pcs status").prints(&["Node node2: standby"]),
    row(61, "pcs cluster online node2").warns(&["pcs node unstandby node2"]),
];

#[test]
fn the_tutorials_can_be_pasted_line_by_line() {
    let test = "the_tutorials_can_be_pasted_line_by_line";
    let Some(c) = Cluster::up(test, 2, |_| ()) else {
        return;
    };
    let agents = "/usr/lib/ocf/resource.d";
    let installed = |agent: &str| c.sh("node1", &format!("test -x {agents}/{agent}")).ok();
    if !installed("heartbeat/apache") || !installed("pacemaker/Dummy") {
        return crate::cluster::skip(test, "the tutorials' resource agents are not installed");
    }
    paste(&c, "node1", FIRST);
    paste(&c, "node2", TYPED);
    paste(&c, "node1", SLIDES);
    c.wait_for("node2", "both nodes in service", |s| {
        let in_service = |n| is_online(s, n) && node_of(s, n).is_some_and(|n| !n.standby);
        match in_service("node1") && in_service("node2") {
            true => Ok(()),
            false => Err(format!("{:?}", s.nodes)),
        }
    });
}

#[test]
fn without_a_cluster_each_tool_says_so_in_its_own_way() {
    let test = "without_a_cluster_each_tool_says_so_in_its_own_way";
    let Some(c) = Cluster::up(test, 1, |_| ()) else {
        return;
    };
    c.stop_daemon("node1", crate::cluster::PATIENCE).unwrap();
    paste(
        &c,
        "node1",
        &[
            row(2, "crm_mon --one-shot -V")
                .refused(102, &["crm_mon: Connection to cluster failed: "]),
            row(3, "crm status").refused(1, &["ERROR: status: "]),
            row(9, "crm ra classes").prints(&["lsb\n"]),
            row(48, "pcs resource standards").prints(&["lsb\n"]),
            row(0, "crm cluster status")
                .refused(1, &["Connection to cluster failed"])
                .prints(&["corosync         inactive"]),
            row(0, "crm corosync get totem.cluster_name").prints(&["lab\n"]),
            row(0, "crm configure show").refused(1, &["Connection to cluster failed"]),
        ],
    );
}
