//! What is read and opened before anything is started: corosync.conf, addresses, store, identity.

use super::disk;
use super::refusal::{EX_CANTCREAT, EX_CONFIG, EX_OSERR, Refusal, refuse};
use crate::conf::{self, ClusterConf, Hosts, Strictness};
use crate::paths::Paths;
use crate::transport::{AddressError, OsEntropy, Peers};
use membership::{PeerConfig, Recovered, Timing, VoterSet};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use store::{OpenOptions, Store};
use wire::{Identity, MachineBoot, NodeId, ProcessBoot};

/// A store that is open, and what it said.
pub(super) struct OpenStore {
    pub(super) store: Store,
    pub(super) recovered: Recovered,
    /// The administrator takes a lost store as it is.
    pub(super) trusted: bool,
    pub(super) notices: Vec<String>,
}

/// Reads corosync.conf; absent or wrong is a refusal with the cure.
pub(super) fn read_conf(paths: &Paths, strictness: Strictness) -> Result<ClusterConf, Refusal> {
    let path = paths.corosync_conf();
    let text = std::fs::read_to_string(&path).map_err(|e| {
        let cure = "write one (see mainstay.conf(5) for an example), or copy it from another node";
        refuse(EX_CONFIG, format!("{}: {e}: {cure}", path.display()))
    })?;
    conf::read(&path.display().to_string(), &text, strictness).map_err(|e| refuse(EX_CONFIG, e))
}

/// `token`, or 500 ms (ruling 1).
pub(super) fn timing_of(conf: &ClusterConf) -> Result<Timing, Refusal> {
    let token_ms = conf.token_ms.unwrap_or(TOKEN_MS_DEFAULT);
    Timing::derive(token_ms * 1000).map_err(|e| refuse(EX_CONFIG, e))
}

/// Finds this machine in the node list; right after boot its addresses may be yet to come.
pub(super) fn find_peers(conf: &ClusterConf, paths: &Paths) -> Result<Peers, Refusal> {
    find_here(conf, paths, Peers::resolve)
}

/// How a machine finds its place by its own addresses.
type Resolve = fn(&ClusterConf, &Hosts, &[IpAddr]) -> Result<Peers, AddressError>;

/// As [`find_peers`], whatever this machine is to be.
pub(super) fn find_here(
    conf: &ClusterConf,
    paths: &Paths,
    resolve: Resolve,
) -> Result<Peers, Refusal> {
    let hosts = Hosts::load(&paths.root().join("etc/hosts"));
    let until = Instant::now() + ADDRESS_WAIT;
    loop {
        let own = own_addresses()?;
        match resolve(conf, &hosts, &own) {
            Err(AddressError::NotListed { .. } | AddressError::NotWitness { .. })
                if Instant::now() < until =>
            {
                std::thread::sleep(ADDRESS_RETRY);
            }
            Err(error) => {
                let file = paths.corosync_conf();
                return Err(refuse(EX_CONFIG, format!("{}: {error}", file.display())));
            }
            Ok(peers) => return Ok(peers),
        }
    }
}

pub(super) fn own_addresses() -> Result<Vec<IpAddr>, Refusal> {
    let networks = own_networks()?.into_iter();
    Ok(networks.map(|(ip, _)| ip).collect())
}

/// This machine's addresses with their prefix lengths.
pub(super) fn own_networks() -> Result<Vec<(IpAddr, u8)>, Refusal> {
    let failed = |e: netlink::Error| refuse(EX_OSERR, format!("own addresses: {e}"));
    let mut kernel = netlink::Kernel::open().map_err(failed)?;
    let addresses = kernel.addresses().map_err(failed)?;
    Ok(addresses.into_iter().map(|a| (a.ip, a.prefix)).collect())
}

/// Opens the store, and says what it holds; `accept_lost` takes an empty one where there was a full
/// one.
pub(super) fn open_store(paths: &Paths, accept_lost: bool) -> Result<OpenStore, Refusal> {
    let dir = paths.store_dir();
    for dir in [&dir, &paths.run_dir()] {
        std::fs::create_dir_all(dir)
            .map_err(|e| refuse(EX_CANTCREAT, format!("{}: {e}", dir.display())))?;
    }
    let options = OpenOptions {
        allow_empty: accept_lost,
        ..OpenOptions::default()
    };
    let opened = Store::open(&dir, &options)
        .map_err(|e| refuse(EX_CANTCREAT, format!("{e}; {}", e.cure())))?;
    let mut notices = opened.state.notices.clone();
    if let Some(cause) = opened.state.health.cause() {
        notices.push(format!("the store is damaged ({cause}): this node does not vote before it has fetched the cluster's state"));
    }
    check_room(&dir)?;
    let recovered = disk::recovered(&opened).map_err(|e| refuse(EX_CANTCREAT, e))?;
    Ok(OpenStore {
        store: opened.store,
        recovered,
        trusted: accept_lost,
        notices,
    })
}

/// On a disk that is as good as full the store would fail with the first writes, and the node would
/// join and leave again and again.
fn check_room(dir: &Path) -> Result<(), Refusal> {
    // A file system that does not tell is taken as it is: the store notices what is wrong.
    let Ok(room) = nix::sys::statvfs::statvfs(dir) else {
        return Ok(());
    };
    let free_bytes = room.blocks_available().saturating_mul(room.fragment_size());
    if free_bytes >= FREE_BYTES_MIN {
        return Ok(());
    }
    let text = format!(
        "{}: only {} KiB are free on this file system, {} KiB are needed to start: free some space, mainstayd then starts",
        dir.display(),
        free_bytes / 1024,
        FREE_BYTES_MIN / 1024,
    );
    Err(refuse(EX_CANTCREAT, text))
}

/// This process as the others will know it: a boot of the machine, a process, an incarnation.
pub(super) fn identity(
    paths: &Paths,
    peers: &Peers,
    recovered: &Recovered,
) -> Result<Identity, Refusal> {
    let file = paths.root().join("proc/sys/kernel/random/boot_id");
    let text = std::fs::read_to_string(&file)
        .or_else(|_| std::fs::read_to_string("/proc/sys/kernel/random/boot_id"))
        .map_err(|e| refuse(EX_OSERR, format!("{}: {e}", file.display())))?;
    let hex: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let mut boot = [0; 16];
    for (byte, pair) in boot.iter_mut().zip(hex.chunks(2)) {
        let pair = std::str::from_utf8(pair).unwrap_or("0");
        *byte = u8::from_str_radix(pair, 16).unwrap_or(0);
    }
    Ok(Identity {
        node: peers.me,
        machine_boot: MachineBoot(boot),
        process_boot: ProcessBoot(OsEntropy::array()),
        incarnation: recovered.safety.as_ref().map_or(0, |s| s.incarnation) + 1,
    })
}

/// What the protocol is told of the cluster.
pub(super) fn core_config(
    conf: &ClusterConf,
    peers: &Peers,
    me: Identity,
    timing: Timing,
    trust_store: bool,
) -> membership::Config {
    membership::Config {
        me,
        peers: peer_configs(peers),
        nodelist_digest: digest(conf, peers),
        voters: voters(conf, peers),
        timing,
        hold_us: None,
        fencing: true,
        seed: u64::from_le_bytes(OsEntropy::array()),
        new_cluster_uuid: OsEntropy::array(),
        trust_store,
    }
}

/// The peers as the core knows them.
pub(super) fn peer_configs(peers: &Peers) -> Vec<PeerConfig> {
    let config = |node: NodeId| {
        let links = peers.links.iter();
        let links = links.filter(|l| l.peers.contains_key(&node));
        let (links, priorities) = links.map(|l| (l.link, l.priority)).unzip();
        PeerConfig {
            node,
            links,
            priorities,
        }
    };
    let partners = peers.partners().into_iter();
    partners.map(config).collect()
}

/// votequorum(5) as the file says it.
pub(super) fn voters(conf: &ClusterConf, peers: &Peers) -> VoterSet {
    let votes = peers.votes.iter().map(|(n, v)| (*n, *v)).collect();
    conf.voters_among(votes, conf.quorum.expected_votes)
}

/// Equal on nodes whose files name the same nodes, addresses and quorum rules (R6).
pub(super) fn digest(conf: &ClusterConf, peers: &Peers) -> [u8; 32] {
    let mut nodes: Vec<_> = conf
        .nodes
        .iter()
        .map(|n| (n.id, &n.addrs, n.votes))
        .collect();
    nodes.sort_by_key(|n| n.0);
    let quorum = voters(conf, peers);
    Sha256::digest(format!("{nodes:?} {quorum:?} {}", conf.cluster_name)).into()
}

/// Detection timeout where corosync.conf gives no `token`, milliseconds (ruling 1).
const TOKEN_MS_DEFAULT: u64 = 500;
/// How long to wait at start for an address of the node list to come up.
const ADDRESS_WAIT: Duration = Duration::from_secs(10);
/// Pause between two looks.
const ADDRESS_RETRY: Duration = Duration::from_millis(100);
/// Room on the store's disk without which the daemon does not start, in bytes.
const FREE_BYTES_MIN: u64 = 2 * 1024 * 1024;
