//! `mainstay-lab` as people type it: what it prints, its exit codes, what it leaves behind.

use mainstay::lab::{Options, Seen, Wait};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

mod skip;

use skip::skip;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mainstay-lab");
const PATIENCE: Duration = Duration::from_secs(30);

/// A lab's directory that is taken down whatever happens.
struct Bed {
    program: PathBuf,
    dir: PathBuf,
    uid: u32,
}

impl Bed {
    fn new(test: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            skip(test, "network namespaces need root");
            return None;
        }
        Some(Self {
            program: PROGRAM.into(),
            dir: Options::own(1, "test").dir,
            uid: 0,
        })
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command
            .arg("--dir")
            .arg(&self.dir)
            .args(args)
            .stdin(Stdio::null());
        if self.uid != 0 {
            command.uid(self.uid).gid(self.uid).current_dir("/");
        }
        command.output().unwrap()
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(!output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Pids of the lab's own processes, from its state.
    fn pids(&self) -> Vec<i32> {
        let text = std::fs::read_to_string(self.dir.join("state.json")).unwrap_or_default();
        let state: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let nodes = state["nodes"].as_array().cloned().unwrap_or_default();
        let processes = nodes
            .iter()
            .map(|n| &n["init"])
            .chain([&state["switch"], &state["client"]]);
        processes
            .filter_map(|p| i32::try_from(p["pid"].as_i64()?).ok())
            .collect()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.run(&["down", "--purge"]);
    }
}

fn is_gone(pid: i32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('Z')),
        Err(_) => true,
    }
}

fn up_and_down(bed: &Bed) {
    let up = bed.ok(&["up", "2", "--token", "400", "--daemon", "sleep", "600"]);
    assert!(up.contains("node2    10.77.0.102   on, daemon pid"), "{up}");
    assert!(bed.refused(&["up", "2"]).contains("already up"));
    let piped = bed.run(&["exec", "node1", "sh", "-c", "hostname; exit 3"]);
    assert_eq!(
        (piped.status.code(), piped.stdout.as_slice()),
        (Some(3), b"node1\n".as_slice())
    );
    bed.ok(&["poweroff", "node2"]);
    assert!(bed.ok(&["status"]).contains("10.77.0.102   off"));
    let silent = bed.run(&[
        "probe",
        "10.77.0.102",
        "--count",
        "10",
        "--interval-ms",
        "2",
    ]);
    assert_eq!(silent.status.code(), Some(1), "{silent:?}");
    bed.ok(&["poweron", "node2"]);
    bed.ok(&["freeze", "node1"]);
    assert!(bed.ok(&["status"]).contains("10.77.0.101   on, frozen"));
    bed.ok(&["thaw", "node1"]);
    let heard = bed.ok(&["probe", "10.77.0.102", "--count", "100"]);
    assert!(
        heard.contains("probes answered") && heard.contains("longest silence"),
        "{heard}"
    );
    assert!(
        bed.refused(&["cut", "node5"])
            .contains("its nodes are node1, node2")
    );

    let pids = bed.pids();
    assert_eq!(pids.len(), 4);
    bed.ok(&["down"]);
    assert!(pids.into_iter().all(is_gone));
    assert!(bed.refused(&["status"]).contains("no lab is up"));
    bed.ok(&["down", "--purge"]);
    assert!(!bed.dir.exists());
    assert!(bed.refused(&["down"]).contains("no lab is up"));
}

#[test]
fn a_lab_goes_up_and_comes_down_by_commands() {
    let Some(bed) = Bed::new("a_lab_goes_up_and_comes_down_by_commands") else {
        return;
    };
    up_and_down(&bed);
}

#[test]
fn a_lab_needs_no_root_where_the_kernel_has_user_namespaces() {
    let test = "a_lab_needs_no_root_where_the_kernel_has_user_namespaces";
    if Bed::new(test).is_none() {
        return;
    }
    // Where nobody may reach it, whatever the modes on the way to the build directory are.
    let own = Options::own(1, "test").dir;
    std::fs::create_dir(&own).unwrap();
    let program = own.join("mainstay-lab");
    std::fs::copy(PROGRAM, &program).unwrap();
    let mut bed = Bed {
        program,
        dir: own.join("lab"),
        uid: 65534,
    };
    std::os::unix::fs::chown(&own, Some(bed.uid), Some(bed.uid)).unwrap();
    let first = bed.run(&["up", "1", "--daemon", "sleep", "600"]);
    let cause = String::from_utf8_lossy(&first.stderr).into_owned();
    if cause.contains("allows no user namespace") || cause.contains("mount proc") {
        skip(test, &cause);
    } else {
        assert!(first.status.success(), "{first:?}");
        assert_eq!(
            String::from_utf8_lossy(&bed.run(&["exec", "node1", "id", "-u"]).stdout),
            "0\n"
        );
        bed.ok(&["down", "--purge"]);
        up_and_down(&bed);
    }
    bed.uid = 0;
    bed.program = PROGRAM.into();
    drop(bed);
    std::fs::remove_dir_all(own).unwrap();
}

#[test]
fn a_directory_that_holds_something_else_is_left_alone() {
    let Some(bed) = Bed::new("a_directory_that_holds_something_else_is_left_alone") else {
        return;
    };
    std::fs::create_dir(&bed.dir).unwrap();
    std::fs::write(bed.dir.join("thesis.tex"), "years of work").unwrap();
    assert!(bed.refused(&["up", "1"]).contains("not a lab"));
    bed.refused(&["down", "--purge"]);
    assert_eq!(
        std::fs::read_to_string(bed.dir.join("thesis.tex")).unwrap(),
        "years of work"
    );
    std::fs::remove_dir_all(&bed.dir).unwrap();
}

#[test]
fn a_demo_that_is_killed_leaves_nothing_running() {
    let Some(bed) = Bed::new("a_demo_that_is_killed_leaves_nothing_running") else {
        return;
    };
    let mut demo = Command::new(PROGRAM)
        .arg("--dir")
        .arg(&bed.dir)
        .arg("demo")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pids = Wait::new("the demo's nodes", PATIENCE)
        .quiet(true)
        .until(|| {
            let pids = bed.pids();
            Ok(if pids.len() == 5 {
                Seen::Yes(pids)
            } else {
                Seen::NotYet(format!("{pids:?}"))
            })
        })
        .unwrap();
    demo.kill().unwrap();
    demo.wait().unwrap();
    Wait::new("the demo's processes to end", PATIENCE)
        .quiet(true)
        .until(|| {
            let left: Vec<i32> = pids.iter().copied().filter(|p| !is_gone(*p)).collect();
            Ok(if left.is_empty() {
                Seen::Yes(())
            } else {
                Seen::NotYet(format!("{left:?}"))
            })
        })
        .unwrap();
}

#[test]
fn what_makes_no_sense_is_refused_with_the_bound() {
    let Some(bed) = Bed::new("what_makes_no_sense_is_refused_with_the_bound") else {
        return;
    };
    assert!(bed.refused(&["up", "0"]).contains("1 to 48 nodes"));
    assert!(
        bed.refused(&["up", "3", "--two-node"])
            .contains("for 2 nodes")
    );
    let long = Bed {
        dir: Path::new("/var/tmp").join("x".repeat(90)),
        program: PROGRAM.into(),
        uid: 0,
    };
    assert!(long.refused(&["up", "1"]).contains("too long"));
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    let Some(bed) = Bed::new("a_directory_that_others_may_write_to_is_refused") else {
        return;
    };
    std::fs::create_dir(&bed.dir).unwrap();
    std::fs::set_permissions(&bed.dir, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(bed.refused(&["up", "1"]).contains("only uid 0 may write"));
    std::fs::set_permissions(&bed.dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(&bed.dir, Some(65534), None).unwrap();
    assert!(bed.refused(&["status"]).contains("it is of uid 65534"));
    std::fs::remove_dir(&bed.dir).unwrap();
}
