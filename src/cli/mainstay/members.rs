//! `mainstay init`, `join`, `token`, `node`, `key`: a cluster's nodes and its key.

use crate::cli::backend::{self, Backend, ask, ask_done};
use crate::cli::console::Console;
use crate::cli::exit::{Exit, Failure};
use crate::cli::removal;
use crate::conf::{
    ClusterConf, Hosts, KEY_BYTES, NodeConf, Strictness, generate_authkey, new_file,
    nobody_reaches, read, replace_file, set_key,
};
use crate::ipc::{KeyState, Request, Response};
use crate::join::{JoinError, JoinRequest, JoinToken, ask_to_join};
use crate::paths::Paths;
use nix::unistd::{AccessFlags, access};
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};
use wire::VersionRange;
use zeroize::Zeroizing;

/// `mainstay init`; `keys` are further ones of corosync.conf with their values.
pub(in crate::cli) fn init(
    cluster_name: &str,
    name: Option<&str>,
    addresses: &[IpAddr],
    keys: &[(String, String)],
    console: &mut Console,
) -> Result<(), Failure> {
    let paths = Paths::from_env();
    belongs_to_none(&paths)?;
    if cluster_name.trim().is_empty() {
        return Err(Failure::usage(
            "the cluster's name is empty: give it one, which all its nodes share",
        ));
    }
    let addresses = match addresses {
        [] => vec![only_address()?],
        given => own(given)?,
    };
    let name = name.map_or_else(backend::host_name, str::to_owned);
    let conf = ClusterConf {
        cluster_name: cluster_name.to_owned(),
        nodes: vec![NodeConf {
            id: 1,
            name: Some(name.clone()),
            addrs: addresses.iter().map(|a| Some(a.to_string())).collect(),
            votes: 1,
        }],
        ..ClusterConf::default()
    };
    let mut text = new_file(&conf);
    for (name, value) in keys {
        text = set_key("corosync.conf", &text, name, value).map_err(|e| {
            Failure::new(
                Exit::Config,
                format!("{name}: {}; nothing was made", e.what),
            )
        })?;
    }
    read("corosync.conf", &text, Strictness::Strict).map_err(|e| {
        Failure::new(
            Exit::Config,
            format!("{}: {}; nothing was made", e.key, e.what),
        )
    })?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(key.as_mut_slice()).map_err(|e| {
        Failure::new(
            Exit::Error,
            format!("the kernel gives no random bytes: {e}"),
        )
    })?;
    make_dir(&paths.corosync_conf())?;
    write(&paths.corosync_conf(), text.as_bytes(), 0o644)?;
    generate_authkey(&paths.authkey(), &key)
        .map_err(|e| Failure::new(Exit::CantCreat, e.to_string()))?;
    console.line(&format!(
        "{} and {} are made: the cluster {cluster_name} has one node, {name}.",
        paths.corosync_conf().display(),
        paths.authkey().display()
    ));
    Ok(())
}

/// `mainstay join`.
pub(in crate::cli) fn join(
    host: &str,
    token: &str,
    name: Option<&str>,
    addresses: &[IpAddr],
    console: &mut Console,
) -> Result<(), Failure> {
    let paths = Paths::from_env();
    belongs_to_none(&paths)?;
    let token = JoinToken::parse(token).map_err(|e| Failure::new(Exit::Usage, e.to_string()))?;
    let address = address_of(host, &paths)?;
    if let Some(why) = addresses.iter().find_map(|a| nobody_reaches(*a)) {
        return Err(Failure::usage(format!("--address: {why}")));
    }
    // A token is good for once: what could go wrong here must not be found out with the answer.
    make_dir(&paths.corosync_conf())?;
    may_write(&paths.corosync_conf())?;
    let name = name.map_or_else(backend::host_name, str::to_owned);
    let versions = (VersionRange::OURS.min, VersionRange::OURS.max);
    let request = |own: IpAddr| JoinRequest {
        name: name.clone(),
        addrs: match addresses {
            [] => vec![own.to_string()],
            given => given.iter().map(ToString::to_string).collect(),
        },
        versions,
    };
    let welcome = ask_to_join(address, &token, request).map_err(|error| {
        let exit = match error {
            JoinError::Unreachable { .. } => Exit::Disconnect,
            JoinError::NotProved { .. } => Exit::InsufficientPriv,
            JoinError::Refused(_) => Exit::Error,
        };
        Failure::new(exit, error.to_string())
    })?;
    // The key first: a daemon that starts in between finds no configuration, and not half a one.
    write(&paths.authkey(), &welcome.authkey, 0o400)?;
    write(&paths.corosync_conf(), welcome.conf.as_bytes(), 0o644)?;
    console.line(&format!(
        "{name} is node {} of the cluster {}. Start mainstayd now (systemctl start mainstay): it votes as soon as it has the cluster's state.",
        welcome.node_id, welcome.cluster_name
    ));
    Ok(())
}

/// The token from the command line, a file, or standard input: a command line is seen by everybody.
pub(super) fn read_token(
    text: Option<&str>,
    file: Option<&Path>,
) -> Result<Zeroizing<String>, Failure> {
    let failed = |path: &Path, e: std::io::Error| {
        Failure::new(Exit::NoInput, format!("{}: {e}", path.display()))
    };
    match (text, file) {
        (Some(text), _) => Ok(Zeroizing::new(text.to_owned())),
        (None, Some(path)) => {
            let mut token = Zeroizing::new(String::new());
            let read = if path == Path::new("-") {
                let stdin = std::io::stdin();
                stdin
                    .lock()
                    .take(TOKEN_BYTES_MAX)
                    .read_to_string(&mut token)
            } else {
                let file = std::fs::File::open(path).map_err(|e| failed(path, e))?;
                file.take(TOKEN_BYTES_MAX).read_to_string(&mut token)
            };
            read.map_err(|e| failed(path, e))?;
            Ok(token)
        }
        (None, None) => Err(Failure::usage(
            "a token is needed: run `mainstay token create` on a node of the cluster, and give its answer here as --token or in a --token-file",
        )),
    }
}

/// `mainstay token create`: the token alone on standard output, what to do with it beside.
pub(super) fn token(
    backend: &mut dyn Backend,
    valid_s: u32,
    console: &mut Console,
) -> Result<(), Failure> {
    let token = ask_done(backend, &Request::TokenCreate { valid_s })?;
    let here = backend::local_node(backend)?;
    console.line(&token);
    console.err_line(&format!(
        "On the machine that shall join: mainstay join {here} --token TOKEN. It is good for one machine."
    ));
    Ok(())
}

/// `mainstay node remove`.
pub(super) fn remove(
    backend: &mut dyn Backend,
    node: &str,
    force: bool,
    console: &mut Console,
) -> Result<(), Failure> {
    let node_name = node.to_owned();
    let request = Request::NodeRemove {
        node: node_name,
        force,
    };
    console.line(&ask_done(backend, &request)?);
    for remark in removal::remarks(&backend::cib(backend, false)?, node) {
        console.warning(&remark);
    }
    Ok(())
}

/// `mainstay key rotate`: begins, and tells how it goes until it is over.
pub(super) fn rotate(
    backend: &mut dyn Backend,
    wait: bool,
    console: &mut Console,
) -> Result<(), Failure> {
    console.line(&ask_done(backend, &Request::KeyRotate)?);
    if !wait {
        return Ok(());
    }
    let until = Instant::now() + ROTATION_WAIT_MAX;
    let mut told = String::new();
    loop {
        let state = key_state(backend)?;
        let text = key_text(&state);
        if state.step.is_none() {
            console.line(&text);
            return Ok(());
        }
        if text != told {
            console.line(&text);
            told = text;
        }
        if Instant::now() >= until {
            return Err(Failure {
                exit: Exit::Timeout,
                text: "the rotation is not over yet, and goes on by itself".to_owned(),
                cure: Some("bring the nodes back that it waits for, or leave them behind with `mainstay key abandon NODE`; `mainstay key status` shows how far it is".to_owned()),
            });
        }
        std::thread::sleep(ROTATION_LOOK);
    }
}

/// `mainstay key status`.
pub(super) fn key_status(backend: &mut dyn Backend, console: &mut Console) -> Result<(), Failure> {
    let state = key_state(backend)?;
    console.line(&key_text(&state));
    Ok(())
}

fn key_state(backend: &mut dyn Backend) -> Result<KeyState, Failure> {
    match ask(backend, &Request::KeyStatus)? {
        Response::Keys(state) => Ok(state),
        _ => Err(backend::unexpected()),
    }
}

fn key_text(state: &KeyState) -> String {
    let in_use = state.accepted.first().map_or("none", String::as_str);
    let Some(step) = &state.step else {
        return format!("The authkey in use is {in_use}; no rotation is under way.");
    };
    let mut text = format!("The authkey in use is {in_use}. A rotation is under way: {step}.");
    if !state.waits_for.is_empty() {
        text.push_str(&format!(" Waits for: {}.", state.waits_for.join("; ")));
    }
    if !state.abandoned.is_empty() {
        text.push_str(&format!(
            " Left behind, and in need of the authkey by hand: {}.",
            state.abandoned.join(", ")
        ));
    }
    text
}

/// A machine joins one cluster, once: what an earlier one left is not overwritten.
fn belongs_to_none(paths: &Paths) -> Result<(), Failure> {
    let files = [paths.corosync_conf(), paths.authkey()];
    if let Some(file) = files.iter().find(|f| f.exists()) {
        return Err(Failure {
            exit: Exit::Exists,
            text: format!(
                "{} exists: this machine belongs to a cluster",
                file.display()
            ),
            cure: Some(format!(
                "if that is over, stop mainstayd, run `mainstay store reset --yes-lose-state`, and remove {} and {}",
                files[0].display(),
                files[1].display()
            )),
        });
    }
    let mut store = std::fs::read_dir(paths.store_dir()).into_iter().flatten();
    if store.next().is_some() {
        return Err(Failure {
            exit: Exit::Exists,
            text: format!(
                "{} holds the state of another cluster",
                paths.store_dir().display()
            ),
            cure: Some("if that is over, run `mainstay store reset --yes-lose-state`".to_owned()),
        });
    }
    Ok(())
}

/// All addresses of this machine.
fn machines_addresses() -> Result<Vec<IpAddr>, Failure> {
    let failed = |e: netlink::Error| Failure::new(Exit::Error, format!("own addresses: {e}"));
    let mut kernel = netlink::Kernel::open().map_err(failed)?;
    let all = kernel.addresses().map_err(failed)?;
    Ok(all.into_iter().map(|a| a.ip).collect())
}

/// The first address of an interface that other nodes can reach, as crmsh's `-i eth0` means it.
pub(in crate::cli) fn address_on(interface: &str) -> Result<IpAddr, Failure> {
    let failed = |e: netlink::Error| Failure::usage(format!("-i {interface}: {e}"));
    let mut kernel = netlink::Kernel::open().map_err(failed)?;
    let link = kernel.link(interface).map_err(failed)?;
    let all = kernel.addresses().map_err(failed)?;
    let found = all
        .into_iter()
        .find(|a| a.index == link.index && nobody_reaches(a.ip).is_none());
    found.map(|a| a.ip).ok_or_else(|| {
        Failure::usage(format!(
            "-i {interface}: it has no address that other nodes could reach"
        ))
    })
}

/// Addresses that were given, where this machine has them, each once.
fn own(given: &[IpAddr]) -> Result<Vec<IpAddr>, Failure> {
    let all = machines_addresses()?;
    for (at, address) in given.iter().enumerate() {
        if given[..at].contains(address) {
            return Err(Failure::usage(format!(
                "{address} is given twice: each link of a node has an address of its own"
            )));
        }
        if !all.contains(address) {
            let all: Vec<_> = all.iter().filter(|a| !a.is_loopback()).collect();
            let all: Vec<_> = all.into_iter().map(ToString::to_string).collect();
            return Err(Failure::usage(format!(
                "{address} is no address of this machine: it has {}",
                all.join(", ")
            )));
        }
    }
    Ok(given.to_vec())
}

/// The one address that this machine has beside loopback.
fn only_address() -> Result<IpAddr, Failure> {
    let all = machines_addresses()?;
    let usable = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    let found: Vec<IpAddr> = all.into_iter().filter(usable).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Failure::usage(
            "this machine has no address beside loopback: give it one, or name it with --address",
        )),
        many => {
            let many: Vec<_> = many.iter().map(ToString::to_string).collect();
            Err(Failure::usage(format!(
                "this machine has several addresses ({}): say with --address which one the nodes shall use",
                many.join(", ")
            )))
        }
    }
}

fn address_of(host: &str, paths: &Paths) -> Result<SocketAddr, Failure> {
    if let Ok(address) = host.parse() {
        return Ok(address);
    }
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => (name, port.parse().ok()),
        _ => (host, Some(crate::conf::PORT_DEFAULT)),
    };
    let hosts = Hosts::load(&paths.root().join("etc/hosts"));
    let address = hosts.address(name);
    match (address, port) {
        (Some(ip), Some(port)) => Ok(SocketAddr::new(ip, port)),
        _ => Err(Failure::usage(format!(
            "`{host}` is no host that this machine knows: give its address"
        ))),
    }
}

fn make_dir(file: &Path) -> Result<(), Failure> {
    let dir = file.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(dir)
        .map_err(|e| Failure::new(Exit::CantCreat, format!("{}: {e}", dir.display())))
}

/// Whether the key and the configuration can be put beside `file`.
fn may_write(file: &Path) -> Result<(), Failure> {
    let dir = file.parent().unwrap_or(Path::new("/"));
    access(dir, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|e| {
        Failure::new(
            Exit::CantCreat,
            format!("{}: {}; nothing was asked", dir.display(), e.desc()),
        )
    })
}

fn write(file: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    replace_file(file, bytes, mode)
        .map_err(|e| Failure::new(Exit::CantCreat, format!("{}: {e}", file.display())))
}

/// A token's text and some white space, in bytes.
const TOKEN_BYTES_MAX: u64 = 256;
/// How long `key rotate` waits before it leaves the rotation to itself.
const ROTATION_WAIT_MAX: Duration = Duration::from_secs(60);
/// Pause between two looks at a rotation.
const ROTATION_LOOK: Duration = Duration::from_millis(300);
