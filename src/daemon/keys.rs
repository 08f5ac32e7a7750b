//! The rotation of the authkey (R18): ADD, USE, DROP as log entries, each on every configured node
//! before the next, and the files that hold the keys.
//!
//! `authkey` is the key in use; `authkey.next` is accepted since ADD, `authkey.old` until DROP. Files
//! are written before a node says that it has done its part, so that a restart at any moment finds
//! every key that the others may use.

use super::app::{App, Own, now_s};
use super::joining::then_say;
use super::peer::{Item, WireReport};
use super::requests::{Reply, error};
use crate::conf::{self, AuthkeyError, KEY_BYTES};
use crate::ipc::{ErrorKind, KeyState, Response};
use crate::paths::Paths;
use crate::replica::{Directory, DirectoryChange, LoggedDirectory, RotationPhase};
use crate::transport::{Message, OsEntropy, boottime_ms};
use membership::{EntryBody, Input};
use std::path::{Path, PathBuf};
use wire::{KeyId, KeyRing, NodeId, VersionRange};
use zeroize::Zeroizing;

/// The keys of this node, and what is being done about them.
#[derive(Debug)]
pub(super) struct Keys {
    ring: KeyRing,
    /// Files are being written.
    busy: bool,
    /// Every session is under the key in use.
    renewed: bool,
    /// The next look at a rotation under way.
    look_ms: u64,
    /// The lowest version asked of the protocol thread.
    min_version: u8,
}

/// Which keys a node is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    in_use: KeyId,
    accepted: Vec<KeyId>,
    /// A key to be unsealed: its name, the one it is sealed under, the bytes.
    sealed: Option<(KeyId, KeyId, Vec<u8>)>,
}

impl Keys {
    pub(super) fn new(ring: KeyRing) -> Self {
        Self {
            ring,
            busy: false,
            renewed: true,
            look_ms: u64::MAX,
            min_version: 0,
        }
    }

    pub(super) fn next_timeout_ms(&self) -> Option<u64> {
        Some(self.look_ms).filter(|at| *at != u64::MAX)
    }

    fn report(&self) -> WireReport {
        let ids = self.ring.key_ids();
        WireReport {
            in_use: ids.first().map_or([0; 2], |id| id.0),
            accepted: ids.iter().map(|id| id.0).collect(),
            renewed: self.renewed,
            versions: (VersionRange::OURS.min, VersionRange::OURS.max),
        }
    }
}

impl App {
    /// Does this node's part of what the log says about keys and versions.
    pub(super) fn follow_keys(&mut self) {
        let directory = self.replica.directory();
        let min_version = directory.min_version();
        let rotating = directory.rotation().is_some();
        let target = target(directory);
        if min_version > self.keys.min_version {
            self.keys.min_version = min_version;
            self.tell_protocol(Message::MinVersion(min_version));
        }
        if rotating && self.keys.look_ms == u64::MAX {
            self.keys.look_ms = boottime_ms();
        }
        let Some(target) = target.filter(|t| !t.is_met(&self.keys.ring)) else {
            return;
        };
        if !self.keys.ring.key_ids().contains(&target.in_use) && !self.lacks_key_of(&target) {
            return;
        }
        if std::mem::replace(&mut self.keys.busy, true) {
            // It looks again when the files are written.
            return;
        }
        let (own, paths) = (self.own.clone(), self.paths.clone());
        let (ring, name) = (self.keys.ring.clone(), self.conf.cluster_name.clone());
        tokio::task::spawn_blocking(move || {
            let done = carry_out(&paths, ring, &name, &target);
            // The loop has ended: a restart looks again.
            let _ = own.blocking_send(Own::Keys(done.map(Box::new)));
        });
    }

    /// The key in use is not here. At a start the log is read from an earlier moment on, and then
    /// this node is past that step; without a rotation somebody has replaced the key by hand, with
    /// the cluster stopped. Both are in order.
    fn lacks_key_of(&self, target: &Target) -> bool {
        let new = target.sealed.as_ref().map(|(new, ..)| *new);
        new.is_some_and(|new| !self.keys.ring.key_ids().contains(&new))
    }

    /// The files are as the log wants them, or could not be written.
    pub(super) fn keys_written(&mut self, done: Result<Box<KeyRing>, String>) {
        self.keys.busy = false;
        let ring = match done {
            Ok(ring) => *ring,
            Err(why) => {
                self.notice_once("authkey", why);
                return;
            }
        };
        self.notices.clear("authkey");
        let in_use = |ring: &KeyRing| ring.key_ids().first().copied();
        self.keys.renewed &= in_use(&ring) == in_use(&self.keys.ring);
        tracing::info!(keys = ?ring.key_ids(), "authkeys accepted, the one in use first");
        self.keys.ring = ring.clone();
        self.streams.set_ring(ring.clone());
        self.tell_protocol(Message::Ring(Box::new(ring)));
        self.publish_keys();
        self.follow_keys();
    }

    fn tell_protocol(&mut self, message: Message) {
        if let Err(why) = self.protocol.send(message) {
            self.notice("protocol-busy", format!("{why}: a change of keys was lost"));
        }
    }

    pub(super) fn publish_keys(&mut self) {
        let item = Item::Wire(self.keys.report());
        self.publish(vec![(item.key(), Some(item.value()))]);
    }

    /// Looks at a rotation under way: at the own sessions, and as the DC at everybody's part.
    pub(super) fn keys_on_time(&mut self, now_ms: u64) {
        if now_ms < self.keys.look_ms {
            return;
        }
        if self.replica.directory().rotation().is_none() {
            self.keys.look_ms = u64::MAX;
            return;
        }
        self.keys.look_ms = now_ms + LOOK_MS;
        self.follow_keys();
        self.ask_protocol(|report| Own::Renewed(report.is_some_and(|r| r.renewed)));
        if self.standing.acting.is_some() && self.rotation_waits_for().is_empty() {
            let rotation = self.replica.directory().rotation();
            let change = match rotation.map(|r| r.phase) {
                Some(RotationPhase::Added) => DirectoryChange::UseKey,
                Some(RotationPhase::Used) => DirectoryChange::DropKey,
                None => return,
            };
            let op = Self::new_op();
            let logged = LoggedDirectory::new(now_s(), Vec::new(), change);
            let body = EntryBody::App {
                op,
                origin: self.me.node,
                payload: logged.encode(),
            };
            self.input(Input::Propose { op, body });
        }
    }

    pub(super) fn sessions_renewed(&mut self, renewed: bool) {
        if std::mem::replace(&mut self.keys.renewed, renewed) != renewed {
            self.publish_keys();
        }
    }

    /// Configured nodes that have not done their part of the present step, with what is missing.
    fn rotation_waits_for(&self) -> Vec<String> {
        let directory = self.replica.directory();
        let Some(rotation) = directory.rotation() else {
            return Vec::new();
        };
        let missing = |node: NodeId| {
            let members = self.replica.standings().members();
            let report = self.reports.of(node).and_then(|r| r.wire());
            let Some(report) = report.filter(|_| members.contains(&node.0)) else {
                return Some("is not there");
            };
            match rotation.phase {
                RotationPhase::Added if !report.accepted.contains(&rotation.key_id) => {
                    Some("does not have the new key yet")
                }
                RotationPhase::Used if report.in_use != rotation.key_id => {
                    Some("does not use the new key yet")
                }
                RotationPhase::Used if !report.renewed => {
                    Some("has sessions under the old key still")
                }
                _ => None,
            }
        };
        let configured = self.peers.names.iter();
        let configured = configured.filter(|(id, _)| !rotation.abandoned.contains(&id.0));
        configured
            .filter_map(|(id, name)| Some(format!("{name} {}", missing(*id)?)))
            .collect()
    }

    pub(super) fn rotate_key(&mut self, reply: Reply) {
        let ring = &self.keys.ring;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        let name = |key: &[u8; KEY_BYTES]| KeyRing::id_of(key.as_slice()).ok();
        // Names have two bytes: one that is taken is drawn again.
        let drawn = (0..DRAWS_MAX).find_map(|_| {
            wire::Entropy::fill(&mut OsEntropy, key.as_mut_slice());
            name(&key).filter(|id| !ring.key_ids().contains(id))
        });
        let (Some(id), Some(under)) = (drawn, ring.key_ids().first().copied()) else {
            return drop(reply.send(error(ErrorKind::Failed, "no key could be drawn")));
        };
        let change = DirectoryChange::AddKey {
            key_id: id.0,
            under: under.0,
            sealed: ring.wrap(key.as_slice(), &mut OsEntropy),
        };
        let text = format!("the authkey is being replaced: {under} by {id}");
        self.change_directory(change, then_say(reply, text));
    }

    pub(super) fn abandon_in_rotation(&mut self, name: &str, reply: Reply) {
        let Some(node) = self.peers.by_name(name) else {
            let text = format!("no node is called `{name}`");
            return drop(reply.send(error(ErrorKind::NotFound, &text)));
        };
        let text = format!(
            "the rotation does not wait for {name}: copy the authkey there by hand before mainstayd starts on it"
        );
        let change = DirectoryChange::AbandonKey { node: node.0 };
        self.change_directory(change, then_say(reply, text));
    }

    pub(super) fn key_status(&self) -> Response {
        let directory = self.replica.directory();
        let ids = self.keys.ring.key_ids();
        let step = directory.rotation().map(|r| match r.phase {
            RotationPhase::Added => "every node is to accept the new key",
            RotationPhase::Used => "every node is to use the new key",
        });
        let abandoned = directory.rotation().into_iter();
        let abandoned = abandoned.flat_map(|r| &r.abandoned);
        Response::Keys(KeyState {
            accepted: ids.iter().map(ToString::to_string).collect(),
            step: step.map(str::to_owned),
            waits_for: self.rotation_waits_for(),
            abandoned: abandoned.map(|id| self.peers.name(NodeId(*id))).collect(),
        })
    }

    /// Raises the lowest version of the protocol; every configured node has to speak it.
    pub(super) fn set_min_version(&mut self, version: u8, reply: Reply) {
        let newest = |node: &NodeId| self.reports.of(*node)?.wire().map(|w| w.versions.1);
        let behind = self.peers.names.iter();
        let behind = behind.filter(|(id, _)| newest(id).is_none_or(|max| max < version));
        let behind: Vec<&str> = behind.map(|(_, name)| name.as_str()).collect();
        if !behind.is_empty() {
            let text = format!(
                "version {version} of the protocol is not spoken, as far as is known here, by {}: bring every node up and to a version of mainstay that speaks it first",
                behind.join(", ")
            );
            return drop(reply.send(error(ErrorKind::Invalid, &text)));
        }
        let text = format!("versions of the protocol below {version} are refused");
        let change = DirectoryChange::MinVersion(version);
        self.change_directory(change, then_say(reply, text));
    }
}

fn target(directory: &Directory) -> Option<Target> {
    let Some(rotation) = directory.rotation() else {
        let in_use = KeyId(directory.key_id()?);
        return Some(Target {
            in_use,
            accepted: vec![in_use],
            sealed: None,
        });
    };
    let (new, old) = (KeyId(rotation.key_id), KeyId(rotation.under));
    let in_use = match rotation.phase {
        RotationPhase::Added => old,
        RotationPhase::Used => new,
    };
    Some(Target {
        in_use,
        accepted: vec![new, old],
        sealed: Some((new, old, rotation.sealed.clone())),
    })
}

impl Target {
    /// What the ring holds beyond what it is to accept is dropped only where nothing rotates.
    fn is_met(&self, ring: &KeyRing) -> bool {
        let ids = ring.key_ids();
        ids.first() == Some(&self.in_use)
            && self.accepted.iter().all(|id| ids.contains(id))
            && ids.len() == self.accepted.len()
    }
}

/// Brings files and ring to the target. Every step can be repeated after a crash.
fn carry_out(
    paths: &Paths,
    mut ring: KeyRing,
    cluster_name: &str,
    target: &Target,
) -> Result<KeyRing, String> {
    let files = Files::of(paths);
    let failed = |e: AuthkeyError| e.to_string();
    if let Some((id, under, sealed)) = &target.sealed
        && !ring.key_ids().contains(id)
    {
        let key = ring.unwrap(*under, sealed).ok_or_else(|| {
            format!(
                "the cluster's new authkey cannot be read here, because this node has not the one before it (key {under}): copy the authkey from another node and restart mainstayd"
            )
        })?;
        write(&files.next, &key)?;
        ring = ring.with(&key, cluster_name).map_err(|e| e.to_string())?;
    }
    if !ring.key_ids().contains(&target.in_use) {
        return Err(format!(
            "this node has not the authkey that the cluster uses (key {}): copy it from another node and restart mainstayd",
            target.in_use
        ));
    }
    let now = conf::load_authkey(&files.used).map_err(failed)?;
    if KeyRing::id_of(&now).ok() != Some(target.in_use) {
        let next = conf::load_authkey(&files.next).map_err(failed)?;
        write(&files.old, &now)?;
        write(&files.used, &next)?;
    }
    ring = ring.using(target.in_use);
    for id in ring.key_ids() {
        if !target.accepted.contains(&id) {
            ring = ring.without(id);
        }
    }
    // What is in the ring and in no file that is needed goes: the new key is in its place, the old
    // one refused.
    let goes = |path: &Path| {
        let held = conf::load_authkey(path).ok();
        let id = held.and_then(|key| KeyRing::id_of(&key).ok());
        id.is_some_and(|id| id == target.in_use || !target.accepted.contains(&id))
    };
    for path in [&files.next, &files.old] {
        if goes(path) {
            std::fs::remove_file(path).map_err(|e| format!("{}: {e}", path.display()))?;
        }
    }
    Ok(ring)
}

struct Files {
    used: PathBuf,
    next: PathBuf,
    old: PathBuf,
}

impl Files {
    fn of(paths: &Paths) -> Self {
        let used = paths.authkey();
        Self {
            next: used.with_extension("next"),
            old: used.with_extension("old"),
            used,
        }
    }
}

fn write(path: &Path, key: &[u8]) -> Result<(), String> {
    conf::replace_file(path, key, KEY_MODE).map_err(|e| format!("{}: {e}", path.display()))
}

/// The keys that a start accepts: the one in use, and what a rotation under way has left.
pub(super) fn load_ring(paths: &Paths, cluster_name: &str) -> Result<KeyRing, String> {
    let files = Files::of(paths);
    let derive = |key: &[u8]| KeyRing::derive(key, cluster_name).map_err(|e| e.to_string());
    let key = conf::load_authkey(&files.used).map_err(|e| e.to_string())?;
    let mut ring = derive(&key)?;
    for path in [&files.next, &files.old] {
        match conf::load_authkey(path) {
            Ok(key) => ring = ring.with(&key, cluster_name).map_err(|e| e.to_string())?,
            Err(AuthkeyError::Missing { .. }) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(ring)
}

/// Pause between two looks at a rotation under way, in milliseconds.
const LOOK_MS: u64 = 250;
/// Draws for a key whose name is not taken.
const DRAWS_MAX: usize = 16;
/// Mode of an authkey.
const KEY_MODE: u32 = 0o400;

#[cfg(test)]
mod tests {
    use super::*;

    struct Node {
        _dir: tempfile::TempDir,
        paths: Paths,
        ring: KeyRing,
    }

    fn node(key: &[u8]) -> Node {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below(dir.path());
        std::fs::create_dir_all(paths.authkey().parent().unwrap()).unwrap();
        write(&paths.authkey(), key).unwrap();
        let ring = load_ring(&paths, "c").unwrap();
        Node {
            _dir: dir,
            paths,
            ring,
        }
    }

    impl Node {
        fn go(&mut self, target: &Target) -> Result<(), String> {
            self.ring = carry_out(&self.paths, self.ring.clone(), "c", target)?;
            assert!(target.is_met(&self.ring));
            // A restart finds what it needs, and the same again changes nothing.
            let restarted = load_ring(&self.paths, "c").unwrap();
            assert_eq!(restarted.key_ids(), self.ring.key_ids());
            let again = carry_out(&self.paths, restarted, "c", target)?;
            assert_eq!(again.key_ids(), self.ring.key_ids());
            Ok(())
        }

        fn files(&self) -> Vec<String> {
            let dir = self.paths.authkey();
            let mut names: Vec<_> = std::fs::read_dir(dir.parent().unwrap())
                .unwrap()
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    #[test]
    fn files_follow_the_steps_and_survive_a_restart_at_each() {
        let (old, new) = ([1; 256], [2; 256]);
        let id = |key: &[u8]| KeyRing::id_of(key).unwrap();
        let mut node = node(&old);
        let sealed = node.ring.wrap(&new, &mut OsEntropy);
        let target = |in_use: &[u8], accepted: &[&[u8]]| Target {
            in_use: id(in_use),
            accepted: accepted.iter().map(|k| id(k)).collect(),
            sealed: Some((id(&new), id(&old), sealed.clone())),
        };
        node.go(&target(&old, &[&new, &old])).unwrap();
        assert_eq!(node.files(), ["authkey", "authkey.next"]);
        node.go(&target(&new, &[&new, &old])).unwrap();
        assert_eq!(node.files(), ["authkey", "authkey.old"]);
        let over = Target {
            sealed: None,
            ..target(&new, &[&new])
        };
        node.go(&over).unwrap();
        assert_eq!(node.files(), ["authkey"]);
        let key = conf::load_authkey(&node.paths.authkey()).unwrap();
        assert_eq!(key.as_slice(), new);
    }

    #[test]
    fn a_node_without_the_key_before_is_told_what_to_do() {
        let (old, new) = ([1; 256], [2; 256]);
        let id = |key: &[u8]| KeyRing::id_of(key).unwrap();
        let sealed = node(&old).ring.wrap(&new, &mut OsEntropy);
        let target = Target {
            in_use: id(&old),
            accepted: vec![id(&new), id(&old)],
            sealed: Some((id(&new), id(&old), sealed)),
        };
        let said = node(&[3; 256]).go(&target).unwrap_err();
        assert!(said.contains("copy the authkey"), "{said}");
    }
}
