//! Every command by name: what dispatch, help and the man pages are held against.

use super::options::Daemon;
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
        name: "corosync-cfgtool",
        man_page: "corosync-cfgtool",
        summary: "links and the nodes that are reached by them",
        run: super::corosync_cfgtool::main,
    },
    Command {
        name: "corosync-quorumtool",
        man_page: "corosync-quorumtool",
        summary: "votes and members",
        run: super::corosync_quorumtool::main,
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
        name: "crm_master",
        man_page: "crm_master",
        summary: "a resource's promotion score on a node",
        run: |args| super::crm_master::main(args).into(),
    },
    Command {
        name: "crm_report",
        man_page: "crm_report",
        summary: "what this node knows, in one archive without secrets",
        run: |args| super::report::main(args).into(),
    },
    Command {
        name: "attrd_updater",
        man_page: "attrd_updater",
        summary: "attributes of nodes that end with a reboot",
        run: |args| super::attrd_updater::main(args).into(),
    },
    Command {
        name: "crm_resource",
        man_page: "crm_resource",
        summary: "what runs where, cleaning up, waiting",
        run: |args| super::crm_resource::main(args).into(),
    },
    Command {
        name: "crm_verify",
        man_page: "crm_verify",
        summary: "whether the configuration is sound",
        run: |args| super::crm_verify::main(args).into(),
    },
    Command {
        name: "crm_rule",
        man_page: "crm_rule",
        summary: "whether a rule with a date is in effect",
        run: |args| super::crm_rule::main(args).into(),
    },
    Command {
        name: "crm_simulate",
        man_page: "crm_simulate",
        summary: "what the cluster would do, and how it would stand then",
        run: |args| super::crm_simulate::main(args).into(),
    },
    Command {
        name: "ptest",
        man_page: "crm_simulate",
        summary: "the old name of crm_simulate",
        run: |args| super::crm_simulate::main(args).into(),
    },
    Command {
        name: "crm_standby",
        man_page: "crm_standby",
        summary: "keep a node from running anything",
        run: |args| super::crm_standby::main(args).into(),
    },
    Command {
        name: "crm_failcount",
        man_page: "crm_failcount",
        summary: "how often a resource failed",
        run: |args| super::crm_failcount::main(args).into(),
    },
    Command {
        name: "crm_diff",
        man_page: "crm_diff",
        summary: "the difference of two configurations",
        run: |args| super::crm_diff::main(args).into(),
    },
    Command {
        name: "crm_shadow",
        man_page: "crm_shadow",
        summary: "work on a copy of the configuration",
        run: |args| super::crm_shadow::main(args).into(),
    },
    Command {
        name: "crm_error",
        man_page: "crm_error",
        summary: "what a number of a tool means",
        run: |args| super::crm_error::main(args).into(),
    },
    Command {
        name: "crm_ticket",
        man_page: "crm_ticket",
        summary: "tickets of clusters with several sites",
        run: |args| super::crm_ticket::main(args).into(),
    },
    Command {
        name: "crmadmin",
        man_page: "crmadmin",
        summary: "who is the DC and which nodes there are",
        run: |args| super::crmadmin::main(args).into(),
    },
    Command {
        name: "iso8601",
        man_page: "iso8601",
        summary: "times and durations as rules write them",
        run: |args| super::iso8601::main(args).into(),
    },
    Command {
        name: "stonith_admin",
        man_page: "stonith_admin",
        summary: "fence devices and fencing by hand",
        run: |args| super::stonith_admin::main(args).into(),
    },
    Command {
        name: "corosync-cmapctl",
        man_page: "corosync-cmapctl",
        summary: "configuration and membership as keys and values",
        run: |args| super::corosync_cmapctl::main(args).into(),
    },
    Command {
        name: "pcs",
        man_page: "pcs",
        summary: "configure and steer the cluster, in the words of pcs",
        run: |args| super::pcs::main(args).into(),
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

/// What front ends ask Pacemaker's daemons for: programs in its directory of daemons, not in PATH.
pub const DAEMONS: &[Command] = &[
    Command {
        name: Daemon::Configuration.name(),
        man_page: "pacemaker-metadata",
        summary: "options of the configuration, for front ends",
        run: |args| super::daemons::main(Daemon::Configuration, args).into(),
    },
    Command {
        name: Daemon::Controller.name(),
        man_page: "pacemaker-metadata",
        summary: "options of the cluster, for front ends",
        run: |args| super::daemons::main(Daemon::Controller, args).into(),
    },
    Command {
        name: Daemon::Fencer.name(),
        man_page: "pacemaker-metadata",
        summary: "parameters of every fence device, for front ends",
        run: |args| super::daemons::main(Daemon::Fencer, args).into(),
    },
    Command {
        name: Daemon::Scheduler.name(),
        man_page: "pacemaker-metadata",
        summary: "options of decisions, for front ends",
        run: |args| super::daemons::main(Daemon::Scheduler, args).into(),
    },
];

#[cfg(test)]
mod tests {
    use super::super::getopt::Opt;
    use super::*;
    use std::path::Path;

    fn page(file: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    #[test]
    fn every_word_and_option_of_pcs_is_in_its_manual_page() {
        use super::super::pcs::{Act, Level, OPTIONS_SHOWN, ROOT};
        fn check(level: &Level, path: &str, text: &str) {
            for verb in level.verbs {
                let words = format!("{path} {}", verb.name);
                match verb.act {
                    Act::Below(inner) => check(inner, &words, text),
                    _ => assert!(text.contains(&words), "pcs.8 says nothing of {words}"),
                }
            }
        }
        let text = page("pcs.8");
        check(&ROOT, "pcs", &text);
        for option in OPTIONS_SHOWN {
            assert!(text.contains(option), "pcs.8 says nothing of --{option}");
        }
    }

    #[test]
    fn every_option_is_in_its_manual_page() {
        let tables: [(&str, &[Opt]); 21] = [
            ("crm_verify", &super::super::crm_verify::OPTIONS),
            ("crm_simulate", &super::super::crm_simulate::OPTIONS),
            ("crm_rule", super::super::crm_rule::OPTIONS),
            ("pacemakerd", super::super::pacemakerd::OPTIONS),
            ("pacemaker-metadata", super::super::daemons::OPTIONS),
            ("attrd_updater", &super::super::attrd_updater::OPTIONS),
            ("crm_mon", &super::super::crm_mon::OPTIONS),
            ("cibadmin", &super::super::cibadmin::OPTIONS),
            ("crm_node", &super::super::crm_node::OPTIONS),
            ("crm_attribute", &super::super::crm_attribute::OPTIONS),
            ("crm_resource", super::super::crm_resource::OPTIONS),
            ("crm_standby", super::super::crm_standby::OPTIONS),
            ("crm_failcount", super::super::crm_failcount::OPTIONS),
            ("crm_diff", super::super::crm_diff::OPTIONS),
            ("crm_shadow", super::super::crm_shadow::OPTIONS),
            ("crm_error", super::super::crm_error::OPTIONS),
            ("crm_ticket", super::super::crm_ticket::OPTIONS),
            ("crmadmin", super::super::crmadmin::OPTIONS),
            ("iso8601", super::super::iso8601::OPTIONS),
            ("stonith_admin", super::super::stonith_admin::OPTIONS),
            ("corosync-cmapctl", super::super::corosync_cmapctl::OPTIONS),
        ];
        for (name, table) in tables {
            let text = page(&format!("{name}.8"));
            for opt in table {
                assert!(
                    text.contains(opt.long),
                    "{name}.8 says nothing of --{}",
                    opt.long
                );
            }
        }
    }

    #[test]
    fn every_verb_of_mainstay_is_in_its_manual_page() {
        fn check(command: &clap::Command, text: &str) {
            for argument in command.get_arguments() {
                if let Some(long) = argument.get_long() {
                    assert!(text.contains(long), "mainstay.8 says nothing of --{long}");
                }
            }
            for verb in command.get_subcommands() {
                assert!(
                    text.contains(verb.get_name()),
                    "mainstay.8: {}",
                    verb.get_name()
                );
                check(verb, text);
            }
        }
        check(&super::super::mainstay::definition(), &page("mainstay.8"));
    }

    #[test]
    fn the_configurations_of_the_manual_are_valid() {
        let text = page("mainstay.conf.5");
        let examples: Vec<&str> = text
            .split("\n.Bd ")
            .skip(1)
            .filter_map(|part| part.split_once('\n')?.1.split("\n.Ed").next())
            .collect();
        assert_eq!(examples.len(), 2);
        for (example, nodes) in examples.iter().zip([1, 3]) {
            let conf = crate::conf::read("example", example, crate::conf::Strictness::Strict)
                .unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(conf.nodes.len(), nodes);
            assert!(conf.warnings.is_empty(), "{:?}", conf.warnings);
        }
    }

    #[test]
    fn names_are_unique_and_summaries_there() {
        let all: Vec<&Command> = COMMANDS.iter().chain(DAEMONS).collect();
        for (at, command) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|c| c.name != command.name));
            assert!(!command.summary.is_empty());
        }
    }
}
