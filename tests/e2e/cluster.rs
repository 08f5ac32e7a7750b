//! A lab with a cluster in it, and what the tests ask of it.

pub(crate) use crate::skip::skip;
use mainstay::ipc::{Change, Client, Edit, ErrorKind, Request, Response};
use mainstay::lab::{Lab, Options, Output, Seen, VIP};
use mainstay::paths::Paths;
use mainstay::view::Status;
use scheduler::{NodeStatus, ResourceStatus};
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The program that is daemon, command and agent in every node.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_mainstay-lab");
/// Bound of everything that a cluster does by itself. Generous: the machine may be busy, and a guest of
/// an overcommitted host stands still for seconds, again and again, for a minute and more.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// How long something must go on not happening.
pub(crate) const STILLNESS: Duration = Duration::from_millis(1500);

/// A running cluster; its lab ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    lab: Lab,
    _turn: Turn,
}

impl Cluster {
    /// A lab of `nodes` nodes that are all online with quorum; `None` where there can be none.
    pub(crate) fn up(test: &str, nodes: u8, change: impl FnOnce(&mut Options)) -> Option<Self> {
        let cluster = Self::lab(test, nodes, change)?;
        cluster.wait_online();
        Some(cluster)
    }

    /// A lab of `nodes` nodes whose power is still off, for tests that change files first.
    pub(crate) fn off(test: &str, nodes: u8) -> Option<Self> {
        Self::off_with(test, nodes, |_| ())
    }

    /// The same with options of its own.
    pub(crate) fn off_with(
        test: &str,
        nodes: u8,
        change: impl FnOnce(&mut Options),
    ) -> Option<Self> {
        Self::lab(test, nodes, |o| {
            o.powered_off = true;
            change(o);
        })
    }

    /// Switches every node on and waits until all are online, with quorum.
    pub(crate) fn power_on(&self) {
        self.poweron_all().unwrap();
        self.wait_online();
    }

    /// Edits a file in a node's directory, as on its disk; the change must be one.
    pub(crate) fn edit_file(&self, node: &str, file: &str, edit: impl FnOnce(&str) -> String) {
        let path = self.node_dir(node).join(file);
        let before = std::fs::read_to_string(&path).unwrap();
        let after = edit(&before);
        assert_ne!(before, after, "{} was to be changed", path.display());
        std::fs::write(&path, after).unwrap();
    }

    /// Puts an agent `ocf:mainstay:NAME` into every node; before they have power. `case` is the
    /// part of the script that is not as usual: a branch of `case $1 in`, with `$state` a file that
    /// is there while the resource runs.
    pub(crate) fn install_agent(&self, name: &str, case: &str) {
        let dir = self.dir().join("skeleton/usr-lib/ocf/resource.d/mainstay");
        let script = format!(
            "#!/bin/sh
state=/run/resource-agents/$OCF_RESOURCE_INSTANCE.state
case $1 in
{case}
start) touch $state; exit 0 ;;
stop) rm -f $state; exit 0 ;;
monitor) [ -e $state ] && exit 0; exit 7 ;;
meta-data) echo '<resource-agent name=\"{name}\"><actions/></resource-agent>'; exit 0 ;;
esac
exit 3
"
        );
        let path = dir.join(name);
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Puts a fence agent, a shell script, into every node; before they have power.
    pub(crate) fn install_fence_agent(&self, name: &str, script: &str) {
        let path = self.dir().join("skeleton/usr-sbin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn lab(test: &str, nodes: u8, change: impl FnOnce(&mut Options)) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            skip(test, "network namespaces need root");
            return None;
        }
        let turn = Turn::take();
        let mut options = Options::for_test(nodes, PROGRAM);
        change(&mut options);
        let lab = Lab::up(&options).unwrap_or_else(|e| panic!("the lab did not come up: {e}"));
        Some(Self { lab, _turn: turn })
    }

    /// Waits until every node that has power sees all of them online, with quorum.
    pub(crate) fn wait_online(&self) {
        let names = self.powered();
        for node in &names {
            self.wait_for(
                node,
                &format!("{} online, with quorum", names.join(" ")),
                |s| {
                    let missing: Vec<_> = names.iter().filter(|n| !is_online(s, n)).collect();
                    match (s.quorate, missing.is_empty()) {
                        (true, true) => Ok(()),
                        (quorate, _) => Err(format!("quorate: {quorate}, not online: {missing:?}")),
                    }
                },
            );
        }
    }

    /// Names of the nodes that have power.
    pub(crate) fn powered(&self) -> Vec<String> {
        let nodes = self.nodes().unwrap();
        let on = nodes.into_iter().filter(|n| n.running().is_ok());
        on.map(|n| n.name).collect()
    }

    /// A node that has power and is none of these.
    pub(crate) fn other_than(&self, not: &[&str]) -> String {
        let mut on = self.powered().into_iter();
        on.find(|n| !not.contains(&n.as_str()))
            .unwrap_or_else(|| panic!("no node but {not:?} has power"))
    }

    /// A node's root directory, as this machine reaches it; an error if the node has no power.
    fn root_of(&self, node: &str) -> Result<PathBuf, String> {
        let nodes = self.nodes().unwrap();
        let found = nodes.iter().find(|n| n.name == node).unwrap();
        let running = found.running().map_err(|e| format!("{node}: {e}"))?;
        Ok(format!("/proc/{}/root", running.pid).into())
    }

    /// Asks a node's daemon; the error says why there is no answer.
    pub(crate) fn ask(&self, node: &str, request: &Request) -> Result<Response, String> {
        let mut client = Client::connect(&Paths::below(self.root_of(node)?))
            .map_err(|e| format!("no daemon on {node}: {e}"))?;
        client
            .call(request)
            .map_err(|e| format!("no answer from {node}: {e}"))
    }

    /// The status as a node sees it.
    pub(crate) fn try_status(&self, node: &str) -> Result<Status, String> {
        match self.ask(node, &Request::Status)? {
            Response::Status(status) => Ok(*status),
            other => Err(format!("not a status: {other:?}")),
        }
    }

    /// As [`Cluster::try_status`] of a daemon that must answer.
    pub(crate) fn status(&self, node: &str) -> Status {
        self.try_status(node)
            .unwrap_or_else(|e| self.fail(node, &e))
    }

    /// Waits until `look` finds in a node's status what it looks for; its error is what was there
    /// instead.
    pub(crate) fn wait_for<T>(
        &self,
        node: &str,
        what: &str,
        mut look: impl FnMut(&Status) -> Result<T, String>,
    ) -> T {
        self.wait_until(&format!("{what}, as {node} sees it"), node, || {
            look(&self.try_status(node)?)
        })
    }

    /// Waits until `look` finds what it looks for; `node`'s log may have the reason if it does not.
    pub(crate) fn wait_until<T>(
        &self,
        what: &str,
        node: &str,
        mut look: impl FnMut() -> Result<T, String>,
    ) -> T {
        self.wait(what, PATIENCE)
            .log(&self.daemon_log(node))
            .until(|| Ok(look().map_or_else(Seen::NotYet, Seen::Yes)))
            .unwrap_or_else(|e| panic!("{e}"))
    }

    /// Waits until the cluster rests with a resource on exactly one node, other than `not`.
    pub(crate) fn wait_started(&self, node: &str, resource: &str, not: Option<&str>) -> String {
        let elsewhere = not
            .map(|n| format!(" elsewhere than on {n}"))
            .unwrap_or_default();
        self.wait_for(node, &format!("{resource} started{elsewhere}"), |s| {
            let place = started_once(s, resource, not)?;
            self.wait_idle(node);
            // What was left to do may have moved it.
            let rested = started_once(&self.try_status(node)?, resource, not)?;
            match rested == place {
                true => Ok(place),
                false => Err(format!("{resource} moved from {place} to {rested}")),
            }
        })
    }

    /// Waits until the cluster rests with a resource on `place`, where it is to be.
    pub(crate) fn wait_started_on(&self, node: &str, resource: &str, place: &str) {
        self.wait_for(
            node,
            &format!("{resource} started on {place}"),
            |s| match started_once(s, resource, None)? {
                found if found == place => Ok(()),
                other => Err(format!("{resource} runs on {other}")),
            },
        );
        self.wait_idle(node);
    }

    /// Waits until nothing is left to do.
    pub(crate) fn wait_idle(&self, node: &str) {
        let timeout_ms = REST_MS;
        self.wait_until("the cluster to come to rest", node, || {
            match self.ask(node, &Request::WaitIdle { timeout_ms }) {
                Ok(Response::Done { .. }) => Ok(()),
                // On a machine that stands still again and again nobody leads for long.
                Ok(Response::Error {
                    kind: ErrorKind::TimedOut,
                    text,
                }) => Err(text),
                Ok(other) => self.fail(node, &format!("expected it to come to rest: {other:?}")),
                // The node itself may be the one that is recovered.
                Err(e) => Err(e.to_string()),
            }
        });
    }

    /// The configuration as a node has it.
    pub(crate) fn cib(&self, node: &str) -> cib::Cib {
        match self.ask(node, &Request::Cib { status: false }) {
            Ok(Response::Cib { xml }) => cib::Cib::parse(&xml).unwrap(),
            other => self.fail(node, &format!("expected the CIB: {other:?}")),
        }
    }

    /// Changes the configuration through a node's daemon; the answer may be a refusal.
    pub(crate) fn edit(
        &self,
        node: &str,
        edit: impl FnOnce(&mut cib::Cib),
    ) -> Result<Response, String> {
        let mut cib = self.cib(node);
        let base = (cib.version().admin_epoch, cib.version().epoch);
        edit(&mut cib);
        let configuration = cib.root().first("configuration").unwrap();
        self.replace(node, cib::xml::compact(configuration), Some(base))
    }

    /// As [`Cluster::edit`], where the change must be made.
    pub(crate) fn must_edit(&self, node: &str, edit: impl Fn(&mut cib::Cib)) {
        // The cluster writes, too, about nodes that come and go: whoever is beaten edits again. And on a
        // machine that stood still there is no quorum for a moment. Neither changes anything.
        self.wait_until("the change to be made", node, || {
            match self.edit(node, &edit) {
                Ok(Response::Changed { .. }) => Ok(()),
                Ok(Response::Error {
                    kind: ErrorKind::Conflict | ErrorKind::NoQuorum,
                    text,
                }) => Err(text),
                other => self.fail(node, &format!("expected the change to be made: {other:?}")),
            }
        });
    }

    /// Waits until the kernel of that node, and no other, has the floating IP. It is no promise for an
    /// instant: the lease may lapse for a moment on a machine that stands still.
    pub(crate) fn wait_sole_holder(&self, holder: &str) {
        self.wait_until("one holder in the kernels", holder, || {
            match self.holders(VIP).unwrap() {
                one if one == [holder] => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }

    /// Puts a whole `<configuration>` in place of the one there is.
    pub(crate) fn replace(
        &self,
        node: &str,
        configuration: String,
        base: Option<(u64, u64)>,
    ) -> Result<Response, String> {
        let mut op = [0; 16];
        getrandom::fill(&mut op).unwrap();
        let change = Change {
            op,
            base,
            edit: Edit::Configuration(configuration),
            client: "e2e".to_owned(),
            user: "root".to_owned(),
        };
        self.ask(node, &Request::Change(change))
    }

    /// Runs a shell line in a node, which may fail.
    pub(crate) fn sh(&self, node: &str, line: &str) -> Output {
        self.exec(node, &["sh", "-c", line])
            .unwrap_or_else(|e| panic!("`{line}` on {node}: {e}"))
    }

    /// Runs a shell line in a node, which must not; what it printed.
    pub(crate) fn run(&self, node: &str, line: &str) -> String {
        let output = self.sh(node, line);
        if !output.ok() {
            self.fail(node, &format!("expected `{line}` to succeed: {output:?}"));
        }
        output.stdout
    }

    /// A node's log so far.
    pub(crate) fn log_of(&self, node: &str) -> String {
        std::fs::read_to_string(self.daemon_log(node)).unwrap_or_default()
    }

    /// Ends the test: what was wrong, and where to look.
    pub(crate) fn fail(&self, node: &str, what: &str) -> ! {
        panic!("{what} (log: {})", self.daemon_log(node).display())
    }
}

impl Deref for Cluster {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl Drop for Cluster {
    /// The ends of the logs go with the failure: in CI the files are gone.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for node in self.nodes().unwrap_or_default() {
            let log = self.log_of(&node.name);
            let lines: Vec<_> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_LINES)..];
            eprintln!("--- end of {}'s log\n{}", node.name, tail.join("\n"));
        }
    }
}

/// Says that something is not tried, for want of a program of other people's that a machine need
/// not have: no failure anywhere.
pub(crate) fn not_here(what: &str, why: &str) {
    eprintln!("{what}: skipped, {why}");
}

/// True when the node is in the membership and takes part.
pub(crate) fn is_online(status: &Status, node: &str) -> bool {
    node_of(status, node).is_some_and(|n| n.online)
}

/// A node in a status.
pub(crate) fn node_of<'a>(status: &'a Status, node: &str) -> Option<&'a NodeStatus> {
    status.nodes.iter().find(|n| n.name == node)
}

/// A resource in a status, at whatever depth.
pub(crate) fn resource<'a>(status: &'a Status, id: &str) -> Option<&'a ResourceStatus> {
    fn find<'a>(among: &'a [ResourceStatus], id: &str) -> Option<&'a ResourceStatus> {
        among.iter().find_map(|r| {
            if r.id == id {
                Some(r)
            } else {
                find(&r.children, id)
            }
        })
    }
    find(&status.resources, id)
}

/// Nodes on which a resource is started.
pub(crate) fn started_on(status: &Status, id: &str) -> Vec<String> {
    resource(status, id)
        .filter(|r| r.role == "Started")
        .map(|r| r.nodes.clone())
        .unwrap_or_default()
}

/// The one node on which a resource is started, other than `not`.
fn started_once(status: &Status, id: &str, not: Option<&str>) -> Result<String, String> {
    match started_on(status, id).as_slice() {
        [one] if Some(one.as_str()) != not => Ok(one.clone()),
        other => Err(format!("{id} runs on {other:?}; {}", brief(status))),
    }
}

/// A status in a line, for messages.
pub(crate) fn brief(status: &Status) -> String {
    let nodes: Vec<_> = status
        .nodes
        .iter()
        .map(|n| {
            let marks = [
                (n.online, "online"),
                (n.pending, "pending"),
                (n.unclean, "unclean"),
                (n.standby, "standby"),
            ];
            let marks: Vec<_> = marks.iter().filter(|m| m.0).map(|m| m.1).collect();
            format!("{}({})", n.name, marks.join(","))
        })
        .collect();
    let resources: Vec<_> = status
        .resources
        .iter()
        .map(|r| format!("{}={}@{}", r.id, r.role, r.nodes.join("+")))
        .collect();
    let notices: Vec<_> = status.notices.iter().map(|n| n.text.as_str()).collect();
    format!(
        "state {}, DC {:?}, quorate {}; {}; {}; notices: {}",
        status.local_state,
        status.dc,
        status.quorate,
        nodes.join(" "),
        resources.join(" "),
        notices.join(" | ")
    )
}

/// One of the labs that may run at a time.
#[derive(Debug)]
struct Turn;

static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

impl Turn {
    fn take() -> Self {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = FREED
            .wait_while(taken, |taken| *taken >= LABS_MAX)
            .unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREED.notify_one();
    }
}

/// Labs at a time: more only make each other late.
const LABS_MAX: usize = 2;
/// One request to wait for rest, in milliseconds.
const REST_MS: u64 = 60_000;
/// Lines of each node's log that are printed with a failure.
const LOG_LINES: usize = 30;
