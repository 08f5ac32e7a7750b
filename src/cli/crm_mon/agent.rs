//! `--external-agent`: a program that is run for every operation that ends, and with
//! `--watch-fencing` for every fencing (Pacemaker tools/crm_mon.c, `send_custom_trap`).

use crate::cli::exit::{Exit, Failure};
use crate::cli::fencings::{self, State};
use crate::cli::getopt::Found;
use crate::view::{self, Status};
use cib::Element;
use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};

/// What the program is told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Event {
    node: String,
    resource: String,
    task: String,
    text: String,
    rc: i32,
    wanted_rc: i32,
    status: i32,
}

/// The program, and what it was told of already.
#[derive(Debug)]
pub(super) struct Agent {
    program: String,
    recipient: String,
    fencing: bool,
    /// `None` before the first look: what lies behind us is no news.
    seen: Option<BTreeSet<String>>,
    running: Vec<Child>,
}

impl Agent {
    /// The program that the command line names.
    pub(super) fn of(found: &Found) -> Option<Self> {
        let text = |name| found.value(name).unwrap_or_default().to_owned();
        Some(Self {
            program: found.value("external-agent")?.to_owned(),
            recipient: text("external-recipient"),
            fencing: found.has("watch-fencing"),
            seen: None,
            running: Vec::new(),
        })
    }

    /// Runs the program for everything that is new.
    ///
    /// # Errors
    /// It cannot be run.
    pub(super) fn tell(&mut self, cib: &Element, status: &Status) -> Result<(), Failure> {
        self.running
            .retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        for event in self.news(cib, status) {
            if self.running.len() >= RUNNING_MAX {
                continue;
            }
            let child = self
                .command(&event)
                .spawn()
                .map_err(|e| Failure::new(Exit::NotInstalled, format!("{}: {e}", self.program)))?;
            self.running.push(child);
        }
        Ok(())
    }

    fn command(&self, event: &Event) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("CRM_notify_recipient", &self.recipient)
            .env("CRM_notify_node", &event.node)
            .env("CRM_notify_rsc", &event.resource)
            .env("CRM_notify_task", &event.task)
            .env("CRM_notify_desc", &event.text)
            .env("CRM_notify_rc", event.rc.to_string())
            .env("CRM_notify_target_rc", event.wanted_rc.to_string())
            .env("CRM_notify_status", event.status.to_string())
            .stdin(Stdio::null());
        command
    }

    fn news(&mut self, cib: &Element, status: &Status) -> Vec<Event> {
        let mut all = operations(cib);
        if self.fencing {
            all.extend(fenced(status));
        }
        let now: BTreeSet<String> = all.iter().map(|(key, _)| key.clone()).collect();
        let Some(seen) = self.seen.replace(now) else {
            return Vec::new();
        };
        let new = all.into_iter().filter(|(key, _)| !seen.contains(key));
        new.map(|(_, event)| event)
            .filter(|event| !is_quiet(event))
            .collect()
    }
}

/// A probe that found nothing, as expected, is worth no word.
fn is_quiet(event: &Event) -> bool {
    event.rc == event.wanted_rc && event.status == 0 && event.rc == 7
}

/// Operations of the status section that have ended, with what tells one run from the next.
fn operations(cib: &Element) -> Vec<(String, Event)> {
    let states = cib.first("status").into_iter();
    let states = states.flat_map(|s| s.all("node_state"));
    let mut found = Vec::new();
    for state in states {
        let node = state.attr("uname").unwrap_or_default();
        let resources = state.all("lrm").flat_map(|l| l.all("lrm_resources"));
        for resource in resources.flat_map(|r| r.all("lrm_resource")) {
            let id = resource.id().unwrap_or_default();
            for op in resource.all("lrm_rsc_op") {
                if let Some((key, event)) = operation(node, id, op) {
                    found.push((key, event));
                }
            }
        }
    }
    found
}

fn operation(node: &str, id: &str, op: &Element) -> Option<(String, Event)> {
    let number = |name: &str| op.attr(name).and_then(|v| v.parse::<i32>().ok());
    let (rc, status) = (number("rc-code")?, number("op-status")?);
    if status == PENDING {
        return None;
    }
    // `TRANSITION:ACTION:WANTED-RC:UUID`.
    let wanted = op.attr("transition-key")?.split(':').nth(2)?;
    let wanted_rc = wanted.parse().ok()?;
    let text = match status {
        0 if rc == wanted_rc => "OK",
        0 => view::ocf_code(rc),
        status => view::exec_status(status),
    };
    let part = |name| op.attr(name).unwrap_or_default();
    let key = format!(
        "{node} {id} {} {} {} {}",
        part("id"),
        part("call-id"),
        part("transition-magic"),
        part("last-rc-change")
    );
    let event = Event {
        node: node.to_owned(),
        resource: id.to_owned(),
        task: part("operation").to_owned(),
        text: text.to_owned(),
        rc,
        wanted_rc,
        status,
    };
    Some((key, event))
}

/// Fencings that are over.
fn fenced(status: &Status) -> Vec<(String, Event)> {
    let over = status.fencings.iter();
    let over = over.filter(|f| fencings::state(f) != State::Pending);
    let told = over.map(|f| {
        let failed = fencings::state(f) == State::Failed;
        let (rc, word) = if failed { (1, "failed") } else { (0, "OK") };
        let event = Event {
            node: f.target.clone(),
            task: f.action.clone(),
            text: format!("Operation {} of {}: {word}", f.action, f.target),
            rc,
            ..Event::default()
        };
        (format!("{f:?}"), event)
    });
    told.collect()
}

/// `op-status` of an operation that runs.
const PENDING: i32 = -1;
/// Programs running at once; of a flood of events some are left out.
const RUNNING_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn cib(ops: &str) -> Element {
        let text = format!(
            r#"<cib><status><node_state id="1" uname="n1"><lrm id="1"><lrm_resources><lrm_resource id="web">{ops}</lrm_resource></lrm_resources></lrm></node_state></status></cib>"#
        );
        cib::xml::parse(&text).unwrap()
    }

    fn op(operation: &str, call: u32, wanted: i32, rc: i32, status: i32) -> String {
        format!(
            r#"<lrm_rsc_op id="web_{operation}_0" operation="{operation}" call-id="{call}" transition-key="3:4:{wanted}:u" transition-magic="{status}:{rc};3:4:{wanted}:u" rc-code="{rc}" op-status="{status}"/>"#
        )
    }

    #[test]
    fn what_is_new_is_told_once() {
        let mut agent = Agent {
            program: String::new(),
            recipient: String::new(),
            fencing: false,
            seen: None,
            running: Vec::new(),
        };
        let mut news = |ops: &str| -> Vec<String> {
            let news = agent.news(&cib(ops), &Status::default());
            let told = news.iter();
            let told = told.map(|e| {
                format!(
                    "{} {} {} {} {}/{}/{}",
                    e.node, e.resource, e.task, e.text, e.rc, e.wanted_rc, e.status
                )
            });
            told.collect()
        };
        let probe = op("monitor", 1, 7, 7, 0);
        assert!(news(&op("stop", 9, 0, 0, 0)).is_empty(), "it is no news");
        assert!(news(&probe).is_empty(), "nothing was found, as expected");
        let start = op("start", 2, 0, 0, 0);
        let both = format!("{probe}{start}");
        assert_eq!(news(&both), ["n1 web start OK 0/0/0"]);
        assert!(news(&both).is_empty());
        let failed = op("monitor", 3, 0, 7, 0);
        assert_eq!(
            news(&format!("{both}{failed}")),
            ["n1 web monitor not running 7/0/0"]
        );
        assert!(news(&op("stop", 4, 0, 193, -1)).is_empty(), "it runs");
        assert_eq!(
            news(&op("stop", 4, 0, 1, 2)),
            ["n1 web stop Timed Out 1/0/2"]
        );
    }
}
