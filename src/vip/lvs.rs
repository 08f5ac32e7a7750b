//! Direct routing behind an LVS director: the loopback's copy of the address makes room while the
//! node holds it, and comes back afterwards; what was there is kept in a file, in the form and the
//! place the packaged agent uses, so that either of the two can put it back.

use super::params::{Refusal, Settings, Target, rc};
use super::{NativeVip, Outcome, refused};
use netlink::{AddressSpec, Link};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

impl NativeVip {
    /// Takes the host address off the loopback, if it is there.
    pub(super) fn clear_loopback(&self, settings: &Settings) -> Outcome {
        let ip = settings.target.ip;
        let mut kernel = self.kernel();
        let links = kernel.links().map_err(refused)?;
        let loopback = |index: u32| links.iter().find(|l| l.index == index && l.loopback);
        let copies = kernel.addresses().map_err(refused)?;
        let mut copies = copies
            .iter()
            .filter(|a| a.ip == ip && a.prefix == HOST_BITS);
        let Some(link) = copies.find_map(|a| loopback(a.index)) else {
            return Ok(());
        };
        self.remember(ip, link)?;
        match kernel.delete_address(link.index, ip, HOST_BITS) {
            Err(error) if !error.is_absent() => Err(refused(error)),
            _ => Ok(()),
        }
    }

    /// Puts back what [`NativeVip::clear_loopback`] took away, if it took anything.
    pub(super) fn restore_loopback(&self, target: &Target) -> Outcome {
        let path = self.copy_file(target.ip);
        let Ok(text) = std::fs::read_to_string(&path) else {
            return Ok(());
        };
        let Some((prefix, nic)) = read_copy(&text, target.ip) else {
            let reason = format!("{} does not say what was on the loopback", path.display());
            return Err(Refusal::new(rc::GENERIC, reason));
        };
        let mut kernel = self.kernel();
        let link = kernel.link(nic).map_err(refused)?;
        let spec = AddressSpec {
            broadcast: Some(Ipv4Addr::BROADCAST),
            ..AddressSpec::new(link.index, target.ip, prefix)
        };
        match kernel.add_address(&spec) {
            Err(error) if !error.is_exists() => return Err(refused(error)),
            _ => {}
        }
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "a note of the loopback's address stays");
        }
        Ok(())
    }

    /// Written before anything is removed: what is not noted is not given back.
    fn remember(&self, ip: IpAddr, link: &Link) -> Outcome {
        let path = self.copy_file(ip);
        let text = format!("{ip} {HOST_BITS} {} {}\n", Ipv4Addr::BROADCAST, link.name);
        let written = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, text));
        written.map_err(|error| {
            let reason = format!(
                "cannot note in {} that {ip} was on {}: {error}",
                path.display(),
                link.name
            );
            Refusal::new(rc::GENERIC, reason)
        })
    }

    fn copy_file(&self, ip: IpAddr) -> PathBuf {
        self.notes.join(ip.to_string())
    }
}

/// `10.0.0.9 32 255.255.255.255 lo`.
fn read_copy(text: &str, ip: IpAddr) -> Option<(u8, &str)> {
    let mut words = text.split_whitespace();
    let noted: IpAddr = words.next()?.parse().ok()?;
    let prefix: u8 = words.next()?.parse().ok()?;
    let nic = words.nth(1)?;
    (noted == ip && prefix <= HOST_BITS).then_some((prefix, nic))
}

const HOST_BITS: u8 = 32;
/// Where the agents keep such notes (`HA_RSCTMP`).
pub(super) const NOTES: &str = "/run/resource-agents";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_notes_are_read() {
        let ip = "10.0.0.9".parse().unwrap();
        let read = |text| read_copy(text, ip);
        assert_eq!(read("10.0.0.9 32 255.255.255.255 lo\n"), Some((32, "lo")));
        for bad in ["", "10.0.0.9 32 lo", "10.0.0.8 32 x lo", "10.0.0.9 99 x lo"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
