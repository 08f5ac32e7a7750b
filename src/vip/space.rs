//! Addresses in other network namespaces (`network_namespace`): each namespace has sockets and
//! threads of its own, and everything works there as it does here.

use super::params::{Refusal, rc};
use super::{HeldVip, NativeVip};
use crate::executor::OpRequest;
use netlink::NetNs;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The namespaces in use, by name.
#[derive(Debug, Default)]
pub(super) struct Spaces(Mutex<BTreeMap<String, Arc<Space>>>);

#[derive(Debug)]
struct Space {
    netns: NetNs,
    /// Device and inode: a name may come to mean another namespace.
    identity: (u64, u64),
    vip: NativeVip,
}

impl Spaces {
    pub(super) fn run(&self, name: &str, request: &OpRequest) -> (i32, String) {
        let mut inside = request.clone();
        inside.params.remove("network_namespace");
        let result = self.space(name).and_then(|space| {
            let run = || space.vip.run(&inside);
            space.netns.run(run).map_err(|error| error.to_string())
        });
        result.unwrap_or_else(|reason| absent(request, name, &reason))
    }

    /// What is held in other namespaces, each with its namespace's name after the device.
    pub(super) fn list(&self) -> Vec<HeldVip> {
        let spaces = self.lock();
        let named = spaces.iter().flat_map(|(name, space)| {
            let mut held = space.vip.list();
            for vip in &mut held {
                vip.device = format!("{}@{name}", vip.device);
            }
            held
        });
        named.collect()
    }

    pub(super) fn announce_again(&self, reason: &str) -> usize {
        let spaces: Vec<Arc<Space>> = self.lock().values().cloned().collect();
        let again = |space: &Arc<Space>| {
            let announced = space.netns.run(|| space.vip.announce_again(reason));
            announced.unwrap_or_else(|error| {
                tracing::warn!(%error, reason, "addresses not announced again");
                0
            })
        };
        spaces.iter().map(again).sum()
    }

    fn space(&self, name: &str) -> Result<Arc<Space>, String> {
        let path = file_of(name);
        let metadata = std::fs::metadata(&path);
        let metadata = metadata.map_err(|error| format!("{}: {error}", path.display()))?;
        let identity = (metadata.dev(), metadata.ino());
        let mut spaces = self.lock();
        if let Some(space) = spaces.get(name).filter(|space| space.identity == identity) {
            return Ok(Arc::clone(space));
        }
        let netns = NetNs::open(&path).map_err(|error| error.to_string())?;
        let vip = netns.run(NativeVip::new).and_then(|vip| vip);
        let space = Arc::new(Space {
            vip: vip.map_err(|error| error.to_string())?,
            netns,
            identity,
        });
        spaces.insert(name.to_owned(), Arc::clone(&space));
        Ok(space)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Space>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As ip-netns(8) names them; a whole path is taken as it is.
fn file_of(name: &str) -> PathBuf {
    Path::new(NAMED_SPACES).join(name)
}

/// Without its namespace an address is nowhere.
fn absent(request: &OpRequest, name: &str, why: &str) -> (i32, String) {
    let reason = format!("no network namespace {name} on this node: {why}");
    let refusal = match request.operation.as_str() {
        "stop" => return (rc::OK, String::new()),
        "monitor" | "status" => Refusal::new(rc::NOT_RUNNING, reason),
        _ => Refusal::new(rc::GENERIC, format!("{reason}; ip netns add {name}")),
    };
    (refusal.rc, refusal.reason)
}

const NAMED_SPACES: &str = "/run/netns";
