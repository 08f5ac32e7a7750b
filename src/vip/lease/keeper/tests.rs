use super::*;
use crate::transport::boottime_us;
use netlink::Belts;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::os::fd::BorrowedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// A kernel that writes down what it is asked.
struct Fake {
    log: Sender<String>,
    gates: bool,
    forever: BTreeSet<IpAddr>,
    changed: Arc<Mutex<Option<String>>>,
    touched: Option<Arc<EventFd>>,
}

impl Fake {
    fn note(&self, text: String) {
        // The test may have seen enough.
        let _ = self.log.send(text);
    }
}

fn ips_of(leases: &[(IpAddr, Duration)]) -> String {
    let all: Vec<String> = leases.iter().map(|(ip, _)| ip.to_string()).collect();
    all.join(" ")
}

fn names(ips: impl IntoIterator<Item = IpAddr>) -> String {
    let all: Vec<String> = ips.into_iter().map(|ip| ip.to_string()).collect();
    all.join(" ")
}

impl Door for Fake {
    fn belts(&self) -> Belts {
        Belts {
            gates: self.gates,
            ..Belts::default()
        }
    }
    fn guarded(&self) -> BTreeSet<IpAddr> {
        BTreeSet::new()
    }
    fn guard(&mut self, ips: &BTreeSet<IpAddr>) -> Result<(), String> {
        self.note(format!("guard {}", names(ips.iter().copied())));
        Ok(())
    }
    fn attach(&mut self, _links: &BTreeSet<String>) -> Result<(), String> {
        Ok(())
    }
    fn arm(&mut self, leases: &[(IpAddr, Duration)]) -> Result<(), String> {
        self.note(format!("arm {}", ips_of(leases)));
        Ok(())
    }
    fn renew(&mut self, leases: &[(IpAddr, Duration)]) -> Result<Vec<IpAddr>, String> {
        self.note(format!("renew {}", ips_of(leases)));
        Ok(Vec::new())
    }
    fn close(&mut self, ips: &[IpAddr]) -> Result<(), String> {
        self.note(format!("close {}", names(ips.iter().copied())));
        Ok(())
    }
    fn mend(&mut self) -> Result<Option<String>, String> {
        Ok(self.changed.lock().unwrap().take())
    }
    fn watch(&self) -> Option<BorrowedFd<'_>> {
        self.touched.as_ref().map(|wake| wake.as_fd())
    }
    fn was_touched(&mut self) -> bool {
        let touched = self.touched.as_ref();
        touched.is_some_and(|wake| wake.read().is_ok())
    }
    fn lower(&mut self) -> Result<(), String> {
        self.note("lower".to_owned());
        Ok(())
    }
    fn here(&mut self, ips: &BTreeSet<IpAddr>) -> Result<BTreeMap<IpAddr, bool>, String> {
        Ok(self
            .forever
            .intersection(ips)
            .map(|ip| (*ip, true))
            .collect())
    }
    fn present(&mut self, specs: &[AddressSpec]) -> Result<Vec<bool>, String> {
        Ok(vec![true; specs.len()])
    }
    fn refresh(&mut self, spec: &AddressSpec) -> Result<(), String> {
        self.note(format!("refresh {} {:?}", spec.ip, spec.valid));
        Ok(())
    }
    fn remove(&mut self, spec: &AddressSpec) -> Result<(), String> {
        self.note(format!("remove {}", spec.ip));
        Ok(())
    }
}

/// Times so long that no test depends on how busy the machine is.
const TIMES: LeaseTimes = LeaseTimes {
    lease_us: 60_000_000,
    kernel_us: 60_000_000,
    late_write_us: 10_000_000,
    heartbeat_us: 60_000_000,
};

struct Bench {
    keeper: Keeper,
    handle: LeaseHandle,
    log: Receiver<String>,
    events: mpsc::Receiver<LeaseEvent>,
}

fn bench(change: impl FnOnce(&mut Fake)) -> Bench {
    bench_by(boottime_us, change)
}

fn bench_by(clock: Clock, change: impl FnOnce(&mut Fake)) -> Bench {
    let (log, lines) = channel();
    let mut fake = Fake {
        log,
        gates: true,
        forever: BTreeSet::new(),
        changed: Arc::default(),
        touched: None,
    };
    change(&mut fake);
    let (sink, events) = mpsc::channel(64);
    let keeper = Keeper::start(Box::new(fake), TIMES, clock, sink).unwrap();
    Bench {
        handle: keeper.handle(),
        keeper,
        log: lines,
        events,
    }
}

impl Bench {
    fn next(&self) -> String {
        self.log.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    fn grant(&self, grant_no: u64) {
        self.handle.feed(vec![Fresh {
            vip: "ip".to_owned(),
            grant_no,
            stamp_us: Some(boottime_us()),
        }]);
    }

    fn event(&mut self) -> LeaseEvent {
        self.events.blocking_recv().unwrap()
    }
}

fn ip() -> IpAddr {
    "10.0.0.9".parse().unwrap()
}

fn open(b: &Bench, wait: Duration) -> Result<(), String> {
    let mut opened = b.handle.open(&[("ip", ip(), ("eth0", 2))], wait);
    opened.pop().unwrap()
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn gates_stand_before_the_element_and_the_element_before_the_answer() {
    let mut b = bench(|_| ());
    b.handle.configure(BTreeSet::from([ip()]), BTreeSet::new());
    assert_eq!(b.next(), "guard 10.0.0.9");
    b.grant(3);
    open(&b, LONG).unwrap();
    assert_eq!(b.next(), "arm 10.0.0.9");
    assert!(b.handle.is_open("ip"));
    assert!(matches!(b.event(), LeaseEvent::Opened { grant_no: 3, .. }));
    b.handle.close("ip", Some(ip())).unwrap();
    assert_eq!(b.next(), "close 10.0.0.9");
    assert!(!b.handle.is_open("ip"));
    b.handle.finish(End::Clean).unwrap();
    assert_eq!(b.next(), "lower");
    drop(b.keeper);
}

#[test]
fn a_start_says_why_it_waits_in_vain() {
    let b = bench(|_| ());
    assert!(refusal(&b).contains("has not granted it to this node"));
    assert_eq!(b.next(), "guard 10.0.0.9");
    assert_eq!(b.next(), "close 10.0.0.9");
    for (stamp_us, why) in [
        (None, "no quorum confirms"),
        (
            Some(boottime_us().saturating_sub(TIMES.lease_us)),
            "that lease was left",
        ),
    ] {
        b.handle.feed(vec![Fresh {
            vip: "ip".to_owned(),
            grant_no: 3,
            stamp_us,
        }]);
        let said = refusal(&b);
        assert!(said.contains(why), "{said}");
    }
}

/// What a start is told that the thread has looked at.
fn refusal(b: &Bench) -> String {
    loop {
        let why = open(b, Duration::from_millis(20)).unwrap_err();
        if !why.contains("does not answer") {
            return why;
        }
    }
}

#[test]
fn the_lifetime_of_an_address_is_renewed_and_made_endless_when_detaching() {
    let b = bench(|_| ());
    b.grant(3);
    open(&b, LONG).unwrap();
    assert_eq!(
        (b.next(), b.next()),
        ("guard 10.0.0.9".into(), "arm 10.0.0.9".into())
    );
    b.handle.address("ip", AddressSpec::new(7, ip(), 24));
    // As long as the kernel's longest element, less its slack.
    assert_eq!(b.next(), "refresh 10.0.0.9 Seconds(59)");
    b.handle.finish(End::Detach).unwrap();
    let rest: Vec<String> = b.log.try_iter().collect();
    assert_eq!(rest, ["refresh 10.0.0.9 Forever", "lower"]);
}

#[test]
fn without_gates_a_revoked_address_is_removed() {
    let mut b = bench(|f| f.gates = false);
    b.grant(3);
    open(&b, LONG).unwrap();
    b.handle.address("ip", AddressSpec::new(7, ip(), 24));
    b.handle.feed(Vec::new());
    assert!(matches!(b.event(), LeaseEvent::Opened { .. }));
    assert!(matches!(b.event(), LeaseEvent::Ended { .. }));
    // On a busy machine its lifetime may have been renewed any number of times before.
    let removed = |line: String| line == "remove 10.0.0.9";
    assert!(std::iter::repeat_with(|| b.next()).any(removed));
}

#[test]
fn without_gates_an_address_that_comes_after_the_end_of_its_lease_is_removed() {
    let mut b = bench(|f| f.gates = false);
    b.grant(3);
    open(&b, LONG).unwrap();
    assert!(matches!(b.event(), LeaseEvent::Opened { .. }));
    b.handle.feed(Vec::new());
    assert!(matches!(b.event(), LeaseEvent::Ended { .. }));
    b.handle.address("ip", AddressSpec::new(7, ip(), 24));
    let removed = |line: String| line == "remove 10.0.0.9";
    assert!(std::iter::repeat_with(|| b.next()).any(removed));
}

#[test]
fn what_a_detached_daemon_left_is_not_silenced_before_it_could_be_granted() {
    let b = bench(|f| f.forever = BTreeSet::from([ip()]));
    let other: IpAddr = "10.0.0.10".parse().unwrap();
    b.handle
        .configure(BTreeSet::from([ip(), other]), BTreeSet::new());
    assert_eq!(b.next(), "guard 10.0.0.10");
    b.handle.adopt("ip", ip(), None);
    b.grant(1);
    assert_eq!(b.next(), "arm 10.0.0.9", "the element first");
    assert_eq!(b.next(), "guard 10.0.0.9 10.0.0.10");
}

#[test]
fn a_changed_table_is_told_and_armed_again() {
    let changed = Arc::default();
    let mut b = bench(|f| f.changed = Arc::clone(&changed));
    b.grant(3);
    open(&b, LONG).unwrap();
    *changed.lock().unwrap() = Some("table inet mainstay was deleted".to_owned());
    b.handle.check();
    let told = std::iter::repeat_with(|| b.event())
        .take(3)
        .find(|e| matches!(e, LeaseEvent::TableChanged { .. }));
    assert!(told.is_some());
    let lines: Vec<String> = std::iter::repeat_with(|| b.next()).take(4).collect();
    let want = [
        "guard 10.0.0.9",
        "arm 10.0.0.9",
        "guard 10.0.0.9",
        "arm 10.0.0.9",
    ];
    assert_eq!(lines, want);
}

#[test]
fn a_foreign_change_of_the_table_is_looked_at_without_waiting_for_the_time() {
    // Stands between the shortest pause and the next look that would come by itself.
    let changed = Arc::<Mutex<Option<String>>>::default();
    let touched = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK).unwrap());
    static NOW_US: AtomicU64 = AtomicU64::new(0);
    let mut b = bench_by(
        || NOW_US.load(Ordering::SeqCst),
        |f| {
            f.changed = Arc::clone(&changed);
            f.touched = Some(Arc::clone(&touched));
        },
    );
    b.handle.configure(BTreeSet::from([ip()]), BTreeSet::new());
    assert_eq!(b.next(), "guard 10.0.0.9");
    NOW_US.store(CHECK_EVERY_US / 2, Ordering::SeqCst);
    *changed.lock().unwrap() = Some("table inet mainstay was deleted".to_owned());
    touched.write(1).unwrap();
    assert!(matches!(b.event(), LeaseEvent::TableChanged { .. }));
    assert_eq!(b.next(), "guard 10.0.0.9", "put up again");
}
