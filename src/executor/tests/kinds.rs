//! Init scripts, native agents and classes that are not served.

use super::*;

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
