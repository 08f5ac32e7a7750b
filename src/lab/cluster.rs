//! The lab itself: up, down, power, cables, freezing, commands.

use super::control::{self, DaemonStatus, Request};
use super::error::{LabError, Tried};
use super::exec::{self, Output};
use super::files;
use super::freezer::{self, ControlGroup};
use super::holder::LIFELINE_ENV;
use super::init::{CONTROL_SOCKET, Spec};
use super::mounts::{self, Layout};
use super::options::Options;
use super::state::{self, Config, Node, Process, STATE_VERSION, State};
use super::switch;
use super::wait::{Seen, Wait};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, PipeReader, PipeWriter};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A running lab. Every call takes the lab's state from its directory, so that several programs
/// (a test, a fence agent, a person at a terminal) may act on one lab.
#[derive(Debug)]
pub struct Lab {
    dir: PathBuf,
    quiet: bool,
    lifeline: Option<Lifeline>,
    keep: AtomicBool,
}

/// A pipe that nobody writes to: when its writing end closes, the lab ends.
#[derive(Debug)]
struct Lifeline {
    read: PipeReader,
    _write: PipeWriter,
}

impl Lab {
    /// Builds a lab and powers its nodes on.
    ///
    /// # Errors
    /// When one is up in that directory, the directory holds something else, or the kernel
    /// refuses; what had been built is ended again.
    pub fn up(options: &Options) -> Result<Self, LabError> {
        check(options)?;
        prepare_dir(&options.dir)?;
        let _lock = state::lock(&options.dir)?;
        if State::load(&options.dir).is_ok_and(|s| s.is_live()) {
            return Err(LabError::AlreadyUp {
                dir: options.dir.clone(),
            });
        }
        clear_dir(&options.dir)?;
        let lifeline = if options.tied {
            // What the lab leaves behind is this process's to reap, not the machine's.
            nix::sys::prctl::set_child_subreaper(true)
                .tried(|| "become the lab's reaper".to_owned())?;
            let (read, write) = std::io::pipe().tried(|| "make a pipe".to_owned())?;
            Some(Lifeline {
                read,
                _write: write,
            })
        } else {
            None
        };
        let lab = Self {
            dir: options.dir.clone(),
            quiet: options.quiet,
            lifeline,
            keep: AtomicBool::new(false),
        };
        let built = lab.build(options);
        if built.is_err() {
            // The first error is the one to report.
            let _ = lab.end(false);
        }
        built.map(|()| lab)
    }

    /// The lab that is up in `dir`.
    ///
    /// # Errors
    /// [`LabError::NotUp`].
    pub fn open(dir: &Path) -> Result<Self, LabError> {
        let state = State::load(dir)?;
        if !state.is_live() {
            return Err(LabError::NotUp {
                dir: dir.to_path_buf(),
            });
        }
        Ok(Self {
            dir: dir.to_path_buf(),
            quiet: false,
            lifeline: None,
            keep: AtomicBool::new(false),
        })
    }

    /// Ends every process of the lab in `dir` and forgets it; with `purge` its files go too.
    ///
    /// # Errors
    /// [`LabError::NotUp`] when there is nothing to end (with `purge`: nothing to remove either);
    /// a timeout that names what did not end.
    pub fn down(dir: &Path, purge: bool) -> Result<(), LabError> {
        let known = State::load(dir);
        if known.is_err() && !(purge && dir.join(MARKER).exists()) {
            return known.map(|_| ());
        }
        let _lock = state::lock(dir)?;
        Self {
            dir: dir.to_path_buf(),
            quiet: false,
            lifeline: None,
            keep: AtomicBool::new(false),
        }
        .end(purge)
    }

    /// The same lab, whose waits show nothing when `quiet`.
    #[must_use]
    pub fn quiet(mut self, quiet: bool) -> Self {
        self.quiet = quiet;
        self
    }

    /// Keeps the nodes' files when a tied lab ends, for a look at the logs.
    pub fn keep_files(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }

    /// The lab's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A node's directory on this machine: `etc-corosync` and `var` lie in it, on or off.
    #[must_use]
    pub fn node_dir(&self, node: &str) -> PathBuf {
        Layout::new(&self.dir, node).node().to_path_buf()
    }

    /// A directory that every node sees as `/run/lab/shared`.
    #[must_use]
    pub fn shared_dir(&self) -> PathBuf {
        self.dir.join("shared")
    }

    /// The daemon's log of a node, on this machine.
    #[must_use]
    pub fn daemon_log(&self, node: &str) -> PathBuf {
        self.node_dir(node).join("var/log/mainstayd.log")
    }

    /// The nodes, as they are now.
    ///
    /// # Errors
    /// [`LabError::NotUp`].
    pub fn nodes(&self) -> Result<Vec<Node>, LabError> {
        Ok(State::load(&self.dir)?.nodes)
    }

    /// The process that holds the client's network namespace.
    ///
    /// # Errors
    /// [`LabError::NotUp`].
    pub fn client(&self) -> Result<Process, LabError> {
        Ok(State::load(&self.dir)?.client)
    }

    /// Cuts a node's power: SIGKILL to its pid 1, its cable gone. Returns the moment.
    ///
    /// # Errors
    /// [`LabError::NodeOff`], or what did not end.
    pub fn poweroff(&self, node: &str) -> Result<Instant, LabError> {
        let _lock = state::lock(&self.dir)?;
        let mut state = State::load(&self.dir)?;
        let init = state.node(node)?.running()?;
        let port = state.node(node)?.port();
        let moment = Instant::now();
        kill(Pid::from_raw(init.pid), Signal::SIGKILL)
            .tried(|| format!("kill pid 1 of {node} (pid {})", init.pid))?;
        switch::unplug(state.switch, &port)?;
        // A frozen process of a version 1 group dies only when thawed.
        if let Some(group) = ControlGroup::find(&state.id, node) {
            group.thaw()?;
        }
        self.wait_dead(init, node)?;
        let entry = state.node_mut(node)?;
        (entry.init, entry.cut, entry.frozen) = (None, false, false);
        state.save(&self.dir)?;
        Ok(moment)
    }

    /// Powers all nodes off, one right after the other.
    ///
    /// # Errors
    /// As [`Lab::poweroff`].
    pub fn poweroff_all(&self) -> Result<(), LabError> {
        for node in self.nodes()? {
            if node.running().is_ok() {
                self.poweroff(&node.name)?;
            }
        }
        Ok(())
    }

    /// Gives a node power again: a new boot id, its old disks.
    ///
    /// # Errors
    /// [`LabError::NodeOn`], or what failed and the log that has more.
    pub fn poweron(&self, node: &str) -> Result<(), LabError> {
        self.poweron_many(&[node])
    }

    /// Powers on every node that is off, all at once.
    ///
    /// # Errors
    /// As [`Lab::poweron`].
    pub fn poweron_all(&self) -> Result<(), LabError> {
        let nodes = self.nodes()?;
        let off: Vec<&str> = nodes
            .iter()
            .filter(|n| n.running().is_err())
            .map(|n| n.name.as_str())
            .collect();
        self.poweron_many(&off)
    }

    fn poweron_many(&self, names: &[&str]) -> Result<(), LabError> {
        let _lock = state::lock(&self.dir)?;
        self.start_nodes(names)
    }

    /// Cuts a node's cable behind the switch: it keeps its carrier and hears nobody.
    ///
    /// # Errors
    /// [`LabError::NodeOff`], or the kernel's refusal.
    pub fn cut(&self, node: &str) -> Result<(), LabError> {
        self.set_cut(node, true)
    }

    /// Undoes [`Lab::cut`].
    ///
    /// # Errors
    /// [`LabError::NodeOff`], or the kernel's refusal.
    pub fn heal(&self, node: &str) -> Result<(), LabError> {
        self.set_cut(node, false)
    }

    /// Undoes every [`Lab::cut`].
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn heal_all(&self) -> Result<(), LabError> {
        for node in self.nodes()?.iter().filter(|n| n.cut) {
            self.heal(&node.name)?;
        }
        Ok(())
    }

    fn set_cut(&self, node: &str, cut: bool) -> Result<(), LabError> {
        let _lock = state::lock(&self.dir)?;
        let mut state = State::load(&self.dir)?;
        state.node(node)?.running()?;
        switch::connect(state.switch, &state.node(node)?.port(), !cut)?;
        state.node_mut(node)?.cut = cut;
        state.save(&self.dir)
    }

    /// Stops every process of a node between two instructions; its kernel still answers.
    ///
    /// # Errors
    /// [`LabError::NodeOff`], or a timeout that says what did not stop.
    pub fn freeze(&self, node: &str) -> Result<(), LabError> {
        self.set_frozen(node, true)
    }

    /// Undoes [`Lab::freeze`].
    ///
    /// # Errors
    /// As [`Lab::freeze`].
    pub fn thaw(&self, node: &str) -> Result<(), LabError> {
        self.set_frozen(node, false)
    }

    fn set_frozen(&self, node: &str, frozen: bool) -> Result<(), LabError> {
        let _lock = state::lock(&self.dir)?;
        let mut state = State::load(&self.dir)?;
        let init = state.node(node)?.running()?;
        freezer::set(ControlGroup::find(&state.id, node).as_ref(), init, frozen)?;
        state.node_mut(node)?.frozen = frozen;
        state.save(&self.dir)
    }

    /// Runs a command in a node and collects what it prints; bound [`Lab::EXEC_WITHIN`].
    ///
    /// # Errors
    /// When it cannot be run or does not end; its own failure is in [`Output::code`].
    pub fn exec(&self, node: &str, argv: &[&str]) -> Result<Output, LabError> {
        self.exec_with(node, argv, b"", Self::EXEC_WITHIN)
    }

    /// As [`Lab::exec`], with standard input and a bound of its own.
    ///
    /// # Errors
    /// As [`Lab::exec`].
    pub fn exec_with(
        &self,
        node: &str,
        argv: &[&str],
        stdin: &[u8],
        bound: Duration,
    ) -> Result<Output, LabError> {
        let command = self.command(node, argv)?;
        exec::collect(command, &format!("{argv:?} on {node}"), stdin, bound)
    }

    /// The command that runs `argv` in a node, for callers that want its streams themselves.
    ///
    /// # Errors
    /// [`LabError::NodeOff`].
    pub fn command(&self, node: &str, argv: &[&str]) -> Result<Command, LabError> {
        let state = State::load(&self.dir)?;
        let init = state.node(node)?.running()?;
        let group = ControlGroup::find(&state.id, node).map(|g| g.procs());
        Ok(exec::command(
            &self.dir.join(PROGRAM),
            init,
            group.as_deref(),
            argv,
        ))
    }

    /// What a node's daemon is doing.
    ///
    /// # Errors
    /// [`LabError::NodeOff`], or no answer from its pid 1.
    pub fn daemon(&self, node: &str) -> Result<DaemonStatus, LabError> {
        self.ask(node, Request::Status)
    }

    /// Kills a node's daemon with SIGKILL; its supervisor restarts it if so told.
    ///
    /// # Errors
    /// As [`Lab::daemon`]; when it is not running.
    pub fn kill_daemon(&self, node: &str) -> Result<Instant, LabError> {
        let moment = Instant::now();
        self.ask(node, Request::Signal(Signal::SIGKILL as i32))
            .map(|_| moment)
    }

    /// Sends a node's daemon a signal by number.
    ///
    /// # Errors
    /// As [`Lab::daemon`]; when it is not running.
    pub fn signal_daemon(&self, node: &str, signal: i32) -> Result<DaemonStatus, LabError> {
        self.ask(node, Request::Signal(signal))
    }

    /// Asks a node's daemon to stop in order and waits until it has; it is not restarted.
    ///
    /// # Errors
    /// As [`Lab::daemon`]; a timeout after `bound`.
    pub fn stop_daemon(&self, node: &str, bound: Duration) -> Result<DaemonStatus, LabError> {
        self.ask(node, Request::Stop)?;
        Wait::new(format!("the daemon of {node} to stop"), bound)
            .log(&self.daemon_log(node))
            .quiet(self.quiet)
            .until(|| {
                let status = self.daemon(node)?;
                Ok(match status.pid {
                    None => Seen::Yes(status),
                    Some(pid) => Seen::NotYet(format!("pid {pid} still runs")),
                })
            })
    }

    /// Starts a node's daemon, if it does not run.
    ///
    /// # Errors
    /// As [`Lab::daemon`].
    pub fn start_daemon(&self, node: &str) -> Result<DaemonStatus, LabError> {
        self.ask(node, Request::Start)
    }

    /// Whether a node's daemon is restarted when it dies.
    ///
    /// # Errors
    /// As [`Lab::daemon`].
    pub fn supervise(&self, node: &str, on: bool) -> Result<DaemonStatus, LabError> {
        self.ask(node, Request::Supervise(on))
    }

    /// The daemon's pid as this machine sees it, for its memory and CPU time.
    ///
    /// # Errors
    /// When it does not run.
    pub fn daemon_pid_outside(&self, node: &str) -> Result<i32, LabError> {
        let init = State::load(&self.dir)?.node(node)?.running()?;
        let inside = self.daemon(node)?.pid;
        freezer::processes(init)?
            .into_iter()
            .find(|pid| inside.is_some() && innermost_pid(*pid) == inside)
            .ok_or_else(|| LabError::Refused(format!("the daemon of {node} does not run")))
    }

    /// Names of the nodes whose kernel has `address` on an interface.
    ///
    /// # Errors
    /// When a node goes away meanwhile.
    pub fn holders(&self, address: IpAddr) -> Result<Vec<String>, LabError> {
        let mut holders = Vec::new();
        for node in self.nodes()? {
            if let Ok(init) = node.running()
                && switch::has_address(init, address)?
            {
                holders.push(node.name);
            }
        }
        Ok(holders)
    }

    /// A wait that is visible unless the lab is quiet.
    #[must_use]
    pub fn wait(&self, what: impl Into<String>, bound: Duration) -> Wait {
        Wait::new(what, bound).quiet(self.quiet)
    }

    /// Bound of a command in a node that was given none.
    pub const EXEC_WITHIN: Duration = Duration::from_secs(60);

    fn ask(&self, node: &str, request: Request) -> Result<DaemonStatus, LabError> {
        State::load(&self.dir)?.node(node)?.running()?;
        control::ask(&self.node_dir(node).join(CONTROL_SOCKET), request)
    }

    fn build(&self, options: &Options) -> Result<(), LabError> {
        install_program(&options.program, &self.dir)?;
        mounts::make_skeleton(&self.dir)?;
        let nodes: Vec<Node> = (1..=options.nodes)
            .map(|index| Node {
                name: format!("node{index}"),
                index,
                address: switch::node_address(index),
                init: None,
                cut: false,
                frozen: false,
            })
            .collect();
        let config = Config {
            token_ms: options.token_ms,
            two_node: options.two_node,
            supervise: options.supervise,
            daemon: options.daemon.clone(),
        };
        let authkey = files::random::<AUTHKEY_BYTES>()?;
        for node in &nodes {
            files::configure(&self.dir, node, &nodes, &config, &authkey)?;
        }
        let switch = self.hold("switch")?;
        let state = State {
            version: STATE_VERSION,
            id: files::random::<4>()?
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect(),
            machine_boot: state::machine_boot()?,
            user_namespace: super::userns::inside_own(),
            config,
            switch,
            client: self.hold("client")?,
            nodes,
        };
        state.save(&self.dir)?;
        switch::build(switch)?;
        switch::plug(switch, "client", state.client, switch::CLIENT_ADDRESS)?;
        switch::sharpen(state.client)?;
        if options.powered_off {
            return Ok(());
        }
        let names: Vec<&str> = state.nodes.iter().map(|n| n.name.as_str()).collect();
        self.start_nodes(&names)
    }

    /// Starts a process that holds a namespace; the caller has the lock.
    fn hold(&self, kind: &str) -> Result<Process, LabError> {
        let log = self.dir.join(format!("{kind}.log"));
        let mut child = Command::new(self.dir.join(PROGRAM))
            .args(["__hold", kind])
            .arg(&self.dir)
            .arg(if self.tied() { "tied" } else { "free" })
            .stdin(self.lifeline()?)
            .stdout(Stdio::piped())
            .stderr(append(&log)?)
            .spawn()
            .tried(|| format!("start the {kind}"))?;
        let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
        let line = first_line(child.stdout.take(), &format!("the {kind} to start"), &log)?;
        if line != "ready" {
            return Err(LabError::Process {
                what: format!("start the {kind}"),
                cause: last_line(&log),
                log,
            });
        }
        Process::of(pid)
    }

    /// Powers nodes on side by side; the caller has the lock.
    fn start_nodes(&self, names: &[&str]) -> Result<(), LabError> {
        let mut state = State::load(&self.dir)?;
        let mut started = Vec::new();
        let results: Vec<_> = std::thread::scope(|scope| {
            let state = &state;
            let threads: Vec<_> = names
                .iter()
                .map(|name| (*name, scope.spawn(move || self.start_node(state, name))))
                .collect();
            threads
                .into_iter()
                .map(|(name, thread)| (name, thread.join()))
                .collect()
        });
        let mut failed = None;
        for (name, result) in results {
            match result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                Ok(init) => {
                    let node = state.node_mut(name)?;
                    (node.init, node.cut, node.frozen) = (Some(init), false, false);
                    started.push(name);
                }
                Err(e) => failed = failed.or(Some(e)),
            }
        }
        state.save(&self.dir)?;
        match failed {
            Some(error) => Err(error),
            // Only now, so that the daemons of a cold start begin together.
            None => started
                .into_iter()
                .try_for_each(|name| self.ask(name, Request::Start).map(|_| ())),
        }
    }

    fn start_node(&self, state: &State, name: &str) -> Result<Process, LabError> {
        let node = state.node(name)?;
        if node.running().is_ok() {
            return Err(LabError::NodeOn {
                name: name.to_owned(),
            });
        }
        // Left over when the last pid 1 died by itself.
        switch::unplug(state.switch, &node.port())?;
        let layout = Layout::new(&self.dir, name);
        layout.make_node()?;
        files::new_boot_id(&self.dir, name)?;
        let spec = Spec {
            name: name.to_owned(),
            lab: self.dir.clone(),
            daemon: state.config.daemon.clone(),
            supervise: state.config.supervise,
            tied: self.tied(),
            control_group: ControlGroup::create(&state.id, name).map(|g| g.procs()),
        };
        let log = layout.node().join("init.log");
        let init = self.boot(&spec, &log)?;
        let ready = self
            .wait_ready(name, init, &log)
            .and_then(|()| switch::plug(state.switch, &node.port(), init, node.address));
        if ready.is_err() {
            // The first error is the one to report.
            let _ = kill(Pid::from_raw(init.pid), Signal::SIGKILL);
        }
        ready.map(|()| init)
    }

    fn boot(&self, spec: &Spec, log: &Path) -> Result<Process, LabError> {
        let dir = self.node_dir(&spec.name);
        let path = dir.join("spec.json");
        let text = serde_json::to_string(spec)
            .map_err(|e| LabError::Refused(format!("{} cannot be written: {e}", path.display())))?;
        mounts::write(&path, &text)?;
        let _ = fs::remove_file(dir.join(CONTROL_SOCKET));
        let mut child = Command::new(self.dir.join(PROGRAM))
            .arg("__boot")
            .arg(&path)
            .stdin(self.lifeline()?)
            .stdout(Stdio::piped())
            .stderr(append(log)?)
            .spawn()
            .tried(|| format!("start {}", spec.name))?;
        let line = first_line(child.stdout.take(), &format!("{} to boot", spec.name), log)?;
        let status = child
            .wait()
            .tried(|| format!("wait for {} to boot", spec.name))?;
        let failed = |cause: String| LabError::Process {
            what: format!("power {} on", spec.name),
            cause,
            log: log.to_path_buf(),
        };
        match line.parse() {
            Ok(pid) if status.success() => Process::of(pid).map_err(|_| failed(last_line(log))),
            _ => Err(failed(last_line(log))),
        }
    }

    /// Waits until pid 1 answers: its namespaces and mounts are made.
    fn wait_ready(&self, name: &str, init: Process, log: &Path) -> Result<(), LabError> {
        let socket = self.node_dir(name).join(CONTROL_SOCKET);
        self.wait(format!("{name} to boot"), BOOTED_WITHIN)
            .every(Duration::from_millis(2))
            .log(log)
            .until(|| {
                if !init.is_alive() {
                    return Err(LabError::Process {
                        what: format!("power {name} on"),
                        cause: last_line(log),
                        log: log.to_path_buf(),
                    });
                }
                Ok(match control::ask(&socket, Request::Status) {
                    Ok(_) => Seen::Yes(()),
                    Err(e) => Seen::NotYet(e.to_string()),
                })
            })
    }

    /// Ends everything that is known of the lab; the caller has the lock.
    fn end(&self, purge: bool) -> Result<(), LabError> {
        let mut failed = None;
        if let Ok(state) = State::load(&self.dir) {
            let processes: Vec<(String, Process)> = state
                .nodes
                .iter()
                .filter_map(|n| Some((n.name.clone(), n.init?)))
                .chain([
                    ("the client".to_owned(), state.client),
                    ("the switch".to_owned(), state.switch),
                ])
                .collect();
            for (_, process) in processes.iter().filter(|(_, p)| p.is_alive()) {
                // Gone in between: what was wanted.
                let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            }
            for node in &state.nodes {
                if let Some(group) = ControlGroup::find(&state.id, &node.name) {
                    failed = failed.or(group.thaw().err());
                    failed = failed.or(group.remove(self.quiet).err());
                }
            }
            for (name, process) in processes {
                failed = failed.or(self.wait_dead(process, &name).err());
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        State::remove(&self.dir)?;
        if purge {
            fs::remove_dir_all(&self.dir).tried(|| format!("remove {}", self.dir.display()))?;
        }
        Ok(())
    }

    fn wait_dead(&self, process: Process, name: &str) -> Result<(), LabError> {
        self.wait(format!("{name} (pid {}) to end", process.pid), DEAD_WITHIN)
            .every(Duration::from_millis(1))
            .until(|| {
                // Ours to reap, where this process is the parent or the nearest reaper; what is in
                // the node and not reaped keeps its pid 1 from ending.
                for pid in freezer::processes(process).unwrap_or_default() {
                    let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
                }
                let _ = waitpid(Pid::from_raw(process.pid), Some(WaitPidFlag::WNOHANG));
                Ok(if process.is_alive() {
                    Seen::NotYet("it still runs".to_owned())
                } else {
                    Seen::Yes(())
                })
            })
    }

    fn tied(&self) -> bool {
        self.lifeline.is_some() || std::env::var_os(LIFELINE_ENV).is_some()
    }

    fn lifeline(&self) -> Result<Stdio, LabError> {
        match &self.lifeline {
            Some(lifeline) => lifeline
                .read
                .try_clone()
                .map(Stdio::from)
                .tried(|| "copy a pipe".to_owned()),
            None if self.tied() => Ok(Stdio::inherit()),
            None => Ok(Stdio::null()),
        }
    }
}

impl Drop for Lab {
    /// A tied lab ends with its owner; its files stay when a test failed.
    fn drop(&mut self) {
        if self.lifeline.is_none() {
            return;
        }
        let failed = std::thread::panicking() || self.keep.load(Ordering::Relaxed);
        let ended = state::lock(&self.dir).and_then(|_lock| self.end(!failed));
        if let Err(e) = ended {
            eprintln!("mainstay-lab: {e}");
        }
        if failed {
            eprintln!(
                "mainstay-lab: the nodes' files are kept in {}",
                self.dir.display()
            );
        }
    }
}

fn check(options: &Options) -> Result<(), LabError> {
    if !nix::unistd::geteuid().is_root() {
        return Err(LabError::Refused(
            "a lab needs root, or a user namespace".to_owned(),
        ));
    }
    if options.nodes == 0 || options.nodes > switch::NODES_MAX {
        return Err(LabError::Refused(format!(
            "a lab has 1 to {} nodes, not {}",
            switch::NODES_MAX,
            options.nodes
        )));
    }
    if options.two_node && options.nodes != 2 {
        return Err(LabError::Refused(format!(
            "--two-node is for 2 nodes, not {}",
            options.nodes
        )));
    }
    let dir = options.dir.to_string_lossy();
    if !options.dir.is_absolute() || dir.contains([':', ',', '\\']) {
        // Overlay mount options have no other characters of their own.
        return Err(LabError::Refused(format!(
            "the lab's directory must be an absolute path without ':', ',' and '\\', not {dir}"
        )));
    }
    if dir.len() > DIR_BYTES_MAX {
        return Err(LabError::Refused(format!(
            "the lab's directory is too long for the sockets in it ({} bytes of {DIR_BYTES_MAX}): {dir}",
            dir.len()
        )));
    }
    Ok(())
}

/// Makes the directory, or checks that it is a lab's.
fn prepare_dir(dir: &Path) -> Result<(), LabError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(DIR_MODE)
        .create(dir)
        .tried(|| format!("make {}", dir.display()))?;
    state::check_owner(dir)?;
    let mut entries = fs::read_dir(dir).tried(|| format!("list {}", dir.display()))?;
    if !dir.join(MARKER).exists() && entries.next().is_some() {
        return Err(LabError::Refused(format!(
            "{} holds something that is not a lab; choose another --dir",
            dir.display()
        )));
    }
    mounts::write(
        &dir.join(MARKER),
        "a lab of mainstay-lab(8); may be removed when it is down\n",
    )
}

/// Removes what an earlier lab left.
fn clear_dir(dir: &Path) -> Result<(), LabError> {
    for entry in fs::read_dir(dir).tried(|| format!("list {}", dir.display()))? {
        let entry = entry.tried(|| format!("list {}", dir.display()))?;
        let path = entry.path();
        let name = entry.file_name();
        if name == MARKER || name == "lock" {
            continue;
        }
        let removed = match entry.file_type() {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(&path),
            _ => fs::remove_file(&path),
        };
        removed.tried(|| format!("remove {}", path.display()))?;
    }
    Ok(())
}

/// Puts the program into the lab, so that a build in the meantime does not change it.
fn install_program(program: &Path, lab: &Path) -> Result<(), LabError> {
    let target = lab.join(PROGRAM);
    let bin = lab.join("bin");
    fs::create_dir_all(&bin).tried(|| format!("make {}", bin.display()))?;
    if fs::hard_link(program, &target).is_err() {
        fs::copy(program, &target)
            .tried(|| format!("copy {} to {}", program.display(), target.display()))?;
    }
    Ok(())
}

fn append(path: &Path) -> Result<fs::File, LabError> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .tried(|| format!("open {}", path.display()))
}

/// The first line a child prints; empty when it prints none.
fn first_line(
    pipe: Option<impl AsFd + std::io::Read>,
    what: &str,
    log: &Path,
) -> Result<String, LabError> {
    let Some(pipe) = pipe else {
        return Ok(String::new());
    };
    let bound = PollTimeout::try_from(BOOTED_WITHIN).unwrap_or(PollTimeout::MAX);
    let arrived = poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], bound)
        .tried(|| format!("wait for {what}"))?;
    if arrived == 0 {
        return Err(LabError::Timeout(super::wait::Timeout {
            what: what.to_owned(),
            seen: "no answer".to_owned(),
            bound_ms: BOOTED_WITHIN.as_millis(),
            log: Some(log.to_path_buf()),
        }));
    }
    let mut line = String::new();
    BufReader::new(pipe)
        .read_line(&mut line)
        .tried(|| format!("wait for {what}"))?;
    Ok(line.trim().to_owned())
}

/// The last line of a log: the reason, most of the time.
fn last_line(log: &Path) -> String {
    fs::read_to_string(log)
        .ok()
        .and_then(|text| text.lines().last().map(str::to_owned))
        .unwrap_or_else(|| "it said nothing".to_owned())
}

/// A process's pid in the innermost pid namespace it is in.
fn innermost_pid(pid: i32) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("NSpid:"))?;
    line.split_ascii_whitespace().last()?.parse().ok()
}

/// The program in a lab's directory.
const PROGRAM: &str = "bin/mainstay-lab";
/// The file that says that a directory is a lab's.
const MARKER: &str = ".mainstay-lab";
/// Mode of the lab's directory, whatever the umask leaves of it.
const DIR_MODE: u32 = 0o755;
/// Length of an authkey, as corosync-keygen(8) writes it.
const AUTHKEY_BYTES: usize = 256;
/// Longest directory name, in bytes: sockaddr_un holds 107, `/nodes/node48/init.sock` is 23.
const DIR_BYTES_MAX: usize = 80;
/// Bound of a boot.
const BOOTED_WITHIN: Duration = Duration::from_secs(20);
/// Bound of the end of a killed process.
const DEAD_WITHIN: Duration = Duration::from_secs(10);
