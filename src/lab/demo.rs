//! `mainstay-lab demo`: a floating IP and a service survive the death of their node, before your
//! eyes, with the time a client saw no answer.

use super::cluster::Lab;
use super::error::LabError;
use super::interrupt;
use super::options::Options;
use super::probe::Silence;
use super::service::{MEMBERS_WITHIN, MOVED_WITHIN, PROBE_EVERY, VIP, vip_line};
use super::wait::Seen;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Runs the demo; exit code 0 when everything came back.
pub(super) fn run(options: &Options) -> Result<i32, LabError> {
    interrupt::watch()?;
    say("Three nodes on this machine, from namespaces");
    let lab = Lab::up(options)?;
    for node in lab.nodes()? {
        println!("  {} {}", node.name, node.address);
    }
    let outcome = show(&lab);
    if let Err(error) = &outcome
        && !matches!(error, LabError::Interrupted)
    {
        lab.keep_files();
    }
    // The clean-up's own waits must not end at the signal that asked for it.
    interrupt::forget();
    drop(lab);
    outcome.map(|()| 0)
}

fn show(lab: &Lab) -> Result<(), LabError> {
    lab.wait_members(MEMBERS_WITHIN)?;
    configure(lab)?;

    let web = SocketAddr::new(VIP, WEB_PORT);
    let ping = lab.probe(VIP, PROBE_EVERY)?;
    let http = lab.http(web, HTTP_EVERY)?;
    let holder = lab.wait_holder(VIP, None, MOVED_WITHIN)?;
    lab.wait_answer(&ping, MOVED_WITHIN)?;
    wait_page(lab, &http)?;
    paste(lab, "node1", "crm status")?;
    println!(
        "A client pings {VIP} and fetches http://{web}/ : {}",
        http.page()
    );

    say(&format!("Power-off of {holder}, which holds {VIP}"));
    let dead = lab.poweroff(&holder)?;
    let taker = lab.wait_holder(VIP, Some(&holder), MOVED_WITHIN)?;
    lab.wait_answer(&ping, MOVED_WITHIN)?;
    wait_page(lab, &http)?;
    std::thread::sleep(AFTERWARDS);
    let end = Instant::now();
    let no_ping = Silence::longest(&ping.stop(), dead, end).lasted;
    let no_page = Silence::longest(&http.echoes(), dead, end).lasted;
    println!("{taker} has taken over. The client");
    println!("  got no answer to ping for {:>6} ms", no_ping.as_millis());
    println!(
        "  got no page for           {:>6} ms  (now: {})",
        no_page.as_millis(),
        http.page()
    );
    paste(lab, &taker, "crm status")?;

    say(&format!("{holder} has power again"));
    lab.poweron(&holder)?;
    lab.wait_members(MEMBERS_WITHIN)?;
    paste(lab, &holder, "crm_mon --one-shot -V")?;
    let stays = lab.wait_holder(VIP, None, MOVED_WITHIN)?;
    println!("{VIP} is on {stays}.");
    Ok(())
}

/// The commands of the tutorials: the levels of crm on standard input, then single lines.
fn configure(lab: &Lab) -> Result<(), LabError> {
    say("The commands people paste");
    paste(
        lab,
        "node1",
        "crm <<EOF\nconfigure\nproperty stonith-enabled=false\nrsc_defaults \
         resource-stickiness=100\ncommit\nquit\nEOF",
    )?;
    let web = format!(
        "crm configure primitive web ocf:mainstay:demo-web params port={WEB_PORT} op monitor \
         interval=10s"
    );
    for line in [
        vip_line().as_str(),
        &web,
        "crm configure colocation web-with-ip inf: web failover-ip",
        "crm configure order web-after-ip mandatory: failover-ip web",
        "crm configure show",
    ] {
        paste(lab, "node1", line)?;
    }
    Ok(())
}

fn paste(lab: &Lab, node: &str, line: &str) -> Result<(), LabError> {
    println!("{node}# {line}");
    for line in lab.paste(node, line)?.lines() {
        println!("  {line}");
    }
    Ok(())
}

fn wait_page(lab: &Lab, http: &super::HttpProbe) -> Result<(), LabError> {
    let from = Instant::now();
    lab.wait("the client to get a page", MOVED_WITHIN)
        .until(|| {
            Ok(if http.answered_since(from) {
                Seen::Yes(())
            } else {
                Seen::NotYet("none".to_owned())
            })
        })
}

fn say(text: &str) {
    println!("\n== {text}");
}

/// Where the demo's service listens.
const WEB_PORT: u16 = 80;
/// Time between two pages.
const HTTP_EVERY: Duration = Duration::from_millis(5);
/// How long the client goes on after the take-over: a second silence would show.
const AFTERWARDS: Duration = Duration::from_millis(500);
