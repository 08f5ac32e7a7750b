//! Verbs of crmsh that are not offered, and what to do instead.

use super::shell::Level;
use crate::cli::exit::{Exit, Failure};

/// Whoever asks for one is told what serves instead; `None` = crmsh has no such verb either.
pub(super) fn instead(level: Level, verb: &str) -> Option<Failure> {
    let found = VERBS
        .iter()
        .find(|(l, verbs, _)| *l == level && verbs.contains(&verb));
    found.map(|(_, _, cure)| Failure {
        cure: Some((*cure).to_owned()),
        ..Failure::new(
            Exit::Unimplemented,
            format!("{} {verb} is not offered", level.name()),
        )
    })
}

const VERBS: &[(Level, &[&str], &str)] = &[
    (
        Level::Configure,
        &["acl_target", "role", "user"],
        "root and the members of the group haclient may do everything, nobody else anything: see mainstay(8)",
    ),
    (
        Level::Configure,
        &["bundle"],
        "run the container as a systemd unit (`crm script show service`), or write <bundle> with `crm configure xml`",
    ),
    (
        Level::Configure,
        &["filter"],
        "`crm configure save FILE`, change it, `crm configure load replace FILE`",
    ),
    (
        Level::Configure,
        &["set"],
        "`crm resource param|meta RESOURCE set NAME VALUE`, or `crm configure edit RESOURCE`",
    ),
    (
        Level::Configure,
        &["default-timeouts"],
        "`crm ra info AGENT` prints what an agent advises; `crm configure op_defaults timeout=60s` holds for all",
    ),
    (
        Level::Configure,
        &["upgrade", "schema"],
        "`cibadmin --upgrade` brings an old configuration to the newest schema",
    ),
    (
        Level::Configure,
        &["graph"],
        "`crm_simulate -L -S -D FILE` writes what would be done as a graph for dot(1)",
    ),
    (
        Level::Configure,
        &["rsctest"],
        "`crm maintenance action RESOURCE start|monitor|stop` calls the agent on this node",
    ),
    (
        Level::Resource,
        &["scores"],
        "`crm_simulate -L -s` prints them, `mainstay why RESOURCE` says what they come from",
    ),
    (
        Level::Resource,
        &["secret"],
        "name a file in the agent's parameter (passwd_file, identity_file, password_script) that root alone can read",
    ),
    (
        Level::Cluster,
        &[
            "geo_init",
            "geo-init",
            "geo_join",
            "geo-join",
            "geo_init_arbitrator",
            "geo-init-arbitrator",
        ],
        "booth is set up by hand on each site; `crm site ticket` grants and revokes",
    ),
    (
        Level::Cluster,
        &["crash_test", "crash-test"],
        "`mainstay-lab` tries failures in namespaces; `crm node fence NODE` tries the fencing of this cluster",
    ),
    (
        Level::Corosync,
        &["add-node", "del-node"],
        "`crm cluster add NODE` and `crm cluster remove NODE` keep every node's file right",
    ),
    (
        Level::History,
        &["detail", "exclude", "session", "setnodes", "source"],
        "the level shows what this node keeps: `history limit FROM TO` narrows it, `crm report` collects it",
    ),
    (
        Level::History,
        &["graph", "wdiff"],
        "`crm history diff N live` compares, `crm_simulate -x FILE -S -D DOT` draws",
    ),
];
