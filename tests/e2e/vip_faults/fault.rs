//! What may happen to a node, and how it ends.

use super::World;

/// What may happen to a node; [`World::undo`] ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    PowerOff,
    SuspendDaemon,
    FreezeNode,
    Cut,
    Apart,
    /// One direction of the cable: nothing reaches the node.
    Deafen,
    /// The other one: nothing from it reaches anybody.
    Mute,
    /// Its parent starts it again.
    KillWorker,
    /// What supervises the daemon starts it again.
    KillBoth,
    /// Nobody starts it again until the fault ends.
    KillForGood,
    InterfaceDown,
    RemoveAddress,
    Standby,
    /// The wall clock, by so many seconds.
    StepClock(i64),
}

const FAULTS: [Fault; 18] = [
    Fault::PowerOff,
    Fault::SuspendDaemon,
    Fault::FreezeNode,
    Fault::Cut,
    Fault::Apart,
    Fault::Deafen,
    Fault::Mute,
    Fault::KillWorker,
    Fault::KillBoth,
    Fault::KillForGood,
    Fault::InterfaceDown,
    Fault::RemoveAddress,
    Fault::Standby,
    Fault::StepClock(-86_400),
    Fault::StepClock(-2),
    Fault::StepClock(2),
    Fault::StepClock(3_600),
    Fault::StepClock(400_000_000),
];

impl Fault {
    /// One of them; clock steps as often as any other.
    pub(super) fn by_chance(random: &mut Random) -> Self {
        const KINDS: u64 = 14;
        match random.below(KINDS) {
            kind if kind < KINDS - 1 => FAULTS[kind as usize],
            kind => FAULTS[(kind + random.below(5)) as usize],
        }
    }

    /// Of two nodes neither can tell it from the death of the other, as no question reaches the
    /// other or no answer comes back (rulings 9 and 11).
    pub(super) fn hides(self) -> bool {
        matches!(
            self,
            Self::Cut | Self::Apart | Self::Deafen | Self::Mute | Self::InterfaceDown
        )
    }

    /// Its name, for the summary.
    pub(super) fn name(self) -> String {
        match self {
            Self::StepClock(_) => "StepClock".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

impl World {
    pub(super) fn act(&mut self, fault: Fault, node: &str) {
        let c = &self.c;
        let done = match fault {
            Fault::PowerOff => c.poweroff(node).map(drop),
            Fault::SuspendDaemon => c.suspend_daemon(node).map(drop),
            Fault::FreezeNode => c.freeze(node),
            Fault::Cut => c.cut(node),
            Fault::Apart => c.apart(node),
            Fault::Deafen => c.deafen(node),
            Fault::Mute => c.mute(node),
            Fault::KillWorker => c.kill_daemon(node).map(drop),
            Fault::KillBoth => c.kill_daemon_and_parent(node).map(drop),
            Fault::KillForGood => c
                .supervise(node, false)
                .and_then(|_| c.kill_daemon_and_parent(node))
                .map(drop),
            Fault::InterfaceDown => c.set_interface(node, false).map(drop),
            Fault::RemoveAddress => self.ips().iter().try_for_each(|ip| {
                let removed = c.remove_address(node, *ip);
                removed.map(drop)
            }),
            Fault::Standby => {
                // Without quorum it is refused: then it is no fault.
                let _ = c.sh(node, &format!("crm node standby {node}"));
                Ok(())
            }
            Fault::StepClock(seconds) => {
                self.clocks.set(node, seconds);
                Ok(())
            }
        };
        if let Err(error) = done {
            // Another fault may have taken the daemon away: there is nothing to do it to.
            eprintln!("    {fault:?} of {node}: {error}");
        }
    }

    pub(super) fn undo(&mut self, fault: Fault, node: &str) {
        let c = &self.c;
        let done = match fault {
            Fault::PowerOff => c.poweron(node),
            Fault::SuspendDaemon => c.resume_daemon(node).map(drop),
            Fault::FreezeNode => c.thaw(node),
            Fault::Cut | Fault::Apart | Fault::Deafen | Fault::Mute => c.heal(node),
            Fault::InterfaceDown => c.set_interface(node, true).map(drop),
            Fault::KillForGood => c.supervise(node, true).map(drop),
            Fault::StepClock(_) => {
                self.clocks.set(node, 0);
                Ok(())
            }
            Fault::KillWorker | Fault::KillBoth | Fault::RemoveAddress | Fault::Standby => Ok(()),
        };
        done.unwrap_or_else(|e| panic!("{fault:?} of {node} cannot be undone: {e}"));
        if fault == Fault::PowerOff {
            self.tell(node);
        }
    }
}

/// SplitMix64: a sequence is its seed.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
