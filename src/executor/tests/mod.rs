//! The executor with small agents in shell, written for each case.

mod kinds;
mod lanes;
mod process;

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
