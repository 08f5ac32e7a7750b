//! `pcs resource`.

mod agents;
mod attrs;
pub(super) mod create;
mod debug;
pub(super) mod defaults;
mod groups;
mod moves;
pub(super) mod ops;
mod remove;
mod roles;
pub(super) mod show;
pub(super) mod upkeep;

use super::level::{Level, also, below, refused, verb};

pub(in crate::cli) use agents::{columns, describe_agent};
pub(super) use attrs::update;
pub(super) use remove::delete;
pub(super) use roles::{disable, enable};

pub(super) const LEVEL: Level = Level {
    path: "pcs resource",
    alone: Some("status"),
    rest: None,
    verbs: &[
        verb(
            "status",
            "[RESOURCE] [node=NODE]",
            &["file", "hide-inactive"],
            show::status,
        ),
        also("list-resources", "status"),
        verb(
            "config",
            "[RESOURCE]...",
            &["file", "output-format"],
            show::config,
        ),
        also("show", "config"),
        verb("list", "[FILTER]", &["nodesc"], agents::list),
        verb("describe", "[CLASS:[PROVIDER:]]TYPE", &[], agents::describe),
        verb("standards", "", &[], agents::standards),
        verb("providers", "", &[], agents::providers),
        verb("agents", "[CLASS[:PROVIDER]]", &[], agents::agents),
        verb(
            "create",
            "ID [CLASS:[PROVIDER:]]TYPE [NAME=VALUE]... [op ACTION NAME=VALUE...]... [meta NAME=VALUE...] [clone [ID] [NAME=VALUE]... | promotable [ID] [NAME=VALUE]...]",
            &[
                "file",
                "force",
                "wait",
                "disabled",
                "no-default-ops",
                "group",
                "before",
                "after",
            ],
            create::create,
        ),
        verb("delete", "RESOURCE...", &["file", "force"], remove::delete),
        also("remove", "delete"),
        verb("enable", "RESOURCE...", &["file", "wait"], roles::enable),
        verb("disable", "RESOURCE...", &["file", "wait"], roles::disable),
        verb("restart", "RESOURCE", &["wait"], roles::restart),
        verb("manage", "RESOURCE...", &["file"], roles::manage),
        verb("unmanage", "RESOURCE...", &["file"], roles::unmanage),
        verb(
            "move",
            "RESOURCE [NODE] [lifetime=DURATION]",
            &["wait", "file"],
            moves::relocate,
        ),
        also("move-with-constraint", "move"),
        verb(
            "ban",
            "RESOURCE [NODE] [lifetime=DURATION]",
            &["wait", "file"],
            moves::ban,
        ),
        verb("clear", "RESOURCE [NODE]", &["wait", "file"], moves::clear),
        verb(
            "update",
            "RESOURCE [NAME=VALUE]... [op ACTION NAME=VALUE...]... [meta NAME=VALUE...]",
            &["file", "force", "wait"],
            attrs::update,
        ),
        verb(
            "meta",
            "RESOURCE NAME=VALUE...",
            &["file", "wait"],
            attrs::meta,
        ),
        verb(
            "utilization",
            "[RESOURCE [NAME=VALUE]...]",
            &["file"],
            attrs::utilization,
        ),
        below("op", &ops::LEVEL),
        below("defaults", &defaults::RESOURCES),
        below("group", &groups::LEVEL),
        verb(
            "ungroup",
            "GROUP [RESOURCE]...",
            &["file", "wait"],
            groups::ungroup,
        ),
        verb(
            "clone",
            "RESOURCE [ID] [NAME=VALUE]...",
            &["file", "wait"],
            groups::clone,
        ),
        verb(
            "promotable",
            "RESOURCE [ID] [NAME=VALUE]...",
            &["file", "wait"],
            groups::promotable,
        ),
        verb("unclone", "RESOURCE", &["file", "wait"], groups::unclone),
        verb(
            "cleanup",
            "[RESOURCE] [node=NODE] [operation=NAME [interval=TIME]]",
            &["strict"],
            upkeep::cleanup,
        ),
        verb(
            "refresh",
            "[RESOURCE] [node=NODE]",
            &["strict"],
            upkeep::cleanup,
        ),
        verb(
            "failcount",
            "[show [RESOURCE] [node=NODE]]",
            &["file", "full"],
            upkeep::failcount,
        ),
        verb("relations", "RESOURCE", &["file"], show::relations),
        refused(
            "relocate",
            "`crm resource move` or `pcs resource move` moves one resource",
        ),
        refused("bundle", "there are no bundles in this version"),
        refused("move-cycle", "use move, then clear"),
        verb("debug-start", "RESOURCE", debug::FLAGS, debug::start),
        verb("debug-stop", "RESOURCE", debug::FLAGS, debug::stop),
        verb("debug-monitor", "RESOURCE", debug::FLAGS, debug::monitor),
        verb("debug-promote", "RESOURCE", debug::FLAGS, debug::promote),
        verb("debug-demote", "RESOURCE", debug::FLAGS, debug::demote),
    ],
};
