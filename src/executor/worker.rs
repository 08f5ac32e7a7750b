//! A lane's worker: takes the lane's next step, runs it, tells the result.

use super::api::{OpFinished, OpOutcome, OpRequest};
use super::outcome::{Verdict, judge, ocf_rc, op_status, readable, uniform_rc};
use super::process::{self, EXIT_REASON_BYTES_MAX, printable};
use super::queue::{Job, Step};
use super::{ExecutorEvent, NATIVE_OVERTIME_MAX, NativeAgent, Shared, lsb, ocf};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

/// Serves one resource until nothing is left to do for it.
pub(super) async fn serve(shared: Arc<Shared>, rsc: String) {
    loop {
        let step = shared.state().lanes.next(&rsc, Instant::now());
        match step {
            Step::End => return,
            Step::TellCancelled(job) => tell(&shared, *job, cancelled()).await,
            Step::Wait(until, wake) => {
                tokio::select! {
                    () = sleep_until(until) => {}
                    () = wake.notified() => {}
                }
            }
            Step::Run(job, stop) => run_job(&shared, *job, stop).await,
        }
    }
}

async fn run_job(shared: &Arc<Shared>, job: Job, stop: Arc<Notify>) {
    let native = native_for(shared, &job.request).await;
    // A bound on processes, not on work in this one: an address must not wait for slow agents.
    let permit = if native.is_some() {
        None
    } else {
        tokio::select! {
            permit = shared.permits.acquire() => permit.ok(),
            () = stop.notified() => return abandon(shared, job).await,
        }
    };
    let started = Instant::now();
    let started_at = epoch_seconds();
    let verdict = match native {
        Some(agent) => run_native(shared, agent, &job.request).await,
        None => run_program(shared, &job.request, stop).await,
    };
    drop(permit);
    let Some(verdict) = verdict else {
        return abandon(shared, job).await;
    };
    let outcome = OpOutcome {
        rc: verdict.rc,
        op_status: verdict.op_status,
        exit_reason: reason_of(&job, &verdict),
        started_at,
        exec_ms: millis(started, Instant::now()),
        queue_ms: millis(job.queued_at.max(job.not_before), started),
        output: verdict.output,
        ..OpOutcome::default()
    };
    let (rc, op_status) = (outcome.rc, outcome.op_status);
    let news = shared
        .state()
        .lanes
        .completed(&job, rc, op_status, Instant::now());
    if news {
        tell(shared, job, outcome).await;
    }
}

/// The agent's reason for what was not expected, and what the kernel told before.
fn reason_of(job: &Job, verdict: &Verdict) -> String {
    let said = &verdict.reason;
    let as_expected = verdict.op_status == op_status::DONE && verdict.rc == job.request.target_rc;
    let text = match job.cause.as_ref().filter(|_| !as_expected) {
        None => said.clone(),
        Some(cause) if said.is_empty() => cause.clone(),
        Some(cause) => format!("{said}: {cause}"),
    };
    printable(&text, EXIT_REASON_BYTES_MAX)
}

async fn abandon(shared: &Shared, job: Job) {
    let told = {
        let mut state = shared.state();
        state.lanes.abandoned(&job) && !state.closing
    };
    if told {
        tell(shared, job, cancelled()).await;
    }
}

async fn tell(shared: &Shared, job: Job, outcome: OpOutcome) {
    let finished = Box::new(OpFinished {
        outcome: OpOutcome {
            call_id: job.call_id,
            ..outcome
        },
        request: job.request,
    });
    // The receiver is gone only when the daemon is.
    let _ = shared.events.send(ExecutorEvent::Finished(finished)).await;
}

fn cancelled() -> OpOutcome {
    OpOutcome {
        rc: ocf_rc::UNKNOWN,
        op_status: op_status::CANCELLED,
        exit_reason: "taken back before it ended".to_owned(),
        started_at: epoch_seconds(),
        ..OpOutcome::default()
    }
}

/// The native agent that serves this operation. Why one will not is told once.
async fn native_for(shared: &Shared, request: &OpRequest) -> Option<Arc<dyn NativeAgent>> {
    for native in &shared.config.natives {
        match native.handles(request) {
            Ok(true) => return Some(native.clone()),
            Ok(false) => {}
            Err(reason) => {
                let text = format!("served by the real agent instead of natively: {reason}");
                let text = printable(&text, NOTICE_BYTES_MAX);
                if shared.state().lanes.first_told(&request.rsc, &text) {
                    let rsc = request.rsc.clone();
                    let _ = shared
                        .events
                        .send(ExecutorEvent::Notice { rsc, text })
                        .await;
                }
            }
        }
    }
    None
}

async fn run_native(
    shared: &Shared,
    agent: Arc<dyn NativeAgent>,
    request: &OpRequest,
) -> Option<Verdict> {
    let allowed = ocf::timeout_of(request);
    let together = shared.together.iter().find(|t| t.is_of(&agent));
    if let Some(answer) = together.and_then(|t| t.hand_in(request)) {
        match timeout(allowed, answer).await {
            Ok(Ok(Some((rc, reason)))) => {
                return Some(Verdict::refused(rc, op_status::DONE, reason));
            }
            // It needs a thread of its own, or the common one has panicked.
            Ok(Ok(None) | Err(_)) => {}
            Err(_) => return Some(too_late(allowed)),
        }
    }
    let for_thread = request.clone();
    let mut thread = tokio::task::spawn_blocking(move || agent.run(&for_thread));
    let verdict = match timeout(allowed, &mut thread).await {
        Ok(Ok((rc, reason))) => Verdict::refused(rc, op_status::DONE, reason),
        Ok(Err(panicked)) => Verdict::refused(
            ocf_rc::GENERIC,
            op_status::ERROR,
            format!("native agent failed: {panicked}"),
        ),
        Err(_) => {
            // It cannot be killed; the resource's next operation should not meet it half-way.
            let _ = timeout(NATIVE_OVERTIME_MAX, thread).await;
            too_late(allowed)
        }
    };
    Some(verdict)
}

fn too_late(allowed: Duration) -> Verdict {
    let reason = format!("native agent did not complete within {}", readable(allowed));
    Verdict::refused(ocf_rc::GENERIC, op_status::TIMEOUT, reason)
}

/// `None` = cancelled.
async fn run_program(shared: &Shared, request: &OpRequest, stop: Arc<Notify>) -> Option<Verdict> {
    let init_script = || is_init_script(shared, request);
    match request.class.as_str() {
        "ocf" => run_ocf(shared, request, stop).await,
        "lsb" => run_lsb(shared, request, stop).await,
        "service" if init_script() => run_lsb(shared, request, stop).await,
        "service" | "systemd" => Some(systemd_not_served(request)),
        "stonith" => shared.devices.run(&shared.fencing, request, stop).await,
        class => Some(Verdict::refused(
            ocf_rc::NOT_CONFIGURED,
            op_status::INVALID,
            format!("resource class {class} is not known: ocf, lsb, service, systemd, stonith are"),
        )),
    }
}

async fn run_ocf(shared: &Shared, request: &OpRequest, stop: Arc<Notify>) -> Option<Verdict> {
    let spec = match ocf::command(request, &shared.config.paths, &shared.base, &shared.cwd) {
        Ok(spec) => spec,
        Err(verdict) => return Some(verdict),
    };
    let (program, allowed) = (spec.program.clone(), spec.timeout);
    let result = process::run(spec, stop).await;
    let metadata = String::from_utf8_lossy(&result.stdout).into_owned();
    let absent = |error: &std::io::Error| ocf::absent(request, &program, error);
    let mut verdict = judge(result, allowed, "Resource agent", uniform_rc, absent)?;
    if request.operation == "meta-data" {
        verdict.output = metadata;
    }
    Some(verdict)
}

async fn run_lsb(shared: &Shared, request: &OpRequest, stop: Arc<Notify>) -> Option<Verdict> {
    let spec = match lsb::command(request, &shared.config.paths, &shared.base, &shared.cwd) {
        Ok(spec) => spec,
        Err(verdict) => return Some(verdict),
    };
    let (program, allowed): (PathBuf, _) = (spec.program.clone(), spec.timeout);
    let result = process::run(spec, stop).await;
    let map = |code| lsb::map_rc(&request.operation, code);
    judge(result, allowed, "Init script", map, |error| {
        let name = format!("lsb:{}", request.kind);
        let hint = "install the package that provides it on this node";
        ocf::not_started(&name, &program, error, hint)
    })
}

fn is_init_script(shared: &Shared, request: &OpRequest) -> bool {
    ocf::is_file_name(&request.kind) && shared.config.paths.init_d().join(&request.kind).is_file()
}

fn systemd_not_served(request: &OpRequest) -> Verdict {
    Verdict::refused(
        ocf_rc::NOT_INSTALLED,
        op_status::NOT_INSTALLED,
        format!(
            "{}:{} cannot run: systemd units are not served yet; use an ocf agent, for example \
             ocf:heartbeat:anything, or an init script",
            request.class, request.kind
        ),
    )
}

/// For the history only; no protocol depends on this clock.
fn epoch_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

fn millis(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX)
}

const NOTICE_BYTES_MAX: usize = 1024;
