//! `mainstay-lab bench announce`: from the decision that an address is this node's to the first frame
//! that tells its neighbours.
//!
//! Two namespaces and a wire between them, no daemon: the clock starts at the call that starts the
//! address in `vip`, with its grant in the lease thread's hands and its gate closed, and stops when a
//! packet socket at the other end of the wire has read the announcement. In between lie a look at the
//! machine, the gate, the address and the frame; what wakes the reader is counted, too. IPv6
//! addresses are added without duplicate address detection (`nodad`, the agent's default here): a
//! lease proves more than a question to the network would.

use super::ms;
use crate::executor::{NativeAgent, OpRequest};
use crate::lab::error::LabError;
use crate::lab::table::Figure;
use crate::transport::boottime_us;
use crate::vip::NativeVip;
use crate::vip::lease::{Fresh, GateOptions, Keeper, LeaseHandle, LeaseTimes, RealDoor};
use membership::Timing;
use netlink::{AddressSpec, ClaimListener, Kernel, NetNs, VethEnd};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

pub(super) fn figures() -> Vec<Figure> {
    vec![
        Figure::new("IPv4: start to gratuitous ARP", "us", Some(300.0)),
        Figure::new("IPv6: start to unsolicited NA", "us", Some(300.0)),
    ]
}

/// One address after the other comes and goes; microseconds for each that came.
pub(super) fn run(runs: u32) -> Result<Vec<Vec<f64>>, LabError> {
    let near = NetNs::create().map_err(net)?;
    let far = NetNs::create().map_err(net)?;
    wire(&near, &far)?;
    let (heard, hears) = channel();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let ear = scope.spawn(|| far.run(|| listen(&heard, &over)).map_err(net)?);
        let samples = near
            .run(move || measure(runs, &hears))
            .map_err(net)
            .flatten();
        over.store(true, Ordering::Release);
        let listened = ear.join().unwrap_or_else(|_| {
            let why = "the thread that reads the wire ended by a panic";
            Err(LabError::Refused(why.to_owned()))
        });
        listened.and(samples)
    })
}

/// Both ends up, with addresses of their own from the networks of the floating ones.
fn wire(near: &NetNs, far: &NetNs) -> Result<(), LabError> {
    let mut here = Kernel::open_in(near).map_err(net)?;
    let mut there = Kernel::open_in(far).map_err(net)?;
    here.add_veth(VethEnd::here(LINK), VethEnd::within(LINK, far))
        .map_err(net)?;
    // The end that is opened last can send at once; the other's queue starts a moment later.
    for (kernel, last) in [(&mut there, 2), (&mut here, 1)] {
        let index = kernel.link(LINK).map_err(net)?.index;
        for vip in VIPS {
            let (ip, prefix) = beside(vip, last);
            let mut spec = AddressSpec::new(index, ip, prefix);
            spec.nodad = ip.is_ipv6();
            kernel.add_address(&spec).map_err(net)?;
        }
        kernel.set_up(index, true).map_err(net)?;
    }
    Ok(())
}

fn beside(vip: IpAddr, last: u16) -> (IpAddr, u8) {
    match vip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            (IpAddr::from([a, b, c, last as u8]), 24)
        }
        IpAddr::V6(ip) => {
            let mut words = ip.segments();
            words[7] = last;
            (IpAddr::from(words), 64)
        }
    }
}

/// Reads announcements at the far end, with the urgency of a capture.
fn listen(heard: &Sender<(IpAddr, Instant)>, over: &AtomicBool) -> Result<(), LabError> {
    // Without the right its wake-ups are counted at their length.
    let _ = netlink::make_thread_realtime(READER_PRIORITY);
    let link = Kernel::open().and_then(|mut k| k.link(LINK));
    let mut ear = ClaimListener::new(&link.map_err(net)?).map_err(net)?;
    ear.watch(&BTreeSet::from(VIPS)).map_err(net)?;
    while !over.load(Ordering::Acquire) {
        let ready = ear.descriptors();
        let mut fds: Vec<_> = ready
            .iter()
            .map(|fd| PollFd::new(*fd, PollFlags::POLLIN))
            .collect();
        // A signal ends the wait early; what is there is read anyway.
        let _ = poll(&mut fds, PollTimeout::from(LOOK_MS));
        while let Some(claim) = ear.next().map_err(net)? {
            // The other side has ended: so has the need to know.
            let _ = heard.send((claim.ip, Instant::now()));
        }
    }
    Ok(())
}

fn measure(runs: u32, hears: &Receiver<(IpAddr, Instant)>) -> Result<Vec<Vec<f64>>, LabError> {
    let timing = Timing::derive(DETECTION_US).map_err(|e| LabError::Refused(e.to_string()))?;
    let times = LeaseTimes {
        lease_us: timing.lease_us,
        kernel_us: timing.kernel_us,
        late_write_us: membership::LATE_WRITE_US,
        heartbeat_us: timing.heartbeat_us,
    };
    let gates = GateOptions {
        owner: true,
        egress: true,
        nf_tables: true,
    };
    let door = RealDoor::open(&gates).map_err(net)?;
    let (events, _told) = tokio::sync::mpsc::channel(EVENTS_MAX);
    let keeper = Keeper::start(Box::new(door), times, boottime_us, events)
        .map_err(|e| LabError::Refused(format!("the lease thread: {e}")))?;
    let leases = keeper.handle();
    leases.configure(BTreeSet::from(VIPS), BTreeSet::from([LINK.to_owned()]));
    let agent = NativeVip::new().map_err(net)?.with_leases(leases.clone());
    // As the thread that runs operations of native agents.
    let _ = netlink::make_thread_realtime(AGENT_PRIORITY);
    let mut samples = vec![Vec::new(), Vec::new()];
    // The first round opens sockets that stay open.
    for round in 0..=u64::from(runs) * STARTS_PER_RUN {
        for (vip, samples) in VIPS.into_iter().zip(&mut samples) {
            let sample = come_and_go(&agent, &leases, vip, round + 1, hears)?;
            if round > 0 {
                samples.push(ms(sample) * 1e3);
            }
        }
    }
    Ok(samples)
}

/// One start and one stop; how long the first frame took.
fn come_and_go(
    agent: &NativeVip,
    leases: &LeaseHandle,
    vip: IpAddr,
    grant_no: u64,
    hears: &Receiver<(IpAddr, Instant)>,
) -> Result<Duration, LabError> {
    let resource = if vip.is_ipv4() { "four" } else { "six" }.to_owned();
    std::thread::sleep(STILL);
    // As young as a stamp is whenever a quorum is heard: an old one opens nothing.
    leases.feed(vec![Fresh {
        vip: resource.clone(),
        grant_no,
        stamp_us: Some(boottime_us()),
    }]);
    std::thread::sleep(TAKEN_IN);
    // What is still said of the one before.
    while hears.try_recv().is_ok() {}
    let request = |operation: &str| OpRequest {
        rsc: resource.clone(),
        instance: resource.clone(),
        class: "ocf".to_owned(),
        provider: Some("heartbeat".to_owned()),
        kind: "IPaddr2".to_owned(),
        operation: operation.to_owned(),
        params: [("ip".to_owned(), vip.to_string())].into(),
        ..OpRequest::default()
    };
    let began = Instant::now();
    perform(agent, &request("start"))?;
    let at = loop {
        match hears.recv_timeout(HEARD_WITHIN) {
            Ok((ip, at)) if ip == vip => break at,
            Ok(_) => {}
            Err(_) => {
                let held = agent.list();
                let text = format!("{vip} was not heard within {HEARD_WITHIN:?}: {held:?}");
                return Err(LabError::Refused(text));
            }
        }
    };
    perform(agent, &request("stop"))?;
    Ok(at - began)
}

fn perform(agent: &NativeVip, request: &OpRequest) -> Result<(), LabError> {
    let together = agent.run_together(std::slice::from_ref(request)).pop();
    let (rc, why) = together.flatten().unwrap_or_else(|| agent.run(request));
    match rc {
        0 => Ok(()),
        rc => Err(LabError::Refused(format!(
            "{} of {} returned {rc}: {why}",
            request.operation, request.rsc
        ))),
    }
}

fn net(error: netlink::Error) -> LabError {
    LabError::Net {
        what: "bench announce".to_owned(),
        cause: error.to_string(),
    }
}

/// The wire's ends.
const LINK: &str = "eth0";
/// The floating addresses.
const VIPS: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(10, 87, 0, 100)),
    IpAddr::V6(std::net::Ipv6Addr::new(0xfd87, 0, 0, 0, 0, 0, 0, 0x100)),
];
/// Starts of each address in one run.
const STARTS_PER_RUN: u64 = 20;
/// The default detection timeout, from which the lease's times follow, in microseconds.
const DETECTION_US: u64 = 500_000;
/// Between two starts: the word of the one before is out.
const STILL: Duration = Duration::from_millis(5);
/// The lease thread has taken its word and sleeps.
const TAKEN_IN: Duration = Duration::from_micros(500);
/// An announcement is missing after this time.
const HEARD_WITHIN: Duration = Duration::from_secs(2);
/// How often the reader looks whether it may end, in milliseconds.
const LOOK_MS: u8 = 20;
/// Events of the lease thread that nobody reads here.
const EVENTS_MAX: usize = 64;
/// As the executor's thread for native agents.
const AGENT_PRIORITY: i32 = 20;
/// Above everything that is measured.
const READER_PRIORITY: i32 = 60;
