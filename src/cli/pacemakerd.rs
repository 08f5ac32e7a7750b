//! `pacemakerd`: the version and features that agents and shells ask for. The daemon is another.

use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag, with_value};
use super::service;
use super::tool::Tool;
use crate::paths::Paths;
use crate::view::xml::with_text;
use cib::Element;

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.alone(args, run)
}

const TOOL: Tool = Tool {
    name: "pacemakerd",
    options: OPTIONS,
    usage: USAGE,
    prefix: "pacemakerd: ",
};

fn run(console: &mut Console, found: &Found) -> Result<(), Failure> {
    if found.has("features") {
        features(console);
        return Ok(());
    }
    if found.has("shutdown") {
        return service::tell(&Paths::from_env(), "stop");
    }
    if found.has("standby") {
        return Err(Failure {
            cure: Some("start mainstayd, then say `crm node standby`".to_owned()),
            ..Failure::new(Exit::Unimplemented, "--standby is not offered")
        });
    }
    Err(Failure::usage(THE_DAEMON))
}

/// For who starts a daemon of Pacemaker's: which one there is, and how it is started.
pub(super) const THE_DAEMON: &str = "the daemon is mainstayd: start it with `systemctl start mainstay` or /etc/init.d/mainstay start";

fn features(console: &mut Console) {
    let (version, build) = numbers();
    let set = cib::document::FEATURE_SET;
    console.line(&format!("Pacemaker {version} (Build: {build})"));
    console.line(&format!(" Supporting v{set}: {}", FEATURES.join(" ")));
    let mut list = Element::new("features");
    let named = FEATURES.iter().map(|name| with_text("feature", name));
    list.children.extend(named);
    console.element(
        Element::new("pacemakerd")
            .with("version", version)
            .with("build", build)
            .with("feature_set", set)
            .child(list),
    );
}

/// The version of Pacemaker whose place this is in, and what stands in for its build.
pub(super) fn numbers() -> (&'static str, &'static str) {
    crate::DC_VERSION
        .split_once('-')
        .unwrap_or((crate::DC_VERSION, ""))
}

/// What shells ask for before they use it.
pub(super) const FEATURES: [&str; 4] = ["agent-manpages", "corosync-ge-2", "monotonic", "systemd"];

/// pacemakerd(8).
pub(super) const OPTIONS: &[Opt] = &[
    flag('F', "features"),
    flag('S', "shutdown"),
    flag('s', "standby"),
    flag('f', "foreground"),
    with_value('p', "pid-file"),
    flag('V', "verbose"),
    flag('$', "version"),
    flag('?', "help"),
    flag('h', "help-usage"),
    flag('\0', "text-fancy"),
    with_value('\0', "output-as"),
    with_value('\0', "output-to"),
];

const USAGE: &str = "usage: pacemakerd --version | --features | --shutdown [--output-as=text|xml]";
