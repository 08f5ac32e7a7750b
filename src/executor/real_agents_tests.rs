//! The executor with agents of the packages resource-agents and pacemaker-resource-agents, and
//! with our own demo service.

use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use tempfile::TempDir;

/// True when the agent is there; says so when it is not.
fn installed(provider: &str, kind: &str) -> bool {
    let path = ocf::agent_path(&Paths::below("/"), provider, kind);
    let there = path.exists();
    if !there {
        crate::skip::skip(
            "a real agent",
            &format!("{} is not installed", path.display()),
        );
    }
    there
}

fn op(provider: &str, kind: &str, operation: &str, params: &[(&str, &str)]) -> OpRequest {
    OpRequest {
        rsc: format!("mainstay-test-{}", std::process::id()),
        instance: format!("mainstay-test-{}", std::process::id()),
        class: "ocf".to_owned(),
        provider: Some(provider.to_owned()),
        kind: kind.to_owned(),
        operation: operation.to_owned(),
        timeout_ms: 60_000,
        params: params
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
        ..OpRequest::default()
    }
}

/// Runs operations one after the other.
pub(crate) async fn outcomes(paths: &Paths, requests: Vec<OpRequest>) -> Vec<OpOutcome> {
    let (sender, mut events) = mpsc::channel(16);
    let config = ExecutorConfig {
        paths: paths.clone(),
        node_name: "node1".to_owned(),
        natives: Vec::new(),
        environment: BTreeMap::new(),
    };
    let executor = Executor::new(config, sender);
    let mut found = Vec::new();
    for request in requests {
        executor.run(request).unwrap();
        match events.recv().await {
            Some(ExecutorEvent::Finished(finished)) => found.push(finished.outcome),
            other => panic!("expected a result, got {other:?}"),
        }
    }
    found
}

/// The real agents below a root of our own, so that no file of the machine is touched.
fn own_root() -> (TempDir, Paths) {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("usr/lib")).unwrap();
    symlink("/usr/lib/ocf", dir.path().join("usr/lib/ocf")).unwrap();
    let paths = Paths::below(dir.path());
    (dir, paths)
}

async fn dummy_life(provider: &str) {
    if !installed(provider, "Dummy") {
        return;
    }
    let (dir, paths) = own_root();
    let state = dir.path().join("state").display().to_string();
    let params = [("state", state.as_str())];
    let operations = [
        ("monitor", 7),
        ("start", 0),
        ("monitor", 0),
        ("start", 0),
        ("validate-all", 0),
        ("stop", 0),
        ("stop", 0),
        ("monitor", 7),
    ];
    let requests = operations
        .iter()
        .map(|(operation, _)| op(provider, "Dummy", operation, &params))
        .collect();
    let found = outcomes(&paths, requests).await;
    for ((operation, rc), outcome) in operations.iter().zip(&found) {
        assert_eq!(outcome.rc, *rc, "{provider} {operation}: {outcome:?}");
        assert_eq!(outcome.op_status, op_status::DONE);
    }
}

#[tokio::test]
async fn heartbeat_dummy() {
    dummy_life("heartbeat").await;
}

#[tokio::test]
async fn pacemaker_dummy() {
    dummy_life("pacemaker").await;
}

#[tokio::test]
async fn an_agent_s_own_reason_arrives() {
    if !installed("heartbeat", "Filesystem") {
        return;
    }
    let (_dir, paths) = own_root();
    let params = [("directory", "/nowhere")];
    let found = outcomes(
        &paths,
        vec![op("heartbeat", "Filesystem", "start", &params)],
    )
    .await;
    assert_ne!(found[0].rc, 0);
    assert!(!found[0].exit_reason.is_empty(), "{:?}", found[0]);
}

#[tokio::test]
async fn metadata_of_a_real_agent() {
    if !installed("heartbeat", "IPaddr2") {
        return;
    }
    let (_dir, paths) = own_root();
    let found = outcomes(&paths, vec![op("heartbeat", "IPaddr2", "meta-data", &[])]).await;
    assert_eq!(found[0].rc, 0, "{:?}", found[0]);
    assert!(found[0].output.contains("name=\"cidr_netmask\""));
    assert!(found[0].output.trim_end().ends_with("</resource-agent>"));
}

/// A stand-in for our own command, which unit tests cannot build.
const MAINSTAY: &str = r#"#!/bin/sh
[ "$1" = demo-web ] || exit 64
shift
pidfile= mode=serve
while [ $# -gt 0 ]; do
    case $1 in
    --pidfile) pidfile=$2; shift 2 ;;
    --port | --bind) shift 2 ;;
    --background) mode=background; shift ;;
    --check) mode=check; shift ;;
    *) shift ;;
    esac
done
here=${0%/*}
case $mode in
check) [ ! -e "$here/silent" ] || { echo "demo-web: no answer" >&2; exit 1; } ;;
background)
    [ ! -e "$here/taken" ] || { echo "demo-web: port taken" >&2; exit 1; }
    "$0" demo-web --pidfile "$pidfile" >/dev/null 2>&1 &
    while [ ! -e "$pidfile" ]; do sleep 0.01; done
    ;;
serve)
    echo $$ >"$pidfile.new" && mv "$pidfile.new" "$pidfile"
    trap 'exit 0' TERM
    while :; do sleep 0.05; done
    ;;
esac
"#;

#[tokio::test]
async fn the_demo_service() {
    let dir = TempDir::new().unwrap();
    let agents = dir.path().join("usr/lib/ocf/resource.d/mainstay");
    fs::create_dir_all(&agents).unwrap();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/ocf/demo-web");
    symlink(scripts, agents.join("demo-web")).unwrap();
    let paths = Paths::below(dir.path());
    let bin = paths.compat_bin();
    fs::create_dir_all(&bin).unwrap();
    let run = dir.path().join("run/web.pid").display().to_string();
    let params = [("pidfile", run.as_str())];
    let web = |operation: &str| op("mainstay", "demo-web", operation, &params);

    let absent = outcomes(&paths, vec![web("start"), web("monitor"), web("stop")]).await;
    let rcs: Vec<i32> = absent.iter().map(|o| o.rc).collect();
    assert_eq!(rcs, [5, 7, 0], "{absent:?}");
    assert!(absent[0].exit_reason.contains("mainstay is not in PATH"));

    fs::write(bin.join("mainstay"), MAINSTAY).unwrap();
    fs::set_permissions(bin.join("mainstay"), fs::Permissions::from_mode(0o755)).unwrap();
    let life = ["start", "monitor", "start", "stop", "monitor", "stop"];
    let found = outcomes(&paths, life.map(&web).to_vec()).await;
    let rcs: Vec<i32> = found.iter().map(|o| o.rc).collect();
    assert_eq!(rcs, [0, 0, 0, 0, 7, 0], "{found:?}");

    fs::write(bin.join("taken"), "").unwrap();
    let found = outcomes(&paths, vec![web("start")]).await;
    assert_eq!(found[0].rc, 1);
    assert_eq!(found[0].exit_reason, "demo-web: port taken");
    fs::remove_file(bin.join("taken")).unwrap();

    let found = outcomes(&paths, vec![web("start")]).await;
    assert_eq!(found[0].rc, 0, "{:?}", found[0]);
    fs::write(bin.join("silent"), "").unwrap();
    let found = outcomes(&paths, vec![web("monitor"), web("stop")]).await;
    assert_eq!((found[0].rc, found[1].rc), (1, 0));
    assert!(
        found[0].exit_reason.ends_with("but: demo-web: no answer"),
        "{:?}",
        found[0]
    );

    let mut wrong = web("start");
    wrong.params.insert("port".to_owned(), "http".to_owned());
    let found = outcomes(&paths, vec![wrong, web("meta-data"), web("dance")]).await;
    let rcs: Vec<i32> = found.iter().map(|o| o.rc).collect();
    assert_eq!(rcs, [6, 0, 3], "{found:?}");
}
