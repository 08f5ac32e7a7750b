//! Order, recurrence and taking back.

use super::*;

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
    assert!(
        !bench.executor.poke("r1", "something"),
        "the monitor is gone for good"
    );
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
    assert!(bench.executor.poke("r1", "the kernel said so"));
    let outcome = bench.finished().await.outcome;
    assert_eq!(outcome.rc, 7);
    assert_eq!(outcome.exit_reason, "the kernel said so");
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
