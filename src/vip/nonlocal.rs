//! `ip_nonlocal_bind`: services may listen on a floating address before it is here.
//!
//! Set on every node where the configuration wants it, whichever node has the address; given its
//! old value back at a clean stop or when nobody wants it any more. What it was is on disk before
//! it is changed: a daemon that dies leaves it set, and its successor knows what to restore.

use crate::view::SwitchStatus;
use cib::Cib;
use cib::config::{Config, Kind};
use netlink::sysctl::{self, Set};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The switches of this node.
#[derive(Debug)]
pub struct NonlocalBind {
    file: PathBuf,
    kept: Kept,
    wants: Wants,
    trouble: BTreeMap<String, String>,
}

/// Who wants which switch, in words, by its key.
pub type Wants = BTreeMap<&'static str, String>;

/// What stands in the state directory while a switch is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// The boot that this speaks of: after another one the machine has its own values again.
    boot: String,
    /// Old values, by key.
    was: BTreeMap<String, String>,
}

impl NonlocalBind {
    /// With what an earlier process of this boot of the machine has left.
    #[must_use]
    pub fn open(state_dir: &Path, boot: &str) -> Self {
        let file = state_dir.join(FILE);
        let text = std::fs::read(&file).unwrap_or_default();
        let kept: Kept = serde_json::from_slice(&text).unwrap_or_default();
        let fresh = Kept {
            boot: boot.to_owned(),
            was: BTreeMap::new(),
        };
        Self {
            kept: if kept.boot == boot { kept } else { fresh },
            file,
            wants: Wants::new(),
            trouble: BTreeMap::new(),
        }
    }

    /// Has the switches set that somebody wants, and the others given back. Returns what a person
    /// should know: why one could not be set, once per cause. That is no failure: an address works
    /// without it.
    pub fn want(&mut self, wants: Wants) -> Vec<String> {
        self.wants = wants;
        let mut news = Vec::new();
        for key in KEYS {
            let result = match self.wants.get(key) {
                Some(_) => self.set(key),
                None => self.give_back(key),
            };
            match result {
                Ok(()) => drop(self.trouble.remove(key)),
                Err(why) => {
                    if self.trouble.insert(key.to_owned(), why.clone()).as_ref() != Some(&why) {
                        news.push(why);
                    }
                }
            }
        }
        news
    }

    /// Gives everything back: at a clean stop.
    pub fn restore(&mut self) {
        for why in self.want(Wants::new()) {
            tracing::warn!("{why}");
        }
    }

    /// What stands now, and who set it.
    #[must_use]
    pub fn status(&self) -> Vec<SwitchStatus> {
        let of = |key: &str| {
            let value = sysctl::read(key).ok();
            let wanted_by = self.wants.get(key).cloned().unwrap_or_default();
            let set_by = match (value.as_deref(), self.kept.was.get(key)) {
                (Some("0") | None, _) => String::new(),
                (_, Some(was)) => format!("mainstayd (it was {was}): {wanted_by}"),
                (_, None) => "somebody else".to_owned(),
            };
            SwitchStatus {
                key: key.replace('/', "."),
                value: value.unwrap_or_else(|| "absent".to_owned()),
                wanted_by,
                set_by,
                trouble: self.trouble.get(key).cloned().unwrap_or_default(),
            }
        };
        KEYS.into_iter().map(of).collect()
    }

    fn set(&mut self, key: &str) -> Result<(), String> {
        let old = match sysctl::read(key) {
            Ok(old) => old,
            Err(error) => return Err(self.unset(key, &error.to_string())),
        };
        if old == "1" {
            return Ok(());
        }
        // Somebody may have changed it since: then that is what is to come back.
        self.kept.was.insert(key.to_owned(), old);
        if let Err(error) = self.keep() {
            self.kept.was.remove(key);
            let why = format!("{}: {error}", self.file.display());
            return Err(self.unset(key, &why));
        }
        match sysctl::set(key, "1") {
            Set::Already | Set::Changed(_) => {
                tracing::info!(key, "set to 1: {}", self.wants.get(key).map_or("", |w| w));
                Ok(())
            }
            Set::Failed(why) => {
                self.kept.was.remove(key);
                // What stands there too many changes nothing: it has that value.
                let _ = self.keep();
                Err(self.unset(key, &why))
            }
        }
    }

    fn unset(&self, key: &str, why: &str) -> String {
        let wanted_by = self.wants.get(key).map_or("", |w| w);
        format!(
            "{} is wanted ({wanted_by}) and could not be set: {why}; services cannot listen on an address that is not here, set it with sysctl on the host",
            key.replace('/', ".")
        )
    }

    fn give_back(&mut self, key: &str) -> Result<(), String> {
        let Some(was) = self.kept.was.get(key).cloned() else {
            return Ok(());
        };
        // Not what we set: somebody has taken it over.
        if sysctl::read(key).is_ok_and(|now| now == "1")
            && let Set::Failed(why) = sysctl::set(key, &was)
        {
            return Err(format!(
                "{} could not be set back to {was}: {why}",
                key.replace('/', ".")
            ));
        }
        self.kept.was.remove(key);
        self.keep()
            .map_err(|error| format!("{}: {error}", self.file.display()))
    }

    fn keep(&self) -> std::io::Result<()> {
        if self.kept.was.is_empty() {
            return match std::fs::remove_file(&self.file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let text = serde_json::to_vec(&self.kept)?;
        let new = self.file.with_extension("new");
        let mut file = std::fs::File::create(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&new, &self.file)
    }
}

/// Which switches the configuration wants: both by the property, one by the parameter of an
/// address of its family.
#[must_use]
pub fn wants(cib: &Cib) -> Wants {
    let config = Config::new(cib);
    let yes = |value: &str| cib::value::parse_bool(value) == Ok(true);
    let mut wants = Wants::new();
    if config.property(PROPERTY).is_some_and(yes) {
        let by = format!("property {PROPERTY}");
        wants.insert(IPV4, by.clone());
        if Path::new("/proc/sys/net/ipv6").exists() {
            wants.insert(IPV6, by);
        }
    }
    let resources = config.resources().into_iter();
    for resource in resources.filter(|r| r.kind == Kind::Primitive) {
        let params = config.parameters(&resource);
        if !params.get(PARAMETER).copied().is_some_and(yes) {
            continue;
        }
        let ip = params.get("ip").or_else(|| params.get("ipv6addr"));
        let key = match ip.and_then(|ip| ip.split('/').next()?.parse().ok()) {
            Some(IpAddr::V4(_)) => IPV4,
            Some(IpAddr::V6(_)) => IPV6,
            None => continue,
        };
        wants
            .entry(key)
            .or_insert_with(|| format!("resource {}", resource.id));
    }
    wants
}

/// Cluster property.
pub const PROPERTY: &str = "ip-nonlocal-bind";
/// Parameter of an address.
pub const PARAMETER: &str = "ip_nonlocal_bind";
const IPV4: &str = "net/ipv4/ip_nonlocal_bind";
const IPV6: &str = "net/ipv6/ip_nonlocal_bind";
const KEYS: [&str; 2] = [IPV4, IPV6];
/// In the state directory.
const FILE: &str = "ip_nonlocal_bind.json";

#[cfg(test)]
mod tests {
    use super::*;
    use netlink::NetNs;
    use nix::mount::{MsFlags, mount};

    fn by(who: &str) -> Wants {
        Wants::from([(IPV4, who.to_owned()), (IPV6, who.to_owned())])
    }

    fn values() -> [String; 2] {
        KEYS.map(|key| sysctl::read(key).unwrap())
    }

    fn state_dir() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    /// Runs in a namespace whose switches are all 0; not at all without the right to make one.
    fn apart(test: impl FnOnce() + Send) {
        match NetNs::create() {
            Ok(netns) => netns.run(test).unwrap(),
            Err(error) => assert!(!nix::unistd::geteuid().is_root(), "{error}"),
        }
    }

    #[test]
    fn it_is_set_and_given_back() {
        apart(|| {
            let dir = state_dir();
            let mut switches = NonlocalBind::open(dir.path(), "boot");
            assert!(switches.want(by("property ip-nonlocal-bind")).is_empty());
            assert_eq!(values(), ["1", "1"]);
            let status = switches.status();
            assert_eq!(status[0].key, "net.ipv4.ip_nonlocal_bind");
            assert_eq!(
                status[0].set_by,
                "mainstayd (it was 0): property ip-nonlocal-bind"
            );
            switches.restore();
            assert_eq!(values(), ["0", "0"]);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        });
    }

    #[test]
    fn what_somebody_else_has_set_stays() {
        apart(|| {
            let dir = state_dir();
            sysctl::set(IPV4, "1");
            let mut switches = NonlocalBind::open(dir.path(), "boot");
            assert!(switches.want(by("resource ip")).is_empty());
            assert_eq!(switches.status()[0].set_by, "somebody else");
            switches.restore();
            assert_eq!(values(), ["1", "0"]);
            // Set by us, then taken over by a person: it is theirs.
            assert!(switches.want(by("resource ip")).is_empty());
            sysctl::set(IPV6, "0");
            switches.restore();
            assert_eq!(values(), ["1", "0"]);
        });
    }

    #[test]
    fn a_daemon_that_died_has_told_its_successor() {
        apart(|| {
            let dir = state_dir();
            let mut first = NonlocalBind::open(dir.path(), "boot");
            assert!(first.want(by("resource ip")).is_empty());
            drop(first);
            let mut second = NonlocalBind::open(dir.path(), "boot");
            assert!(second.want(by("resource ip")).is_empty());
            assert!(
                second.status()[0]
                    .set_by
                    .starts_with("mainstayd (it was 0)")
            );
            second.restore();
            assert_eq!(values(), ["0", "0"]);

            // After a boot the machine has its own value again, which may be this one.
            let mut third = NonlocalBind::open(dir.path(), "boot");
            assert!(third.want(by("resource ip")).is_empty());
            let mut fourth = NonlocalBind::open(dir.path(), "another boot");
            assert!(fourth.want(by("resource ip")).is_empty());
            fourth.restore();
            assert_eq!(values(), ["1", "1"]);
        });
    }

    #[test]
    fn a_read_only_proc_is_told_once_and_is_no_failure() {
        apart(|| {
            let (none, proc) = (None::<&str>, "/proc/sys");
            let read_only = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)
                .and_then(|()| mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))
                .and_then(|()| mount(Some(proc), proc, none, MsFlags::MS_BIND, none))
                .and_then(|()| {
                    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
                    mount(none, proc, none, flags, none)
                });
            if let Err(error) = read_only {
                assert!(!nix::unistd::geteuid().is_root(), "{error}");
                return;
            }
            let dir = state_dir();
            let mut switches = NonlocalBind::open(dir.path(), "boot");
            let told = switches.want(by("resource ip"));
            assert_eq!(told.len(), 2, "{told:?}");
            let start = "net.ipv4.ip_nonlocal_bind is wanted (resource ip) and could not be set";
            assert!(told[0].starts_with(start), "{told:?}");
            assert!(told[0].contains("Read-only file system"), "{told:?}");
            assert!(
                switches.want(by("resource ip")).is_empty(),
                "once is enough"
            );
            let status = &switches.status()[0];
            assert_eq!((status.value.as_str(), status.set_by.as_str()), ("0", ""));
            assert_eq!(status.trouble, told[0]);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        });
    }

    #[test]
    fn the_configuration_says_who_wants_it() {
        let cib = |property: &str, params: &str| {
            let xml = format!(
                "<cib admin_epoch=\"0\" epoch=\"0\" num_updates=\"0\"><configuration><crm_config><cluster_property_set id=\"o\">{property}</cluster_property_set></crm_config><nodes/><resources><primitive id=\"ip\" class=\"ocf\" provider=\"heartbeat\" type=\"IPaddr2\"><instance_attributes id=\"p\">{params}</instance_attributes></primitive></resources><constraints/></configuration><status/></cib>"
            );
            wants(&Cib::parse(&xml).unwrap())
        };
        let pair = |name: &str, value: &str| {
            format!("<nvpair id=\"{name}\" name=\"{name}\" value=\"{value}\"/>")
        };
        assert!(cib("", &pair("ip", "10.0.0.1")).is_empty());
        let off = pair(PARAMETER, "false") + &pair("ip", "10.0.0.1");
        assert!(cib("", &off).is_empty());
        let six = pair(PARAMETER, "yes") + &pair("ip", "fd00::1");
        assert_eq!(
            cib("", &six),
            Wants::from([(IPV6, "resource ip".to_owned())])
        );
        let all = cib(&pair(PROPERTY, "true"), "");
        assert_eq!(all[IPV4], "property ip-nonlocal-bind");
    }
}
