//! The kernel's events: a thread that watches over the floating addresses, and what the loop makes
//! of its words.
//!
//! The thread puts back what was removed before it says so (`vip::Guard`), because the loop may be
//! busy and an address that does not answer cannot wait. The loop records what happened, and has
//! the monitors of everything else that is concerned run now.

use super::app::{App, now_s};
use super::peer::NodeTell;
use crate::executor::{OpFinished, OpOutcome, OpRequest, ocf_rc};
use crate::view::SwitchStatus;
use crate::vip::{Guard, Mishap, NO_CARRIER, NativeVip, nonlocal};
use cib::Cib;
use cib::config::{Config, Kind, Op, Resource};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The watching thread; ends when dropped.
pub(super) struct Watcher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Watches over what `vip` holds, in the calling thread's network namespace.
    ///
    /// # Errors
    /// The system refuses sockets or a thread: everything is then seen at its next monitor only.
    pub(super) fn start(
        vip: Arc<NativeVip>,
        words: mpsc::Sender<Mishap>,
    ) -> Result<Self, netlink::Error> {
        // The events' socket is there before the first look: nothing falls between the two.
        let watch = netlink::Watch::open()?;
        let guard = Guard::new(vip)?;
        let stop = Arc::new(AtomicBool::new(false));
        let watching = Watching {
            watch,
            guard,
            words,
            stop: Arc::clone(&stop),
        };
        let thread = std::thread::Builder::new()
            .name("vip-watch".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || watching.run())
            .map_err(|source| netlink::Error::Io {
                what: "start the thread that watches over addresses".to_owned(),
                source,
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; there is nothing left to undo.
            drop(thread.join());
        }
    }
}

struct Watching {
    watch: netlink::Watch,
    guard: Guard,
    words: mpsc::Sender<Mishap>,
    stop: Arc<AtomicBool>,
}

impl Watching {
    fn run(mut self) {
        if let Err(error) = netlink::make_thread_realtime(REALTIME_PRIORITY) {
            tracing::info!("addresses are watched without real-time priority: {error}");
        }
        let mut look_at = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            if now >= look_at {
                let mishaps = self.guard.look();
                self.tell(mishaps);
                look_at = now + LOOK_EVERY;
            }
            let wait = look_at.saturating_duration_since(now).min(STOP_WITHIN);
            match self.watch.next(wait) {
                Ok(Some(change)) => {
                    if change == netlink::Change::Lost {
                        tracing::info!(
                            "the kernel's events came too fast: everything is looked at"
                        );
                    }
                    let mishaps = self.guard.on_change(change);
                    self.tell(mishaps);
                }
                Ok(None) => {}
                Err(error) => self.open_anew(&error),
            }
        }
    }

    /// What was missed meanwhile is found by a look.
    fn open_anew(&mut self, error: &netlink::Error) {
        tracing::warn!(%error, "the kernel's events stopped; listening anew");
        std::thread::sleep(REOPEN_PAUSE);
        if let Ok(watch) = netlink::Watch::open() {
            self.watch = watch;
        }
        let mishaps = self.guard.look();
        self.tell(mishaps);
    }

    fn tell(&self, mishaps: Vec<Mishap>) {
        let full = |word| {
            // The loop has ended when nobody listens.
            let sent = self.words.try_send(word);
            matches!(sent, Err(mpsc::error::TrySendError::Full(_)))
        };
        let lost = mishaps.into_iter().filter(|m| full(m.clone())).count();
        if lost > 0 {
            tracing::warn!(
                lost,
                "more happened to addresses than the daemon can take: their monitors will tell"
            );
        }
    }
}

impl App {
    /// The watching thread tells of an address.
    pub(super) fn on_mishap(&mut self, mishap: Mishap) {
        match mishap {
            Mishap::Restored {
                resource,
                cause,
                took,
            } => self.restored(&resource, &cause, took),
            Mishap::Trouble { resource, cause } => {
                tracing::warn!(rsc = resource, "{cause}: its monitor runs now");
                if !self.local.executor.poke(&resource, &cause) {
                    self.look_without_monitor(&resource, &cause);
                }
            }
            Mishap::Better { resource, cause } => {
                tracing::info!(rsc = resource, "{cause}: announced anew");
                self.local.executor.poke(&resource, &cause);
            }
            Mishap::LinkWorks { link } => self.forgive_starts_on(&link),
        }
    }

    /// Starts that failed here for want of a carrier count no longer. Else a switch that is switched
    /// off and on would leave an address down everywhere until somebody cleans up.
    fn forgive_starts_on(&mut self, link: &str) {
        let reason = format!("{link} {NO_CARRIER}");
        let wanted_carrier = |op: &cib::Element| {
            op.attr("operation") == Some("start")
                && op.attr("rc-code") != Some("0")
                && op
                    .attr("exit-reason")
                    .is_some_and(|r| r.starts_with(&reason))
        };
        let elements = self.local.history.elements().into_iter();
        let elements = elements.filter(|lrm| lrm.children.iter().any(wanted_carrier));
        let resources: Vec<String> = elements.filter_map(|e| e.id().map(str::to_owned)).collect();
        for resource in resources {
            let why = format!("{link} has its carrier again: {resource} may be started here");
            tracing::info!("{why}");
            let start = Some(("start", 0));
            let changed = self.local.history.clear_failures(&resource, start);
            let items = self.publish_changed(&changed);
            self.tell_dc(NodeTell::Changed { why, items });
        }
    }

    /// A failure that is over when it is told: recorded as the monitor would have found it, and
    /// followed by the success that it finds now. So the failure counts and is shown, and whether
    /// the resource has to move (`migration-threshold`) is the scheduler's to say, which sees a
    /// running resource.
    fn restored(&mut self, resource: &str, cause: &str, took: Duration) {
        let took_us = took.as_micros();
        tracing::warn!(rsc = resource, took_us, "{cause}");
        let Some((request, call_id)) = self.watched_by(resource) else {
            return;
        };
        let result = |rc, reason: &str| OpFinished {
            request: request.clone(),
            outcome: OpOutcome {
                call_id,
                rc,
                exit_reason: reason.to_owned(),
                started_at: now_s(),
                ..OpOutcome::default()
            },
        };
        let failed = result(ocf_rc::NOT_RUNNING, cause);
        let mut items = self.record(&failed);
        self.alert_operation(&failed);
        if request.interval_ms > 0 {
            items.extend(self.record(&result(ocf_rc::OK, "")));
        }
        self.tell_dc(NodeTell::Changed {
            why: format!("{resource}: {cause}"),
            items,
        });
    }

    /// Sets the kernel's switches as the configuration wants them.
    pub(super) fn nonlocal_bind_changed(&mut self) {
        let wants = nonlocal::wants(self.replica.cib());
        let news = self.local.nonlocal.want(wants);
        let in_order = |s: &SwitchStatus| s.trouble.is_empty();
        if self.local.nonlocal.status().iter().all(in_order) {
            self.notices.clear(nonlocal::PROPERTY);
        }
        for why in news {
            self.notice(nonlocal::PROPERTY, why);
        }
    }

    /// The monitor that stands for a resource, with its call id.
    fn watched_by(&self, resource: &str) -> Option<(OpRequest, i32)> {
        let monitors = self.local.executor.recurring(resource).into_iter();
        let monitors = monitors.filter(|(r, _)| r.operation == "monitor" && r.target_rc == 0);
        monitors.min_by_key(|(r, _)| r.interval_ms)
    }

    /// A resource that has no monitor is looked at once, as a probe does it.
    fn look_without_monitor(&mut self, resource: &str, cause: &str) {
        let Some(known) = self.local.vip.request_of(resource) else {
            return;
        };
        let request = OpRequest {
            operation: "monitor".to_owned(),
            interval_ms: 0,
            start_delay_ms: 0,
            target_rc: 0,
            transition_key: String::new(),
            ..known
        };
        if let Err(error) = self.local.executor.run(request) {
            tracing::warn!(rsc = resource, cause, %error, "not looked at");
        }
    }
}

/// Resources whose addresses are not to be put back when somebody removes them: the cluster keeps
/// its hands off, or their failure is to be answered otherwise than by a new start.
pub(super) fn hands_off(cib: &Cib, node: &str) -> BTreeSet<String> {
    let config = Config::new(cib);
    let yes = |value: Option<&str>| value.is_some_and(|v| cib::value::parse_bool(v) == Ok(true));
    let no = |value: Option<&str>| value.is_some_and(|v| cib::value::parse_bool(v) == Ok(false));
    let here = config.node(node);
    let resting = here.is_some_and(|n| yes(n.attributes.get("maintenance").copied()));
    let all = resting || yes(config.property("maintenance-mode"));
    let managed_default = !no(config.property("is-managed-default"));
    let primitives = config.resources().into_iter();
    let primitives = primitives.filter(|r| r.kind == Kind::Primitive);
    let untouched = |resource: &Resource<'_>| {
        let meta = config.meta(resource);
        let managed = match meta.get("is-managed") {
            Some(value) => !no(Some(value)),
            None => managed_default,
        };
        all || !managed || yes(meta.get("maintenance").copied()) || {
            let monitors = config.ops(resource).into_iter();
            let mut monitors = monitors.filter(|op| op.name == "monitor");
            monitors.any(|op| !is_restart(&config, &op))
        }
    };
    let untouched = primitives.filter(untouched);
    untouched.map(|r| r.id.to_owned()).collect()
}

/// The operation's failure is answered by stop and start, here or elsewhere.
fn is_restart(config: &Config<'_>, op: &Op<'_>) -> bool {
    let nested = op.element.all("meta_attributes");
    let mut nested = nested.flat_map(|set| set.all("nvpair"));
    let nested = nested.find(|nv| nv.attr("name") == Some("on-fail"));
    let own = op.element.attr("on-fail");
    let own = own.or_else(|| nested.and_then(|nv| nv.attr("value")));
    let defaults: BTreeMap<_, _> = config.op_defaults().into_iter().collect();
    let on_fail = own.or_else(|| defaults.get("on-fail").copied());
    matches!(on_fail, None | Some("restart" | "restart-container"))
}

/// Time between two looks at what is held, whatever the kernel told.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long the thread may take to notice that the daemon ends.
const STOP_WITHIN: Duration = Duration::from_millis(100);
/// Before a socket that broke is replaced.
const REOPEN_PAUSE: Duration = Duration::from_millis(100);
/// Below the protocol's: an address that is missed is urgent, a heartbeat is more so.
const REALTIME_PRIORITY: i32 = 40;
/// Stack of the thread.
const STACK_BYTES: usize = 256 * 1024;
/// Words that may wait for the loop: a flush of a thousand addresses fits.
pub(super) const WORDS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn cib(crm_config: &str, primitive: &str) -> Cib {
        let xml = format!(
            "<cib admin_epoch=\"0\" epoch=\"0\" num_updates=\"0\"><configuration><crm_config><cluster_property_set id=\"o\">{crm_config}</cluster_property_set></crm_config><nodes><node id=\"1\" uname=\"n1\"/></nodes><resources><primitive id=\"ip\" class=\"ocf\" provider=\"heartbeat\" type=\"IPaddr2\">{primitive}</primitive></resources><constraints/></configuration><status/></cib>"
        );
        Cib::parse(&xml).unwrap()
    }

    #[test]
    fn an_address_is_put_back_only_where_its_failure_means_a_restart() {
        let monitor = |on_fail: &str| {
            format!(
                "<operations><op id=\"m\" name=\"monitor\" interval=\"10s\"{on_fail}/></operations>"
            )
        };
        let meta = |name: &str, value: &str| {
            format!(
                "<meta_attributes id=\"a\"><nvpair id=\"b\" name=\"{name}\" value=\"{value}\"/></meta_attributes>"
            )
        };
        let property = |name: &str, value: &str| {
            format!("<nvpair id=\"p\" name=\"{name}\" value=\"{value}\"/>")
        };
        let none = String::new;
        let table = [
            (none(), none(), false),
            (none(), monitor(""), false),
            (none(), monitor(" on-fail=\"restart\""), false),
            (none(), monitor(" on-fail=\"block\""), true),
            (none(), monitor(" on-fail=\"stop\""), true),
            (none(), monitor(" on-fail=\"ignore\""), true),
            (none(), monitor(" on-fail=\"fence\""), true),
            (none(), monitor(" on-fail=\"standby\""), true),
            (none(), meta("is-managed", "false"), true),
            (none(), meta("maintenance", "true"), true),
            (property("maintenance-mode", "true"), none(), true),
            (property("is-managed-default", "false"), none(), true),
            (
                property("is-managed-default", "false"),
                meta("is-managed", "true"),
                false,
            ),
        ];
        for (config, primitive, expected) in table {
            let untouched = hands_off(&cib(&config, &primitive), "n1");
            assert_eq!(untouched.contains("ip"), expected, "{config} {primitive}");
        }
    }
}
