//! The executor with small agents in shell, written for each case.

use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// An executor below a directory of its own.
struct Bench {
    dir: TempDir,
    executor: Executor,
    events: mpsc::Receiver<ExecutorEvent>,
}

impl Bench {
    fn new() -> Self {
        Self::with_natives(Vec::new())
    }

    fn with_natives(natives: Vec<Arc<dyn NativeAgent>>) -> Self {
        let dir = TempDir::new().unwrap();
        let (sender, events) = mpsc::channel(64);
        let config = ExecutorConfig {
            paths: Paths::below(dir.path()),
            node_name: "node1".to_owned(),
            natives,
            environment: BTreeMap::from([("FROM_SERVICE".to_owned(), "yes".to_owned())]),
        };
        Self {
            executor: Executor::new(config, sender),
            dir,
            events,
        }
    }

    fn write(&self, path: &str, mode: u32, text: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn agent(&self, name: &str, body: &str) {
        let path = format!("usr/lib/ocf/resource.d/test/{name}");
        self.write(&path, 0o755, &format!("#!/bin/sh\n{body}\n"));
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.dir.path().join(path)).unwrap_or_default()
    }

    fn run(&self, request: OpRequest) -> i32 {
        self.executor.run(request).unwrap()
    }

    async fn event(&mut self) -> ExecutorEvent {
        let next = timeout(Duration::from_secs(30), self.events.recv()).await;
        next.expect("an event within 30 s")
            .expect("the executor lives")
    }

    async fn finished(&mut self) -> OpFinished {
        match self.event().await {
            ExecutorEvent::Finished(finished) => *finished,
            other => panic!("expected a result, got {other:?}"),
        }
    }

    /// Runs one operation of an agent with this body to its end.
    async fn outcome_of(&mut self, body: &str, request: OpRequest) -> OpOutcome {
        self.agent(&request.kind, body);
        self.run(request);
        self.finished().await.outcome
    }
}

fn op(operation: &str) -> OpRequest {
    OpRequest {
        rsc: "r1".to_owned(),
        instance: "r1".to_owned(),
        class: "ocf".to_owned(),
        provider: Some("test".to_owned()),
        kind: "Agent".to_owned(),
        operation: operation.to_owned(),
        timeout_ms: 20_000,
        ..OpRequest::default()
    }
}

fn monitor(interval_ms: u64) -> OpRequest {
    OpRequest {
        interval_ms,
        ..op("monitor")
    }
}

async fn until(mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), wait)
        .await
        .expect("the condition holds within 30 s");
}

/// What whoever started the tests left open for every child; O_CLOEXEC is 02000000 in proc(5).
fn inheritable_fds() -> std::collections::BTreeSet<String> {
    let open = fs::read_dir("/proc/self/fdinfo").unwrap();
    let names = open.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter(|fd| {
            let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
            let flags = flags.and_then(|f| u32::from_str_radix(f.trim(), 8).ok());
            flags.is_some_and(|flags| flags & 0o2_000_000 == 0)
        })
        .collect()
}

/// Signal 13 in the masks of proc(5).
const SIGPIPE_BIT: u64 = 1 << 12;

fn alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    // A zombie that its new parent has not reaped yet is dead all the same.
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test]
async fn exit_codes_are_made_ocf_s() {
    let mut bench = Bench::new();
    let cases = [
        (0, 0),
        (1, 1),
        (7, 7),
        (8, 8),
        (9, 9),
        (10, 1),
        (190, 190),
        (191, 191),
        (193, 1),
        (255, 1),
    ];
    for (exit, rc) in cases {
        let body = format!("exit {exit}");
        let outcome = bench.outcome_of(&body, op("monitor")).await;
        assert_eq!((outcome.rc, outcome.op_status), (rc, 0), "exit {exit}");
    }
}

#[tokio::test]
async fn the_last_exit_reason_is_kept() {
    let mut bench = Bench::new();
    let body = "echo ocf-exit-reason:not this one, it is on stdout
        echo 'ocf-exit-reason:first' >&2
        printf 'r1: ocf-exit-reason: disk \\001\\033[31m full\\t<&>\\nnoise\\n' >&2
        exit 6";
    let outcome = bench.outcome_of(body, op("start")).await;
    assert_eq!(outcome.rc, 6);
    assert_eq!(outcome.exit_reason, "disk ??[31m full <&>");
    assert!(outcome.output.contains("noise"), "{}", outcome.output);
}

#[tokio::test]
async fn a_hanging_agent_is_killed_with_its_group() {
    let mut bench = Bench::new();
    let request = OpRequest {
        timeout_ms: 2000,
        ..op("start")
    };
    let pids = bench.dir.path().join("pids").display().to_string();
    let body = format!("trap '' TERM\n/bin/sleep 600 &\necho $! $$ >{pids}\nwait");
    let outcome = bench.outcome_of(&body, request).await;
    assert_eq!((outcome.rc, outcome.op_status), (1, 2));
    assert_eq!(
        outcome.exit_reason,
        "Resource agent did not complete within 2s"
    );
    let pids = bench.text("pids");
    assert_eq!(pids.split_whitespace().count(), 2);
    for pid in pids.split_whitespace() {
        until(|| !alive(pid)).await;
    }
}

#[tokio::test]
async fn an_agent_ended_by_a_signal_has_failed() {
    let mut bench = Bench::new();
    let outcome = bench.outcome_of("kill -SEGV $$", op("monitor")).await;
    assert_eq!((outcome.rc, outcome.op_status), (1, 4));
    assert_eq!(
        outcome.exit_reason,
        "Resource agent was ended by signal 11 (SIGSEGV)"
    );
}

#[tokio::test]
async fn rubbish_is_bounded() {
    let mut bench = Bench::new();
    let body = "head -c 3000000 /dev/urandom
        head -c 3000000 /dev/urandom >&2
        head -c 100000 /dev/zero | tr '\\0' x >&2
        echo >&2
        echo ocf-exit-reason:still heard >&2
        exit 1";
    let outcome = bench.outcome_of(body, op("monitor")).await;
    assert_eq!(outcome.rc, 1);
    assert_eq!(outcome.exit_reason, "still heard");
    assert!(outcome.output.len() <= 3 * 4096, "{}", outcome.output.len());
    assert!(!outcome.output.contains('\u{1b}'));
}

#[tokio::test]
async fn a_background_child_does_not_hold_up_the_result() {
    let mut bench = Bench::new();
    let pid = bench.dir.path().join("pid").display().to_string();
    // It inherits both pipes and outlives the agent by far.
    let body = format!("/bin/sleep 600 &\necho $! >{pid}\nexit 0");
    let outcome = bench.outcome_of(&body, op("start")).await;
    assert_eq!((outcome.rc, outcome.op_status), (0, 0));
    let pid = bench.text("pid");
    assert!(
        alive(&pid),
        "what an agent starts is a service and must live on"
    );
    let pid = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn absent_and_broken_agents_are_named() {
    let mut bench = Bench::new();
    let root = bench.dir.path().display().to_string();
    let dir = "usr/lib/ocf/resource.d/test";
    bench.write(&format!("{dir}/Plain"), 0o644, "#!/bin/sh\nexit 0\n");
    bench.write(&format!("{dir}/Lost"), 0o755, "#!/no/such/interpreter\n");
    let cases = [
        ("Missing", 5, 7, "does not exist; install the package"),
        ("Plain", 4, 4, "is not executable; chmod 755 it"),
        ("Lost", 5, 7, "interpreter named in the first line"),
        ("../../../../bin/true", 6, 9, "is not the name of an agent"),
    ];
    for (kind, rc, op_status, says) in cases {
        bench.run(OpRequest {
            kind: kind.to_owned(),
            ..op("monitor")
        });
        let outcome = bench.finished().await.outcome;
        assert_eq!((outcome.rc, outcome.op_status), (rc, op_status), "{kind}");
        assert!(
            outcome.exit_reason.contains(says),
            "{}",
            outcome.exit_reason
        );
        if rc != 6 {
            let path = format!("{root}/{dir}/{kind}");
            assert!(
                outcome.exit_reason.contains(&path),
                "{}",
                outcome.exit_reason
            );
        }
    }
}

#[tokio::test]
async fn heartbeat_agents_come_from_a_package() {
    let mut bench = Bench::new();
    bench.run(OpRequest {
        provider: Some("heartbeat".to_owned()),
        ..op("start")
    });
    let reason = bench.finished().await.outcome.exit_reason;
    assert!(reason.contains("ocf:heartbeat:Agent"), "{reason}");
    assert!(reason.contains("resource-agents"), "{reason}");
}

#[tokio::test]
async fn the_environment_is_the_contract_s_and_nothing_else() {
    let mut bench = Bench::new();
    let root = bench.dir.path().display().to_string();
    let map = |pairs: &[(&str, &str)]| {
        let owned = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        owned.collect::<BTreeMap<String, String>>()
    };
    let request = OpRequest {
        instance: "r1:2".to_owned(),
        params: map(&[
            ("ip", "10.0.0.1"),
            ("with-dash", "a b\n'\"$c"),
            ("OCF_CHECK_LEVEL", "10"),
        ]),
        meta: map(&[
            ("on_node", "node1"),
            ("clone-max", "3"),
            ("promoted_max", "1"),
            ("#health", "no"),
            ("a:b", "no"),
        ]),
        timeout_ms: 15_000,
        ..op("monitor")
    };
    // As it was given: a shell drops names that it cannot have as variables, and adds its own.
    let body = format!("cat /proc/$$/environ >{root}/env");
    assert_eq!(bench.outcome_of(&body, request).await.rc, 0);
    let text = bench.text("env");
    let found: BTreeMap<&str, &str> = text
        .split('\0')
        .filter_map(|line| line.split_once('='))
        .collect();
    let path = format!(
        "{root}/usr/lib/mainstay/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    );
    let ocf_root = format!("{root}/usr/lib/ocf");
    let expect = BTreeMap::from([
        ("PATH", path.as_str()),
        ("LANG", "C"),
        ("LC_ALL", "C"),
        ("FROM_SERVICE", "yes"),
        ("HA_debug", "0"),
        ("HA_logfacility", "none"),
        ("HA_LOGFACILITY", "none"),
        ("PCMK_logfacility", "none"),
        ("PCMK_service", "mainstayd"),
        ("OCF_ROOT", ocf_root.as_str()),
        ("OCF_RA_VERSION_MAJOR", "1"),
        ("OCF_RA_VERSION_MINOR", "1"),
        ("OCF_EXIT_REASON_PREFIX", "ocf-exit-reason:"),
        ("OCF_RESOURCE_INSTANCE", "r1:2"),
        ("OCF_RESOURCE_TYPE", "Agent"),
        ("OCF_RESOURCE_PROVIDER", "test"),
        ("OCF_CHECK_LEVEL", "10"),
        ("OCF_RESKEY_ip", "10.0.0.1"),
        ("OCF_RESKEY_with-dash", "a b\n'\"$c"),
        ("OCF_RESKEY_crm_feature_set", "3.19.7"),
        ("OCF_RESKEY_CRM_meta_on_node", "node1"),
        ("OCF_RESKEY_CRM_meta_clone_max", "3"),
        ("OCF_RESKEY_CRM_meta_promoted_max", "1"),
        ("OCF_RESKEY_CRM_meta_master_max", "1"),
        ("OCF_RESKEY_CRM_meta_name", "monitor"),
        ("OCF_RESKEY_CRM_meta_interval", "0"),
        ("OCF_RESKEY_CRM_meta_timeout", "15000"),
    ]);
    assert_eq!(found, expect);
}

#[tokio::test]
async fn the_child_s_setup() {
    let inherited = inheritable_fds();
    let mut bench = Bench::new();
    let root = bench.dir.path().display().to_string();
    let body = format!(
        "[ $# = 1 ] || exit 9
        read line && exit 8
        ps -o pgid= -p $$ >{root}/pgid; echo $$ >{root}/pid
        pwd >{root}/cwd
        grep SigIgn /proc/$$/status >{root}/ignored
        exec ls /proc/self/fd >{root}/fds"
    );
    assert_eq!(bench.outcome_of(&body, op("start")).await.rc, 0);
    assert_eq!(bench.text("pgid").trim(), bench.text("pid").trim());
    assert_eq!(
        bench.text("cwd").trim(),
        format!("{root}/var/lib/mainstay/cores")
    );
    let ignored = bench.text("ignored");
    let ignored = ignored.trim().trim_start_matches("SigIgn:").trim();
    let ignored = u64::from_str_radix(ignored, 16).unwrap();
    assert_eq!(
        ignored & SIGPIPE_BIT,
        0,
        "SIGPIPE must end agents: {ignored:x}"
    );
    // 0, 1, 2, and the one by which ls reads the directory.
    let fds = bench.text("fds");
    let extra: Vec<&str> = fds
        .lines()
        .filter(|fd| !["0", "1", "2", "3"].contains(fd) && !inherited.contains(*fd))
        .collect();
    assert!(extra.is_empty(), "{fds}");
}

#[tokio::test]
async fn one_resource_in_order_others_beside_it() {
    let mut bench = Bench::new();
    let root = bench.dir.path().display().to_string();
    // The first waits for a file that only the other resource's operation writes.
    bench.agent(
        "Agent",
        &format!(
            "if [ $OCF_RESOURCE_INSTANCE = r2 ]; then touch {root}/go; exit 0; fi
            echo begin $1 >>{root}/log
            while [ ! -e {root}/go ]; do sleep 0.01; done
            echo end $1 >>{root}/log"
        ),
    );
    let first = bench.run(op("start"));
    let second = bench.run(op("monitor"));
    let third = bench.run(op("stop"));
    assert!(first < second && second < third);
    until(|| bench.text("log") == "begin start\n").await;
    let waiting: Vec<(i32, bool)> = bench
        .executor
        .in_flight()
        .iter()
        .map(|f| (f.call_id, f.running))
        .collect();
    assert_eq!(waiting, [(first, true), (second, false), (third, false)]);
    bench.run(OpRequest {
        rsc: "r2".to_owned(),
        instance: "r2".to_owned(),
        ..op("start")
    });
    let mut ids = Vec::new();
    for _ in 0..4 {
        let finished = bench.finished().await;
        if finished.request.rsc == "r1" {
            ids.push(finished.outcome.call_id);
        }
    }
    assert_eq!(ids, [first, second, third]);
    assert_eq!(
        bench.text("log"),
        "begin start\nend start\nbegin monitor\nend monitor\nbegin stop\nend stop\n"
    );
    until(|| bench.executor.in_flight().is_empty()).await;
}

#[tokio::test]
async fn monitors_recur_and_tell_changes_only() {
    let mut bench = Bench::new();
    let root = bench.dir.path().display().to_string();
    bench.write("rc", 0o644, "0");
    bench.agent(
        "Agent",
        &format!("echo x >>{root}/runs; exit $(cat {root}/rc)"),
    );
    let call_id = bench.run(monitor(20));
    let first = bench.finished().await.outcome;
    assert_eq!((first.call_id, first.rc), (call_id, 0));
    until(|| bench.text("runs").lines().count() >= 4).await;
    assert!(
        bench.events.try_recv().is_err(),
        "an unchanged result is no news"
    );
    bench.write("rc", 0o644, "7");
    assert_eq!(bench.finished().await.outcome.rc, 7);
    let runs = bench.text("runs").lines().count();
    until(|| bench.text("runs").lines().count() >= runs + 3).await;
    assert!(
        bench.events.try_recv().is_err(),
        "nor is an unchanged failure"
    );
    bench.write("rc", 0o644, "0");
    assert_eq!(bench.finished().await.outcome.rc, 0);
    // Asked for anew: the first result counts again.
    let again = bench.run(monitor(20));
    assert_eq!(bench.finished().await.outcome.call_id, again);
    assert!(bench.executor.cancel("r1", "monitor", 20));
    assert!(!bench.executor.cancel("r1", "monitor", 20));
}

#[tokio::test]
async fn a_stop_ends_a_hanging_monitor_at_once() {
    let mut bench = Bench::new();
    let root = bench.dir.path().display().to_string();
    bench.agent(
        "Agent",
        &format!("[ $1 = stop ] && exit 0\necho $$ >{root}/pid; exec /bin/sleep 600"),
    );
    bench.run(OpRequest {
        timeout_ms: 600_000,
        ..monitor(10_000)
    });
    until(|| !bench.text("pid").is_empty()).await;
    let stop = bench.run(op("stop"));
    let finished = bench.finished().await;
    assert_eq!(finished.outcome.call_id, stop);
    let pid = bench.text("pid");
    until(|| !alive(&pid)).await;
    until(|| bench.executor.in_flight().is_empty()).await;
    assert!(!bench.executor.poke("r1"), "the monitor is gone for good");
}

#[tokio::test]
async fn a_poke_runs_the_monitor_now() {
    let mut bench = Bench::new();
    let root = bench.dir.path().display().to_string();
    bench.write("rc", 0o644, "0");
    bench.agent("Agent", &format!("exit $(cat {root}/rc)"));
    bench.run(monitor(3_600_000));
    assert_eq!(bench.finished().await.outcome.rc, 0);
    bench.write("rc", 0o644, "7");
    assert!(bench.executor.poke("r1"));
    assert_eq!(bench.finished().await.outcome.rc, 7);
}

#[tokio::test]
async fn a_start_delay_delays_what_follows_too() {
    let mut bench = Bench::new();
    bench.agent("Agent", "exit 0");
    let delayed = bench.run(OpRequest {
        start_delay_ms: 100,
        ..op("start")
    });
    let next = bench.run(op("monitor"));
    let first = bench.finished().await.outcome;
    assert_eq!(first.call_id, delayed);
    assert_eq!(bench.finished().await.outcome.call_id, next);
}

#[tokio::test]
async fn forget_and_shutdown_leave_nothing_behind() {
    let mut bench = Bench::new();
    let root = bench.dir.path().display().to_string();
    bench.agent(
        "Agent",
        &format!("/bin/sleep 600 & echo $! $$ >{root}/pids.$OCF_RESOURCE_INSTANCE; wait"),
    );
    bench.run(op("start"));
    bench.run(op("monitor"));
    bench.run(monitor(1000));
    until(|| !bench.text("pids.r1").is_empty()).await;
    bench.executor.forget("r1");
    for _ in 0..2 {
        let outcome = bench.finished().await.outcome;
        assert_eq!((outcome.rc, outcome.op_status), (193, 1));
    }
    until(|| bench.executor.in_flight().is_empty()).await;
    bench.run(OpRequest {
        rsc: "r2".to_owned(),
        instance: "r2".to_owned(),
        ..op("start")
    });
    until(|| !bench.text("pids.r2").is_empty()).await;
    bench.executor.shutdown().await;
    assert!(bench.events.try_recv().is_err());
    let pids = bench.text("pids.r1") + &bench.text("pids.r2");
    assert_eq!(pids.split_whitespace().count(), 4);
    for pid in pids.split_whitespace() {
        until(|| !alive(pid)).await;
    }
    assert!(matches!(
        bench.executor.run(op("start")),
        Err(ExecutorError::ShuttingDown { .. })
    ));
}

#[tokio::test]
async fn bounds_and_tokens_refuse() {
    let bench = Bench::new();
    bench.agent("Agent", "exec /bin/sleep 600");
    bench.run(op("start"));
    until(|| bench.executor.in_flight().iter().any(|f| f.running)).await;
    for _ in 0..LANE_QUEUE_MAX {
        bench.run(op("monitor"));
    }
    let refused = bench.executor.run(op("stop"));
    assert!(matches!(refused, Err(ExecutorError::QueueFull { .. })));
    bench.executor.forget("r1");
    assert!(bench.executor.run_under((3, 1), op("monitor")).is_ok());
    let refused = bench.executor.run_under((2, 9), op("monitor"));
    assert!(matches!(refused, Err(ExecutorError::StaleToken { .. })));
    bench.executor.promise((4, 0));
    let refused = bench.executor.run_under((3, 1), op("monitor"));
    assert!(matches!(refused, Err(ExecutorError::StaleToken { .. })));
    assert!(bench.executor.run_under((4, 0), op("monitor")).is_ok());
}

#[tokio::test]
async fn init_scripts() {
    let mut bench = Bench::new();
    bench.write(
        "etc/init.d/web",
        0o755,
        "#!/bin/sh\n[ $1 = status ] && exit 3\n[ $1 = start ] && exit 0\nexit 12\n",
    );
    let lsb = |class: &str, operation: &str| OpRequest {
        class: class.to_owned(),
        provider: None,
        kind: "web".to_owned(),
        ..op(operation)
    };
    let cases = [
        (lsb("lsb", "monitor"), 7),
        (lsb("lsb", "start"), 0),
        (lsb("lsb", "stop"), 1),
        (lsb("service", "monitor"), 7),
        (lsb("systemd", "monitor"), 5),
        (lsb("nagios", "monitor"), 6),
    ];
    for (request, rc) in cases {
        let what = format!("{} {}", request.class, request.operation);
        bench.run(request);
        let outcome = bench.finished().await.outcome;
        assert_eq!(outcome.rc, rc, "{what}: {}", outcome.exit_reason);
    }
}

#[test]
fn lsb_status_codes() {
    let cases = [
        (0, 0),
        (1, 7),
        (2, 7),
        (3, 7),
        (4, 1),
        (150, 5),
        (151, 4),
        (199, 1),
    ];
    for (code, rc) in cases {
        assert_eq!(lsb::map_rc("monitor", code), rc, "status {code}");
    }
    assert_eq!(lsb::map_rc("start", 5), 5);
    assert_eq!(lsb::map_rc("start", 8), 1);
}

struct Native {
    hang: Duration,
}

impl NativeAgent for Native {
    fn handles(&self, request: &OpRequest) -> Result<bool, String> {
        match request.params.get("odd") {
            Some(_) => Err("parameter odd is not known natively".to_owned()),
            None => Ok(request.kind == "Native"),
        }
    }

    fn run(&self, _: &OpRequest) -> (i32, String) {
        std::thread::sleep(self.hang);
        (8, "promoted, natively".to_owned())
    }
}

#[tokio::test]
async fn native_agents_come_first_and_fall_back_aloud_once() {
    let hang = Duration::ZERO;
    let mut bench = Bench::with_natives(vec![Arc::new(Native { hang })]);
    bench.agent("Native", "exit 7");
    let mut request = OpRequest {
        kind: "Native".to_owned(),
        ..op("monitor")
    };
    bench.run(request.clone());
    let outcome = bench.finished().await.outcome;
    assert_eq!(
        (outcome.rc, outcome.exit_reason.as_str()),
        (8, "promoted, natively")
    );
    request.params.insert("odd".to_owned(), "1".to_owned());
    bench.run(request.clone());
    let ExecutorEvent::Notice { rsc, text } = bench.event().await else {
        panic!("the fallback is told before the result");
    };
    assert_eq!(rsc, "r1");
    assert!(
        text.ends_with("parameter odd is not known natively"),
        "{text}"
    );
    assert_eq!(bench.finished().await.outcome.rc, 7);
    bench.run(request);
    assert_eq!(bench.finished().await.outcome.rc, 7);
}

#[tokio::test]
async fn a_slow_native_agent_times_out() {
    let hang = Duration::from_millis(400);
    let mut bench = Bench::with_natives(vec![Arc::new(Native { hang })]);
    bench.run(OpRequest {
        kind: "Native".to_owned(),
        timeout_ms: 20,
        ..op("start")
    });
    let outcome = bench.finished().await.outcome;
    assert_eq!((outcome.rc, outcome.op_status), (1, 2));
}

#[tokio::test]
async fn metadata_comes_whole() {
    let mut bench = Bench::new();
    let body =
        "echo '<resource-agent>'; head -c 20000 /dev/zero | tr '\\0' x; echo '</resource-agent>'";
    let outcome = bench.outcome_of(body, op("meta-data")).await;
    assert!(outcome.output.starts_with("<resource-agent>"));
    assert!(outcome.output.trim_end().ends_with("</resource-agent>"));
}
