//! Every command by name: what dispatch, help and the man pages are held against.

use std::process::ExitCode;

/// A command line under a name of its own.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// The name it is called by.
    pub name: &'static str,
    /// Stem of the manual page that describes it.
    pub man_page: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Runs it; the arguments without its name.
    pub(super) run: fn(&[String]) -> ExitCode,
}

/// All of them.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "mainstay",
        man_page: "mainstay",
        summary: "status, explanations, checks and upkeep of the cluster",
        run: super::mainstay::main,
    },
    Command {
        name: "crm",
        man_page: "crm",
        summary: "configure and steer the cluster",
        run: |args| super::crm::main(args).into(),
    },
    Command {
        name: "crm_mon",
        man_page: "crm_mon",
        summary: "show how the cluster stands",
        run: |args| super::crm_mon::main(args).into(),
    },
    Command {
        name: "corosync-keygen",
        man_page: "corosync-keygen",
        summary: "make the key that nodes of a cluster share",
        run: |args| super::keygen::main(args).into(),
    },
    Command {
        name: "cibadmin",
        man_page: "cibadmin",
        summary: "show and change the CIB as XML",
        run: |args| super::cibadmin::main(args).into(),
    },
    Command {
        name: "crm_node",
        man_page: "crm_node",
        summary: "names and ids of the membership",
        run: |args| super::crm_node::main(args).into(),
    },
    Command {
        name: "crm_attribute",
        man_page: "crm_attribute",
        summary: "attributes of nodes and options of the cluster",
        run: |args| super::crm_attribute::main(args).into(),
    },
    Command {
        name: "crm_resource",
        man_page: "crm_resource",
        summary: "what runs where, cleaning up, waiting",
        run: |args| super::crm_resource::main(args).into(),
    },
    Command {
        name: "pacemakerd",
        man_page: "pacemakerd",
        summary: "the version that resource agents ask for",
        run: |args| super::pacemakerd::main(args).into(),
    },
    Command {
        name: "demo-web",
        man_page: "mainstay",
        summary: "the tiny web server of the demo",
        run: crate::demo_web::main,
    },
];
