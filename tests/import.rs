//! `mainstay import` as people use it: files of other stacks, from report to effect.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// A machine's files, and a CIB in one of them.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        let sections =
            "<configuration><crm_config/><nodes/><resources/><constraints/></configuration>";
        let cib = format!(
            "<cib admin_epoch=\"0\" epoch=\"1\" num_updates=\"0\">{sections}<status/></cib>"
        );
        fs::write(machine.0.path().join("live.xml"), cib).unwrap();
        machine
    }

    fn file(&self, name: &str, text: &[u8]) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_mainstay"))
            .args(args)
            .env("CIB_file", self.0.path().join("live.xml"))
            .env("MAINSTAY_ROOT", self.0.path().join("root"))
            .output()
            .unwrap()
    }

    fn configuration(&self) -> String {
        let output = self.run(&["crm", "configure", "show"]);
        String::from_utf8(output.stdout).unwrap()
    }

    fn etc(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.0.path().join("root/etc/corosync").join(name)).ok()
    }
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

const KEEPALIVED: &str = "vrrp_instance web {\n  interface eth0\n  priority 150\n  advert_int 1\n\
                          \x20 virtual_ipaddress {\n    192.0.2.7/24\n  }\n  notify /bin/tell\n}\n";

#[test]
fn keepaliveds_addresses_become_resources() {
    let machine = Machine::new();
    let file = machine.file("keepalived.conf", KEEPALIVED.as_bytes());
    let before = machine.configuration();
    let told = machine.run(&["import", "--dry-run", "--node", "lb1", &file]);
    assert!(told.status.success(), "{told:?}");
    for words in [
        ":4: obsolete: advert_int 1",
        ":8: REFUSED: notify /bin/tell",
        "\n      notify /bin/tell\n      ^\n",
        "  location web-on-lb1 web 150: lb1",
    ] {
        assert!(stdout(&told).contains(words), "{words}\n{}", stdout(&told));
    }
    assert_eq!(machine.configuration(), before);
    let empty = machine.file("empty.conf", b"vrrp_instance web {\n}\n");
    let told = machine.run(&["import", &empty]);
    assert!(stdout(&told).ends_with("nothing of this file becomes configuration\n"));

    let done = machine.run(&["import", "--node", "lb1", &file]);
    assert!(done.status.success(), "{done:?}");
    let after = machine.configuration();
    assert!(
        after.contains("params ip=192.0.2.7 cidr_netmask=24 nic=eth0"),
        "{after}"
    );
    assert!(
        after.contains("location web-on-lb1 web 150: lb1"),
        "{after}"
    );
    // Its ids are taken now.
    let again = machine.run(&["import", "--node", "lb1", &file]);
    assert_eq!(again.status.code(), Some(108), "{again:?}");
    assert_eq!(machine.configuration(), after);
}

#[test]
fn a_cib_goes_where_there_are_no_resources_yet() {
    let machine = Machine::new();
    let cib = "<cib admin_epoch=\"3\" epoch=\"9\" num_updates=\"0\"><configuration><crm_config/><nodes/>\
               <resources><primitive id=\"d\" class=\"ocf\" provider=\"pacemaker\" type=\"Dummy\"/></resources>\
               <constraints/></configuration><status/></cib>";
    let file = machine.file("cib.xml", cib.as_bytes());
    let done = machine.run(&["import", &file]);
    assert!(done.status.success(), "{done:?}");
    assert!(
        machine
            .configuration()
            .contains("primitive d ocf:pacemaker:Dummy")
    );
    let again = machine.run(&["import", &file]);
    assert_eq!(again.status.code(), Some(108), "{again:?}");
    assert!(stderr(&again).contains("cibadmin --replace"), "{again:?}");
}

#[test]
fn corosyncs_files_go_where_there_are_none_yet() {
    let machine = Machine::new();
    let conf = "totem {\n  version: 2\n  cluster_name: old\n}\nnodelist {\n  node {\n    ring0_addr: 10.0.0.1\n    nodeid: 1\n  }\n}\n";
    let file = machine.file("corosync.conf", conf.as_bytes());
    let key = machine.file("authkey", &[7; 256]);
    let told = machine.run(&["import", "-n", &file, &key]);
    assert!(told.status.success(), "{told:?}");
    assert_eq!(
        (machine.etc("corosync.conf"), machine.etc("authkey")),
        (None, None)
    );
    let done = machine.run(&["import", &file, &key]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(
        machine.etc("corosync.conf").as_deref(),
        Some(conf.as_bytes())
    );
    assert_eq!(machine.etc("authkey"), Some(vec![7; 256]));
    assert!(
        machine.run(&["import", &file, &key]).status.success(),
        "the same again"
    );
    let other = machine.file("authkey", &[8; 256]);
    assert_eq!(machine.run(&["import", &other]).status.code(), Some(108));
    assert_eq!(machine.etc("authkey"), Some(vec![7; 256]));
}

#[test]
fn what_cannot_be_taken_over_is_told_with_its_place() {
    let machine = Machine::new();
    let conf = machine.file(
        "corosync.conf",
        b"totem {\n  version: 2\n\tnonsense: 1\n}\n",
    );
    let refused = machine.run(&["import", &conf]);
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    assert!(stderr(&refused).contains(":3: "), "{refused:?}");
    assert!(
        stderr(&refused).contains("\tnonsense: 1\n    \t^"),
        "{refused:?}"
    );
    let notes = machine.file("notes", b"buy milk\n");
    assert_eq!(machine.run(&["import", &notes]).status.code(), Some(65));
    assert_eq!(
        machine.run(&["import", "/no/such/file"]).status.code(),
        Some(66)
    );
    let latin = machine.file(
        "corosync.conf",
        b"totem {\n version: 2\n cluster_name: caf\xe9\n}\n",
    );
    let folder = machine.0.path().display().to_string();
    let empty = machine.file("empty", b"");
    let short = machine.file("authkey", b"short");
    for (file, code, words) in [
        (&latin, 65, "line 3 is no UTF-8"),
        (&folder, 66, "name the files in it"),
        (&empty, 65, "nothing in it"),
        (&short, 65, "corosync-keygen"),
    ] {
        let refused = machine.run(&["import", file]);
        assert_eq!(refused.status.code(), Some(code), "{refused:?}");
        assert!(stderr(&refused).contains(words), "{refused:?}");
    }
    assert_eq!(machine.run(&["import"]).status.code(), Some(64));
    assert!(!Path::new(&machine.0.path().join("root")).exists());
}

/// Corosync 1 as distributions shipped it, with a list of nodes added.
const OF_CENTOS_6: &str = "compatibility: whitetank
totem {
\tversion: 2
\tsecauth: off
\tthreads: 0
\tinterface {
\t\tringnumber: 0
\t\tbindnetaddr: 192.168.1.0
\t\tmcastaddr: 226.94.1.1
\t\tmcastport: 5405
\t\tmember {
\t\t\tmemberaddr: 192.168.1.1
\t\t}
\t}
\ttransport: udpu
}
logging {
\tto_file: yes
\tlogfile: /var/log/cluster/corosync.log
\tlogger {
\t\tident: AMF
\t}
}
amf {
\tmode: disabled
}
";

#[test]
fn files_of_corosync_1_are_taken_with_a_remark_on_each_old_line() {
    let machine = Machine::new();
    let file = machine.file("corosync.conf", OF_CENTOS_6.as_bytes());
    let told = machine.run(&["import", "-n", &file]);
    assert!(told.status.success(), "{told:?}");
    for words in [
        ":1: obsolete: compatibility: ",
        ":18: obsolete: to_file: no effect: it is called to_logfile now",
        ":20: obsolete: logger: section not read",
        ", 1 node;",
        "it would be written to ",
    ] {
        assert!(stdout(&told).contains(words), "{words}\n{}", stdout(&told));
    }
    let unlisted = OF_CENTOS_6.replace("member {", "membr {");
    let file = machine.file("corosync.conf", unlisted.as_bytes());
    let told = machine.run(&["import", "-n", "--lenient", &file]);
    assert_eq!(told.status.code(), Some(78), "{told:?}");
    assert!(stdout(&told).contains(":11: unknown: membr: "), "{told:?}");
    assert!(stderr(&told).contains("no node is listed"), "{told:?}");
    // Another file is in the place already: a rehearsal says so as well.
    let place = machine.0.path().join("root/etc/corosync");
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("corosync.conf"), "totem {\n}\n").unwrap();
    let file = machine.file("corosync.conf", OF_CENTOS_6.as_bytes());
    assert_eq!(
        machine.run(&["import", "-n", &file]).status.code(),
        Some(108)
    );
}

#[test]
fn variables_are_told_by_what_they_were_for() {
    let machine = Machine::new();
    let text =
        b"START=yes\nPCMK_logfile=/x\nSBD_DEVICE=/dev/sdb\nOPTIONS=\"-r\"\nORACLE_HOME=/opt\n";
    let file = machine.file("pacemaker", text);
    let told = machine.run(&["import", &file]);
    assert!(told.status.success(), "{told:?}");
    for words in [
        ":1: maps: START: the init script",
        ":2: obsolete: PCMK_logfile: logging{}",
        ":3: obsolete: SBD_DEVICE: ",
        ":4: obsolete: OPTIONS: ",
        ":5: maps: ORACLE_HOME: every agent",
        "it is not read there: write ORACLE_HOME into ",
    ] {
        assert!(stdout(&told).contains(words), "{words}\n{}", stdout(&told));
    }
    let plugin = machine.file("pcmk", b"service {\n name: pacemaker\n ver: 0\n");
    let refused = machine.run(&["import", &plugin]);
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
}
