//! One run of an agent: how it is called and how its end is judged.

use super::*;

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
async fn metadata_comes_whole() {
    let mut bench = Bench::new();
    let body =
        "echo '<resource-agent>'; head -c 20000 /dev/zero | tr '\\0' x; echo '</resource-agent>'";
    let outcome = bench.outcome_of(body, op("meta-data")).await;
    assert!(outcome.output.starts_with("<resource-agent>"));
    assert!(outcome.output.trim_end().ends_with("</resource-agent>"));
}

#[tokio::test]
async fn what_agents_start_is_not_spared_when_memory_is_short() {
    let own = "/proc/self/oom_score_adj";
    let before = std::fs::read_to_string(own).unwrap();
    if std::fs::write(own, "-1").is_err() {
        println!("skipped: only root may have its own processes spared");
        return;
    }
    let mut bench = Bench::new();
    let file = bench.dir.path().join("adjusted").display().to_string();
    let body = format!("/bin/sleep 0.3; /bin/cat {own} >{file}");
    let outcome = bench.outcome_of(&body, op("start")).await;
    let _ = std::fs::write(own, before.trim());
    assert_eq!(outcome.rc, 0, "{}", outcome.output);
    assert_eq!(bench.text("adjusted").trim(), "0");
}
