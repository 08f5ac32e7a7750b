//! How a lab is built and ended: directory, processes, nodes.

use super::cluster::Lab;
use super::control::{self, Request};
use super::error::{LabError, Tried};
use super::files;
use super::freezer::{self, ControlGroup};
use super::holder::LIFELINE_ENV;
use super::init::{CONTROL_SOCKET, Spec};
use super::mounts::{self, Layout};
use super::options::Options;
use super::state::{self, Config, Node, Process, STATE_VERSION, State};
use super::switch;
use super::wait::Seen;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

impl Lab {
    pub(super) fn build(&self, options: &Options) -> Result<(), LabError> {
        install_program(&options.program, &self.dir)?;
        mounts::make_skeleton(&self.dir)?;
        let nodes: Vec<Node> = (1..=options.nodes)
            .map(|index| Node {
                name: format!("node{index}"),
                index,
                address: switch::node_address(index),
                init: None,
                cut: false,
                apart: false,
                deaf: false,
                mute: false,
                frozen: false,
            })
            .collect();
        let config = Config {
            token_ms: options.token_ms,
            two_node: options.two_node,
            quorum: options.quorum.clone(),
            witness: options.witness,
            supervise: options.supervise,
            daemon: options.daemon.clone(),
            prefix: options.prefix,
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
        let client = (switch::CLIENT_ADDRESS, state.config.prefix);
        switch::plug(switch, "client", state.client, client)?;
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
        let mut command = Command::new(self.dir.join(PROGRAM));
        command
            .args(["__hold", kind])
            .arg(&self.dir)
            .arg(if self.tied() { "tied" } else { "free" })
            .stdin(self.lifeline()?)
            .stdout(Stdio::piped())
            .stderr(append(&log)?);
        let mut child = spawn(&mut command).tried(|| format!("start the {kind}"))?;
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
    pub(super) fn start_nodes(&self, names: &[&str]) -> Result<(), LabError> {
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
                    (node.apart, node.deaf, node.mute) = (false, false, false);
                    started.push(name);
                }
                Err(e) => failed = failed.or(Some(e)),
            }
        }
        state.save(&self.dir)?;
        switch::arrange(state.switch, &state.nodes)?;
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
            daemon: state.daemon_of(node),
            supervise: state.config.supervise,
            tied: self.tied(),
            control_group: ControlGroup::create(&state.id, name).map(|g| g.procs()),
        };
        let log = layout.node().join("init.log");
        let init = self.boot(&spec, &log)?;
        let ready = self.wait_ready(name, init, &log).and_then(|()| {
            let address = (node.address, state.config.prefix);
            switch::plug(state.switch, &node.port(), init, address)
        });
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
    pub(super) fn end(&self, purge: bool) -> Result<(), LabError> {
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

    pub(super) fn wait_dead(&self, process: Process, name: &str) -> Result<(), LabError> {
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

/// Makes the directory, or checks that it is a lab's.
pub(super) fn prepare_dir(dir: &Path) -> Result<(), LabError> {
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
pub(super) fn clear_dir(dir: &Path) -> Result<(), LabError> {
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

/// Starts the lab's copy of the program. Where that was copied this very moment, a process that another
/// thread begins may still hold what it was written through.
fn spawn(command: &mut Command) -> io::Result<Child> {
    for _ in 0..BUSY_RETRIES_MAX {
        match command.spawn() {
            Err(e) if e.kind() == io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(BUSY_PAUSE);
            }
            other => return other,
        }
    }
    command.spawn()
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

/// Refuses what makes no sense, with the bound.
pub(super) fn check(options: &Options) -> Result<(), LabError> {
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

/// The program in a lab's directory.
pub(super) const PROGRAM: &str = "bin/mainstay-lab";
/// The file that says that a directory is a lab's.
pub(super) const MARKER: &str = ".mainstay-lab";
/// Mode of the lab's directory, whatever the umask leaves of it.
const DIR_MODE: u32 = 0o755;
/// Length of an authkey, as corosync-keygen(8) writes it.
const AUTHKEY_BYTES: usize = 256;
/// Longest directory name, in bytes: sockaddr_un holds 107, `/nodes/node48/init.sock` is 23.
const DIR_BYTES_MAX: usize = 80;
/// Attempts at a program that is open for writing, and the pause between two.
const BUSY_RETRIES_MAX: u32 = 200;
const BUSY_PAUSE: Duration = Duration::from_millis(10);
/// Bound of a boot.
const BOOTED_WITHIN: Duration = Duration::from_secs(20);
/// Bound of the end of a killed process.
const DEAD_WITHIN: Duration = Duration::from_secs(10);
