//! What the keeper asks of the kernel.

use netlink::{AddressSpec, Belts, GateEvent, GateOptions, GateWatch, Gates, Kernel, Lifetime};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// The kernel's side of all leases. Blocking and short; errors in words.
pub trait Door: Send {
    /// The belts in force.
    fn belts(&self) -> Belts;

    /// What a predecessor left gated.
    fn guarded(&self) -> BTreeSet<IpAddr>;

    /// Exactly these addresses are gated from now on.
    ///
    /// # Errors
    /// What the kernel said.
    fn guard(&mut self, ips: &BTreeSet<IpAddr>) -> Result<(), String>;

    /// Devices whose announcements are gated.
    ///
    /// # Errors
    /// What the kernel said.
    fn attach(&mut self, links: &BTreeSet<String>) -> Result<(), String>;

    /// The address may speak from now for so long, whatever stood before.
    ///
    /// # Errors
    /// What the kernel said; then nothing was written.
    fn arm(&mut self, leases: &[(IpAddr, Duration)]) -> Result<(), String>;

    /// As [`Door::arm`] for elements that stand; those that had run out are returned and stay so.
    ///
    /// # Errors
    /// What the kernel said; then nothing was written.
    fn renew(&mut self, leases: &[(IpAddr, Duration)]) -> Result<Vec<IpAddr>, String>;

    /// Silence, now.
    ///
    /// # Errors
    /// What the kernel said.
    fn close(&mut self, ips: &[IpAddr]) -> Result<(), String>;

    /// Is the table as it was made? If not, what was changed; then it was made anew, without any
    /// element.
    ///
    /// # Errors
    /// What the kernel said.
    fn mend(&mut self) -> Result<Option<String>, String>;

    /// Readable when somebody else may have changed the table; none where nobody else can.
    fn watch(&self) -> Option<BorrowedFd<'_>>;

    /// Somebody else changed the table since the last call, as far as [`Door::watch`] hears it.
    fn was_touched(&mut self) -> bool;

    /// Takes every rule away.
    ///
    /// # Errors
    /// What the kernel said.
    fn lower(&mut self) -> Result<(), String>;

    /// Which of these addresses are on this machine, and whether their lifetime has no end.
    ///
    /// # Errors
    /// What the kernel said.
    fn here(&mut self, ips: &BTreeSet<IpAddr>) -> Result<BTreeMap<IpAddr, bool>, String>;

    /// Which of these addresses are on their links.
    ///
    /// # Errors
    /// What the kernel said.
    fn present(&mut self, specs: &[AddressSpec]) -> Result<Vec<bool>, String>;

    /// Gives an address that is there the lifetimes of `spec`.
    ///
    /// # Errors
    /// What the kernel said.
    fn refresh(&mut self, spec: &AddressSpec) -> Result<(), String>;

    /// Takes an address away; one that is gone already is fine.
    ///
    /// # Errors
    /// What the kernel said.
    fn remove(&mut self, spec: &AddressSpec) -> Result<(), String>;
}

/// The kernel itself.
pub struct RealDoor {
    kernel: Kernel,
    /// None where the kernel refuses them altogether, or when they were taken away.
    gates: Option<Gates>,
    /// Hears of foreign changes where the table has no owner.
    watch: Option<GateWatch>,
    belts: Belts,
}

impl RealDoor {
    /// Raises the gates, or takes a predecessor's over, in the namespace of the calling thread. A
    /// kernel that refuses them is no error: the belts say so.
    ///
    /// # Errors
    /// The system gives no socket.
    pub fn open(options: &GateOptions) -> netlink::Result<Self> {
        let kernel = Kernel::open()?;
        let (gates, belts) = match Gates::raise(options) {
            Ok((gates, belts)) => (Some(gates), belts),
            Err(error) => {
                let why =
                    format!("no gates: a lapsed address answers until its lifetime ends: {error}");
                let belts = Belts {
                    weaker: vec![why],
                    ..Belts::default()
                };
                (None, belts)
            }
        };
        let watch = gates.as_ref().filter(|_| !belts.owned).and_then(heard);
        Ok(Self {
            kernel,
            gates,
            watch,
            belts,
        })
    }

    fn gates<T: Default>(
        &mut self,
        ask: impl FnOnce(&mut Gates) -> netlink::Result<T>,
    ) -> Result<T, String> {
        match &mut self.gates {
            None => Ok(T::default()),
            Some(gates) => ask(gates).map_err(|e| e.to_string()),
        }
    }
}

/// Listens to foreign changes. Without, they are found at the next look.
fn heard(gates: &Gates) -> Option<GateWatch> {
    let refused = |error| tracing::info!("changes of the table are not heard of: {error}");
    GateWatch::start(gates).map_err(refused).ok()
}

impl Door for RealDoor {
    fn belts(&self) -> Belts {
        self.belts.clone()
    }

    fn guarded(&self) -> BTreeSet<IpAddr> {
        let known = self.gates.as_ref().map(Gates::guarded);
        known.cloned().unwrap_or_default()
    }

    fn guard(&mut self, ips: &BTreeSet<IpAddr>) -> Result<(), String> {
        self.gates(|gates| gates.guard(ips))
    }

    fn attach(&mut self, links: &BTreeSet<String>) -> Result<(), String> {
        self.gates(|gates| gates.attach(links))
    }

    fn arm(&mut self, leases: &[(IpAddr, Duration)]) -> Result<(), String> {
        self.gates(|gates| gates.arm(leases))
    }

    fn renew(&mut self, leases: &[(IpAddr, Duration)]) -> Result<Vec<IpAddr>, String> {
        self.gates(|gates| gates.renew(leases))
    }

    fn close(&mut self, ips: &[IpAddr]) -> Result<(), String> {
        self.gates(|gates| gates.close(ips))
    }

    fn mend(&mut self) -> Result<Option<String>, String> {
        let Some(gates) = &mut self.gates else {
            return Ok(None);
        };
        let Err(what) = gates.intact().map_err(|e| e.to_string())? else {
            return Ok(None);
        };
        gates.repair().map_err(|e| format!("{what}; {e}"))?;
        self.belts = gates.belts().clone();
        Ok(Some(what))
    }

    fn watch(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(AsFd::as_fd)
    }

    fn was_touched(&mut self) -> bool {
        let mut touched = false;
        while let Some(watch) = &mut self.watch {
            match watch.try_next() {
                Ok(None) => break,
                Ok(Some(GateEvent::Changed { what, by })) => {
                    tracing::debug!(port = by, "{what}");
                    touched = true;
                }
                Ok(Some(GateEvent::Missed)) => touched = true,
                Err(error) => {
                    tracing::warn!("changes of the table are no longer heard of: {error}");
                    self.watch = None;
                    touched = true;
                }
            }
        }
        touched
    }

    fn lower(&mut self) -> Result<(), String> {
        // Nothing of ours is left to be watched.
        self.watch = None;
        match self.gates.take() {
            None => Ok(()),
            Some(gates) => gates.lower().map_err(|e| e.to_string()),
        }
    }

    fn here(&mut self, ips: &BTreeSet<IpAddr>) -> Result<BTreeMap<IpAddr, bool>, String> {
        let all = self.kernel.addresses().map_err(|e| e.to_string())?;
        let wanted = all.into_iter().filter(|a| ips.contains(&a.ip));
        Ok(wanted
            .map(|a| (a.ip, a.valid == Lifetime::Forever))
            .collect())
    }

    fn present(&mut self, specs: &[AddressSpec]) -> Result<Vec<bool>, String> {
        let all = self.kernel.addresses().map_err(|e| e.to_string())?;
        let there = |s: &AddressSpec| {
            let same =
                |a: &netlink::Address| (a.ip, a.prefix, a.index) == (s.ip, s.prefix, s.index);
            all.iter().any(same)
        };
        Ok(specs.iter().map(there).collect())
    }

    fn refresh(&mut self, spec: &AddressSpec) -> Result<(), String> {
        self.kernel.replace_address(spec).map_err(|e| e.to_string())
    }

    fn remove(&mut self, spec: &AddressSpec) -> Result<(), String> {
        match self.kernel.delete_address(spec.index, spec.ip, spec.prefix) {
            Err(error) if !error.is_absent() => Err(error.to_string()),
            _ => Ok(()),
        }
    }
}
