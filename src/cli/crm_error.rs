//! `crm_error`: what a number means that a tool ended with, or that an error message names.

use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag};
use super::tool::Tool;
use cib::Element;

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.alone(&numbers_last(args), run)
}

/// Numbers below 0, as programs return them, are no options: all numbers stand behind `--`.
fn numbers_last(args: &[String]) -> Vec<String> {
    let is_number = |arg: &&String| arg.parse::<i32>().is_ok();
    if args.iter().any(|arg| arg == "--") {
        return args.to_vec();
    }
    let (numbers, mut words): (Vec<&String>, Vec<&String>) = args.iter().partition(is_number);
    let end = "--".to_owned();
    words.push(&end);
    words.extend(numbers);
    words.into_iter().cloned().collect()
}

const TOOL: Tool = Tool {
    name: "crm_error",
    options: OPTIONS,
    usage: USAGE,
    prefix: "crm_error: ",
};

pub(super) fn run(console: &mut Console, found: &Found) -> Result<(), Failure> {
    let kind = match found.last_of(&["rc", "exit"]) {
        Some("rc") => Codes::Results,
        Some(_) => Codes::Exits,
        None => Codes::Older,
    };
    if found.has("list") || found.words.is_empty() {
        for code in listed(kind) {
            tell(console, found, code, kind, true);
        }
        return Ok(());
    }
    for word in &found.words {
        let code = word
            .parse()
            .map_err(|_| Failure::usage(format!("`{word}` is no number")))?;
        tell(console, found, code, kind, false);
    }
    Ok(())
}

/// What a number is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codes {
    /// The system's errors, whatever their sign, and the numbers above [`OLDER_MIN`].
    Older,
    /// `pcmk_rc_*`: the system's errors, and numbers below 0 of Pacemaker's own.
    Results,
    /// Exit codes.
    Exits,
}

/// Codes that have a name.
fn listed(kind: Codes) -> Vec<i32> {
    if kind == Codes::Exits {
        return EXITS.iter().map(|(code, ..)| *code).collect();
    }
    let own = RESULTS.iter().map(|(code, ..)| *code);
    let errors = (1..=ERRNO_MAX).filter(|n| !UNNAMED.contains(n) && system(*n).is_some());
    match kind {
        Codes::Results => own.filter(|code| *code < OLDER_MIN).chain(errors).collect(),
        _ => {
            let older = own.filter(|code| *code >= OLDER_MIN);
            [0].into_iter().chain(errors).chain(older).collect()
        }
    }
}

fn tell(console: &mut Console, found: &Found, code: i32, kind: Codes, list: bool) {
    let (name, text) = meaning(code, kind).unwrap_or_else(|| match kind {
        Codes::Exits => (
            "CRM_EX_UNKNOWN".to_owned(),
            "Unknown exit status".to_owned(),
        ),
        // A number of Pacemaker's own that has no meaning yet.
        Codes::Results if code < 0 => ("Unknown".to_owned(), "Error".to_owned()),
        _ => (
            "Unknown".to_owned(),
            format!("Unknown error {}", code.unsigned_abs()),
        ),
    });
    if console.wants_xml() {
        let mut element = Element::new("result-code").with("code", &code.to_string());
        if found.has("name") {
            element.set("name", &name);
        }
        element.set("description", &text);
        console.element(element);
        return;
    }
    console.line(&match (list, found.has("name")) {
        (false, false) => text,
        (false, true) => format!("{name} - {text}"),
        (true, false) => format!("{code:>5}: {text}"),
        (true, true) => format!("{code:>5}: {name:<26}  {text}"),
    });
}

/// Name and meaning.
fn meaning(code: i32, kind: Codes) -> Option<(String, String)> {
    let own = |table: &[(i32, &str, &str)], code: i32| {
        let found = table.iter().find(|(c, ..)| *c == code);
        found.map(|(_, name, text)| ((*name).to_owned(), (*text).to_owned()))
    };
    match kind {
        Codes::Exits => own(EXITS, code),
        Codes::Results if code < OLDER_MIN => own(RESULTS, code).or_else(|| system(code)),
        Codes::Results => None,
        // A failure below 0 is the same as above it.
        Codes::Older => {
            let code = code.checked_abs()?;
            own(RESULTS, code).or_else(|| system(code))
        }
    }
}

/// An error of the operating system.
fn system(code: i32) -> Option<(String, String)> {
    if !(1..=ERRNO_MAX).contains(&code) {
        return None;
    }
    let name = match nix::errno::Errno::from_raw(code) {
        nix::errno::Errno::UnknownErrno => return None,
        _ if UNNAMED.contains(&code) => "Unknown".to_owned(),
        // Of its two names the one that Pacemaker uses.
        nix::errno::Errno::EDEADLK => "EDEADLOCK".to_owned(),
        name => format!("{name:?}"),
    };
    let text = std::io::Error::from_raw_os_error(code).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    Some((name, text.to_owned()))
}

/// Errors of the system that Pacemaker has no name for.
const UNNAMED: [i32; 14] = [
    48, 50, 55, 59, 68, 69, 73, 109, 118, 119, 130, 131, 132, 133,
];
/// The system's own errors end below this one.
const ERRNO_MAX: i32 = 133;
/// The first of the older numbers (`pcmk_err_generic`).
const OLDER_MIN: i32 = 201;

/// Exit codes (Pacemaker include/crm/common/results.h, `crm_exit_t`).
const EXITS: &[(i32, &str, &str)] = &[
    (0, "CRM_EX_OK", "OK"),
    (1, "CRM_EX_ERROR", "Error occurred"),
    (2, "CRM_EX_INVALID_PARAM", "Invalid parameter"),
    (3, "CRM_EX_UNIMPLEMENT_FEATURE", "Unimplemented"),
    (4, "CRM_EX_INSUFFICIENT_PRIV", "Insufficient privileges"),
    (5, "CRM_EX_NOT_INSTALLED", "Not installed"),
    (6, "CRM_EX_NOT_CONFIGURED", "Not configured"),
    (7, "CRM_EX_NOT_RUNNING", "Not running"),
    (8, "CRM_EX_PROMOTED", "Promoted"),
    (9, "CRM_EX_FAILED_PROMOTED", "Failed in promoted role"),
    (64, "CRM_EX_USAGE", "Incorrect usage"),
    (65, "CRM_EX_DATAERR", "Invalid data given"),
    (66, "CRM_EX_NOINPUT", "Input file not available"),
    (67, "CRM_EX_NOUSER", "User does not exist"),
    (68, "CRM_EX_NOHOST", "Host does not exist"),
    (69, "CRM_EX_UNAVAILABLE", "Necessary service unavailable"),
    (70, "CRM_EX_SOFTWARE", "Internal software bug"),
    (71, "CRM_EX_OSERR", "Operating system error occurred"),
    (72, "CRM_EX_OSFILE", "System file not available"),
    (73, "CRM_EX_CANTCREAT", "Cannot create output file"),
    (74, "CRM_EX_IOERR", "I/O error occurred"),
    (75, "CRM_EX_TEMPFAIL", "Temporary failure, try again"),
    (76, "CRM_EX_PROTOCOL", "Protocol violated"),
    (77, "CRM_EX_NOPERM", "Insufficient privileges"),
    (78, "CRM_EX_CONFIG", "Invalid configuration"),
    (
        100,
        "CRM_EX_FATAL",
        "Fatal error occurred, will not respawn",
    ),
    (101, "CRM_EX_PANIC", "System panic required"),
    (102, "CRM_EX_DISCONNECT", "Not connected"),
    (
        103,
        "CRM_EX_OLD",
        "Update was older than existing configuration",
    ),
    (104, "CRM_EX_DIGEST", "Digest mismatch"),
    (105, "CRM_EX_NOSUCH", "No such object"),
    (106, "CRM_EX_QUORUM", "Quorum required"),
    (107, "CRM_EX_UNSAFE", "Operation not safe"),
    (108, "CRM_EX_EXISTS", "Requested item already exists"),
    (109, "CRM_EX_MULTIPLE", "Multiple items match request"),
    (110, "CRM_EX_EXPIRED", "Requested item has expired"),
    (
        111,
        "CRM_EX_NOT_YET_IN_EFFECT",
        "Requested item is not yet in effect",
    ),
    (112, "CRM_EX_INDETERMINATE", "Could not determine status"),
    (
        113,
        "CRM_EX_UNSATISFIED",
        "Not applicable under current conditions",
    ),
    (124, "CRM_EX_TIMEOUT", "Timeout occurred"),
    (
        190,
        "CRM_EX_DEGRADED",
        "Service is active but might fail soon",
    ),
    (
        191,
        "CRM_EX_DEGRADED_PROMOTED",
        "Service is promoted but might fail soon",
    ),
    (193, "CRM_EX_NONE", "No exit status available"),
];

/// Results beside the system's errors (`pcmk_rc_e`, and the older numbers from 201 on).
const RESULTS: &[(i32, &str, &str)] = &[
    (
        -1033,
        "pcmk_rc_duplicate_id",
        "Two or more XML elements have the same ID",
    ),
    (-1032, "pcmk_rc_unpack_error", "Unable to parse CIB XML"),
    (
        -1031,
        "pcmk_rc_invalid_transition",
        "Cluster simulation produced invalid transition",
    ),
    (-1030, "pcmk_rc_graph_error", "Error writing graph file"),
    (-1029, "pcmk_rc_dot_error", "Error writing dot(1) file"),
    (
        -1028,
        "pcmk_rc_underflow",
        "Value too small to be stored in data type",
    ),
    (-1027, "pcmk_rc_no_input", "Input file not available"),
    (
        -1026,
        "pcmk_rc_no_output",
        "Output message produced no output",
    ),
    (
        -1025,
        "pcmk_rc_after_range",
        "Result occurs after given range",
    ),
    (
        -1024,
        "pcmk_rc_within_range",
        "Result occurs within given range",
    ),
    (
        -1023,
        "pcmk_rc_before_range",
        "Result occurs before given range",
    ),
    (-1022, "pcmk_rc_undetermined", "Result undetermined"),
    (
        -1021,
        "pcmk_rc_op_unsatisfied",
        "Not applicable under current conditions",
    ),
    (
        -1020,
        "pcmk_rc_ipc_pid_only",
        "IPC server process is active but not accepting connections",
    ),
    (
        -1019,
        "pcmk_rc_ipc_unresponsive",
        "IPC server is unresponsive",
    ),
    (
        -1018,
        "pcmk_rc_ipc_unauthorized",
        "IPC server is blocked by unauthorized process",
    ),
    (-1017, "pcmk_rc_no_quorum", "Operation requires quorum"),
    (
        -1016,
        "pcmk_rc_schema_validation",
        "Update does not conform to the configured schema",
    ),
    (
        -1015,
        "pcmk_rc_schema_unchanged",
        "Schema is already the latest available",
    ),
    (-1014, "pcmk_rc_transform_failed", "Schema transform failed"),
    (
        -1013,
        "pcmk_rc_old_data",
        "Update was older than existing configuration",
    ),
    (
        -1012,
        "pcmk_rc_diff_failed",
        "Application of update diff failed",
    ),
    (
        -1011,
        "pcmk_rc_diff_resync",
        "Application of update diff failed, requesting full refresh",
    ),
    (
        -1010,
        "pcmk_rc_cib_modified",
        "On-disk configuration was manually modified",
    ),
    (
        -1009,
        "pcmk_rc_cib_backup",
        "Could not archive previous configuration",
    ),
    (
        -1008,
        "pcmk_rc_cib_save",
        "Could not save new configuration to disk",
    ),
    (
        -1007,
        "pcmk_rc_cib_corrupt",
        "Could not parse on-disk configuration",
    ),
    (
        -1006,
        "pcmk_rc_multiple",
        "Resource active on multiple nodes",
    ),
    (-1005, "pcmk_rc_node_unknown", "Node not found"),
    (-1004, "pcmk_rc_already", "Already in requested state"),
    (-1003, "pcmk_rc_bad_nvpair", "Bad name/value pair given"),
    (-1002, "pcmk_rc_unknown_format", "Unknown output format"),
    (-1001, "pcmk_rc_error", "Error"),
    (0, "pcmk_rc_ok", "OK"),
    (201, "pcmk_err_generic", "Error"),
    (202, "pcmk_err_no_quorum", "Operation requires quorum"),
    (
        203,
        "pcmk_err_schema_validation",
        "Update does not conform to the configured schema",
    ),
    (204, "pcmk_err_transform_failed", "Schema transform failed"),
    (
        205,
        "pcmk_err_old_data",
        "Update was older than existing configuration",
    ),
    (
        206,
        "pcmk_err_diff_failed",
        "Application of update diff failed",
    ),
    (
        207,
        "pcmk_err_diff_resync",
        "Application of update diff failed, requesting full refresh",
    ),
    (
        208,
        "pcmk_err_cib_modified",
        "On-disk configuration was manually modified",
    ),
    (
        209,
        "pcmk_err_cib_backup",
        "Could not archive previous configuration",
    ),
    (
        210,
        "pcmk_err_cib_save",
        "Could not save new configuration to disk",
    ),
    (
        212,
        "pcmk_err_cib_corrupt",
        "Could not parse on-disk configuration",
    ),
    (
        213,
        "pcmk_err_multiple",
        "Resource active on multiple nodes",
    ),
    (214, "pcmk_err_node_unknown", "Node not found"),
    (215, "pcmk_err_already", "Already in requested state"),
    (216, "pcmk_err_bad_nvpair", "Bad name/value pair given"),
    (217, "pcmk_err_unknown_format", "Unknown output format"),
];

/// crm_error(8).
pub(super) const OPTIONS: &[Opt] = &[
    flag('n', "name"),
    flag('l', "list"),
    flag('r', "rc"),
    flag('X', "exit"),
    flag('V', "verbose"),
    flag('$', "version"),
    flag('?', "help"),
    flag('\0', "text-fancy"),
    super::getopt::with_value('\0', "output-as"),
    super::getopt::with_value('\0', "output-to"),
];

const USAGE: &str = "usage: crm_error [-n] [-X|-r] CODE … | [-n] [-X|-r] -l";

#[cfg(test)]
mod tests {
    use super::super::getopt;
    use super::*;

    fn say(line: &str) -> String {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let args = numbers_last(&args);
        let mut console = Console::buffers();
        match run(&mut console, &getopt::parse(OPTIONS, &args).unwrap()) {
            Ok(()) => console.into_texts().0,
            Err(failure) => failure.exit.code().to_string(),
        }
    }

    #[test]
    fn numbers_in_the_words_of_pacemaker() {
        for (line, answer) in [
            ("0", "OK\n"),
            ("-X 105", "No such object\n"),
            ("22", "Invalid argument\n"),
            ("-n 22", "EINVAL - Invalid argument\n"),
            ("-X -n 105", "CRM_EX_NOSUCH - No such object\n"),
            ("203", "Update does not conform to the configured schema\n"),
            ("999", "Unknown error 999\n"),
            ("-22", "Invalid argument\n"),
            ("-- -22", "Invalid argument\n"),
            ("-n -22", "EINVAL - Invalid argument\n"),
            ("-205", "Update was older than existing configuration\n"),
            ("-1012", "Unknown error 1012\n"),
            ("-r -1012", "Application of update diff failed\n"),
            ("-r -- -22", "Error\n"),
            ("-r 22", "Invalid argument\n"),
            ("-r 203", "Unknown error 203\n"),
            ("-n 48", "Unknown - Link number out of range\n"),
            ("-Xr 1", "Operation not permitted\n"),
            ("-9999", "Unknown error 9999\n"),
            ("-2147483648", "Unknown error 2147483648\n"),
            ("-X -22", "Unknown exit status\n"),
            ("-X 999", "Unknown exit status\n"),
            ("-rX 0 1 2", "OK\nError occurred\nInvalid parameter\n"),
            ("rubbish", "64"),
        ] {
            assert_eq!(say(line), answer, "{line}");
        }
        let list = say("-X -l");
        assert!(list.contains("\n  102: Not connected\n"), "{list}");
        let list = say("-r -l");
        assert!(list.starts_with("-1033: Two or more"));
        assert_eq!(list.matches("    0: OK\n").count(), 1);
        assert!(!list.contains("  203: "), "{list}");
        let list = say("-l");
        assert!(list.ends_with("  217: Unknown output format\n"), "{list}");
        assert!(
            !list.contains("   48: ") && !list.contains("  211: "),
            "{list}"
        );
        assert!(
            say("-l -n").contains("    1: EPERM                       Operation not permitted\n")
        );
    }

    #[test]
    fn our_own_exit_codes_are_in_the_table() {
        for exit in [
            Exit::Ok,
            Exit::Usage,
            Exit::Disconnect,
            Exit::NoSuch,
            Exit::Timeout,
        ] {
            let (_, text) = meaning(i32::from(exit.code()), Codes::Exits).unwrap();
            assert_eq!(text, exit.text());
        }
    }
}
