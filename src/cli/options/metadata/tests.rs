use super::super::agent;
use super::super::agent::tests::{Read, assert_form};
use super::*;
use std::collections::BTreeSet;

const ALL: [Daemon; 4] = [
    Daemon::Configuration,
    Daemon::Controller,
    Daemon::Fencer,
    Daemon::Scheduler,
];

fn read(daemon: Daemon) -> Vec<Read> {
    let text = daemon.metadata();
    assert!(text.starts_with("<?xml version=\"1.0\"?>\n<resource-agent "));
    let agent = cib::xml::parse(&text).unwrap();
    assert_eq!(agent.attr("name"), Some(daemon.name()));
    for about in ["longdesc", "shortdesc"] {
        assert_eq!(agent.first(about).unwrap().attr("lang"), Some("en"));
    }
    agent::tests::read(&agent)
}

fn set<'a>(words: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    words.into_iter().collect()
}

#[test]
fn every_parameter_is_of_the_form() {
    // pcs, data/ocf-1.1.rng.
    let kinds = [
        "boolean",
        "integer",
        "percentage",
        "select",
        "string",
        "time",
    ];
    for daemon in ALL {
        let all = read(daemon);
        assert_form(&all, &kinds);
        for option in &all {
            let told = option.long.split_once("  Allowed values: ");
            let words = told.map(|(_, words)| words.split(", ").collect::<Vec<_>>());
            assert_eq!(words.unwrap_or_default(), option.values, "{option:?}");
        }
    }
}

/// What the daemons of Pacemaker 2.1.5 print the names of. `node-pending-timeout` came with 2.1.7.
#[test]
fn every_option_is_told_by_whom_it_is_asked_of() {
    for (daemon, names) in [
        (Daemon::Configuration, "enable-acl cluster-ipc-limit"),
        (
            Daemon::Controller,
            "dc-version cluster-infrastructure cluster-name dc-deadtime cluster-recheck-interval \
             load-threshold node-action-limit fence-reaction election-timeout shutdown-escalation \
             join-integration-timeout join-finalization-timeout transition-delay \
             stonith-watchdog-timeout stonith-max-attempts no-quorum-policy shutdown-lock",
        ),
        (
            Daemon::Scheduler,
            "no-quorum-policy symmetric-cluster maintenance-mode start-failure-is-fatal \
             enable-startup-probes shutdown-lock shutdown-lock-limit stonith-enabled stonith-action \
             stonith-timeout have-watchdog concurrent-fencing startup-fencing \
             priority-fencing-delay cluster-delay batch-limit migration-limit stop-all-resources \
             stop-orphan-resources stop-orphan-actions remove-after-stop pe-error-series-max \
             pe-warn-series-max pe-input-series-max node-health-strategy node-health-base \
             node-health-green node-health-yellow node-health-red placement-strategy \
             node-pending-timeout",
        ),
    ] {
        let found = read(daemon);
        let found = set(found.iter().map(|o| o.name.as_str()));
        assert_eq!(found, set(names.split_whitespace()), "{daemon:?}");
    }
    let found = read(Daemon::Fencer);
    let mut expected: BTreeSet<String> = [
        "host_argument",
        "host_map",
        "host_list",
        "host_check",
        "delay_max",
        "delay_base",
        "action_limit",
    ]
    .map(|name| format!("pcmk_{name}"))
    .into();
    for action in ["reboot", "off", "on", "list", "monitor", "status"] {
        expected.extend(["action", "timeout", "retries"].map(|w| format!("pcmk_{action}_{w}")));
    }
    assert_eq!(
        found.into_iter().map(|o| o.name).collect::<BTreeSet<_>>(),
        expected
    );
}

/// The choices of 2.1.5 are there; `fence` is a later word of the first.
#[test]
fn choices_are_offered() {
    let told = [read(Daemon::Controller), read(Daemon::Scheduler)];
    for (name, words) in [
        (
            "no-quorum-policy",
            "stop freeze ignore demote suicide fence",
        ),
        ("stonith-action", "reboot off poweroff"),
        (
            "node-health-strategy",
            "none migrate-on-red only-green progressive custom",
        ),
        ("placement-strategy", "default utilization minimal balanced"),
    ] {
        let by: Vec<&Read> = told.iter().flatten().filter(|o| o.name == name).collect();
        assert!(!by.is_empty(), "{name}");
        for option in by {
            let found = set(option.values.iter().map(String::as_str));
            assert_eq!(found, set(words.split_whitespace()), "{name}");
        }
    }
}

#[test]
fn what_is_for_few_is_said_before_the_description() {
    let begins = |daemon: Daemon, name: &str, words: &str| {
        let all = read(daemon);
        let option = all.iter().find(|o| o.name == name).unwrap();
        assert!(option.short.starts_with(words), "{option:?}");
    };
    let few = "*** Advanced Use Only *** ";
    begins(Daemon::Scheduler, "stonith-enabled", few);
    begins(Daemon::Controller, "transition-delay", few);
    let old = "*** Deprecated *** ";
    begins(Daemon::Scheduler, "remove-after-stop", old);
    begins(Daemon::Configuration, "cluster-ipc-limit", old);
    begins(
        Daemon::Fencer,
        "pcmk_off_timeout",
        "Advanced use only: How long",
    );
    begins(Daemon::Scheduler, "maintenance-mode", "Hands off");
}
