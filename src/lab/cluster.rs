//! The lab itself: up, down, power, cables, freezing, commands.

use super::build::{MARKER, PROGRAM, check, clear_dir, prepare_dir};
use super::error::{LabError, Tried};
use super::exec::{self, Output};
use super::freezer::{self, ControlGroup};
use super::mounts::Layout;
use super::options::Options;
use super::state::{self, Node, Process, State};
use super::switch;
use super::wait::Wait;
use netlink::Mac;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::io::{PipeReader, PipeWriter};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A running lab. Every call takes the lab's state from its directory, so that several programs
/// (a test, a fence agent, a person at a terminal) may act on one lab.
#[derive(Debug)]
pub struct Lab {
    pub(super) dir: PathBuf,
    pub(super) quiet: bool,
    pub(super) lifeline: Option<Lifeline>,
    keep: AtomicBool,
}

/// A pipe that nobody writes to: when its writing end closes, the lab ends.
#[derive(Debug)]
pub(super) struct Lifeline {
    pub(super) read: PipeReader,
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
        let mut lab = Self {
            dir: options.dir.clone(),
            quiet: options.quiet,
            lifeline,
            keep: AtomicBool::new(false),
        };
        let built = lab.build(options);
        if built.is_err() {
            // The first error is the one to report.
            let _ = lab.end(false);
            // Ended once is enough: another time would wait for the lock that is held here.
            lab.lifeline = None;
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
        (entry.apart, entry.deaf, entry.mute) = (false, false, false);
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
        self.rewire(node, |n| n.cut = true)
    }

    /// Sets a node apart: it hears no other node and none hears it, while the others hear each
    /// other and the client hears all, as behind a switch whose links between nodes broke.
    ///
    /// # Errors
    /// [`LabError::NodeOff`], or the kernel's refusal.
    pub fn apart(&self, node: &str) -> Result<(), LabError> {
        self.rewire(node, |n| n.apart = true)
    }

    /// Makes a node deaf: nothing reaches it, while everybody hears what it sends.
    ///
    /// # Errors
    /// [`LabError::NodeOff`], or the kernel's refusal.
    pub fn deafen(&self, node: &str) -> Result<(), LabError> {
        self.rewire(node, |n| n.deaf = true)
    }

    /// Makes a node mute: nobody hears what it sends, while everything reaches it.
    ///
    /// # Errors
    /// [`LabError::NodeOff`], or the kernel's refusal.
    pub fn mute(&self, node: &str) -> Result<(), LabError> {
        self.rewire(node, |n| n.mute = true)
    }

    /// Undoes [`Lab::cut`], [`Lab::apart`], [`Lab::deafen`] and [`Lab::mute`].
    ///
    /// # Errors
    /// [`LabError::NodeOff`], or the kernel's refusal.
    pub fn heal(&self, node: &str) -> Result<(), LabError> {
        self.rewire(node, |n| {
            (n.cut, n.apart, n.deaf, n.mute) = (false, false, false, false);
        })
    }

    /// Undoes whatever [`Lab::heal`] undoes, at every node.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn heal_all(&self) -> Result<(), LabError> {
        for node in self
            .nodes()?
            .iter()
            .filter(|n| n.cut || n.apart || n.deaf || n.mute)
        {
            self.heal(&node.name)?;
        }
        Ok(())
    }

    fn rewire(&self, node: &str, change: impl FnOnce(&mut Node)) -> Result<(), LabError> {
        let _lock = state::lock(&self.dir)?;
        let mut state = State::load(&self.dir)?;
        state.node(node)?.running()?;
        change(state.node_mut(node)?);
        switch::arrange(state.switch, &state.nodes)?;
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

    /// Names of the nodes whose kernel has `address` on an interface.
    ///
    /// # Errors
    /// When a node goes away meanwhile.
    pub fn holders(&self, address: IpAddr) -> Result<Vec<String>, LabError> {
        let mut holders = Vec::new();
        for node in self.nodes()? {
            if let Ok(init) = node.running()
                && switch::addresses(init)?.contains(&address)
            {
                holders.push(node.name);
            }
        }
        Ok(holders)
    }

    /// All addresses that a node's kernel has; none while it is powered off.
    ///
    /// # Errors
    /// When the node goes away meanwhile.
    pub fn addresses(&self, node: &str) -> Result<BTreeSet<IpAddr>, LabError> {
        match State::load(&self.dir)?.node(node)?.running() {
            Ok(init) => switch::addresses(init),
            Err(_) => Ok(BTreeSet::new()),
        }
    }

    /// Bytes that a node's interface sent and received since it was made.
    ///
    /// # Errors
    /// When the node goes away meanwhile.
    pub fn traffic_bytes(&self, node: &str) -> Result<u64, LabError> {
        let init = State::load(&self.dir)?.node(node)?.running()?;
        let path = format!("/proc/{}/net/dev", init.pid);
        let text = std::fs::read_to_string(&path).tried(|| format!("read {path}"))?;
        let counts = |line: &str| {
            let (name, counts) = line.split_once(':')?;
            (name.trim() == switch::NODE_INTERFACE).then(|| counts.to_owned())
        };
        let counts = text.lines().find_map(counts).unwrap_or_default();
        let counts: Vec<u64> = counts
            .split_ascii_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        // proc_net_dev(5): bytes received come first, bytes sent ninth.
        Ok(counts.first().unwrap_or(&0) + counts.get(8).unwrap_or(&0))
    }

    /// Hardware address of a node's interface.
    ///
    /// # Errors
    /// There is no such node.
    pub fn mac_of(&self, node: &str) -> Result<Mac, LabError> {
        let state = State::load(&self.dir)?;
        Ok(switch::mac_of(state.node(node)?.address))
    }

    /// Removes an address from a node's kernel behind its daemon's back. Returns the moment.
    ///
    /// # Errors
    /// [`LabError::NodeOff`], or the kernel's refusal.
    pub fn remove_address(&self, node: &str, address: IpAddr) -> Result<Instant, LabError> {
        let init = State::load(&self.dir)?.node(node)?.running()?;
        let moment = Instant::now();
        switch::remove_address(init, address)?;
        Ok(moment)
    }

    /// Takes a node's interface down or up, inside the node. Returns the moment.
    ///
    /// # Errors
    /// [`LabError::NodeOff`], or the kernel's refusal.
    pub fn set_interface(&self, node: &str, up: bool) -> Result<Instant, LabError> {
        let init = State::load(&self.dir)?.node(node)?.running()?;
        let moment = Instant::now();
        switch::set_up(init, up)?;
        Ok(moment)
    }

    /// A wait that is visible unless the lab is quiet.
    #[must_use]
    pub fn wait(&self, what: impl Into<String>, bound: Duration) -> Wait {
        Wait::new(what, bound).quiet(self.quiet)
    }

    /// Bound of a command in a node that was given none.
    pub const EXEC_WITHIN: Duration = Duration::from_secs(60);
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
