//! `crm_diff`: the difference of two configurations as a patchset, and patching a file with one.

use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag, with_value};
use super::tool::{self, Tool};
use cib::{Element, Patch};

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.alone(args, run)
}

const TOOL: Tool = Tool {
    name: "crm_diff",
    options: OPTIONS,
    usage: USAGE,
    prefix: "",
};

fn run(console: &mut Console, found: &Found) -> Result<(), Failure> {
    let original = document(found, "original", "original-string", "first")?;
    if found.has("patch") {
        let patch = Patch::from_xml(&document(found, "patch", "patch-string", "second")?)?;
        // A patch that names versions belongs to one, which is only checked for a CIB.
        let patched = match found.has("cib") {
            true => patch.apply(&original)?,
            false => patch.apply_unversioned(&original)?,
        };
        console.print(&cib::xml::format(&patched));
        return Ok(());
    }
    let new = document(found, "new", "new-string", "second")?;
    let Some(diff) = difference(&original, new, found)? else {
        return Ok(());
    };
    console.print(&cib::xml::format(&diff));
    // As diff(1): they differ.
    Err(Failure::new(Exit::Error, ""))
}

/// The patchset, or nothing where there is no difference.
fn difference(
    original: &Element,
    mut new: Element,
    found: &Found,
) -> Result<Option<Element>, Failure> {
    let versionless = found.has("no-version");
    if versionless {
        for name in VERSION {
            match original.attr(name) {
                Some(value) => new.set(name, value),
                None => drop(new.unset(name)),
            }
        }
    }
    if *original == new {
        return Ok(None);
    }
    let mut patch = Patch::between(original, &new)?;
    if versionless {
        (patch.source, patch.target) = (None, None);
    }
    patch.digest = found.has("cib").then(|| cib::digest::cib(&new));
    match patch.is_empty() {
        true => Ok(None),
        false => Ok(Some(patch.to_xml())),
    }
}

/// A document from a file (`-` is standard input) or from the command line.
fn document(found: &Found, file: &str, string: &str, which: &str) -> Result<Element, Failure> {
    let failed = |why: String| {
        Failure::new(
            Exit::DataErr,
            format!("Could not parse the {which} XML fragment: {why}"),
        )
    };
    let text = match (found.value(string), found.value(file)) {
        (Some(text), _) => text.to_owned(),
        (None, None) if !found.has("stdin") => {
            return Err(Failure::usage(format!("say --{file}=FILE")));
        }
        (None, None | Some("-")) => {
            tool::standard_input().map_err(|failure| failed(failure.text))?
        }
        (None, Some(path)) => {
            std::fs::read_to_string(path).map_err(|e| failed(format!("{path}: {e}")))?
        }
    };
    cib::xml::parse(&text).map_err(|e| failed(e.to_string()))
}

/// What `--no-version` leaves out.
const VERSION: [&str; 3] = ["admin_epoch", "epoch", "num_updates"];

/// crm_diff(8).
pub(super) const OPTIONS: &[Opt] = &[
    with_value('o', "original"),
    with_value('O', "original-string"),
    with_value('n', "new"),
    with_value('N', "new-string"),
    with_value('p', "patch"),
    with_value('P', "patch-string"),
    flag('c', "cib"),
    flag('s', "stdin"),
    flag('u', "no-version"),
    flag('V', "verbose"),
    flag('$', "version"),
    flag('?', "help"),
    flag('h', "help-usage"),
];

const USAGE: &str = "usage: crm_diff [-c] [-u] -o FILE|-O XML -n FILE|-N XML | -o FILE -p FILE";

#[cfg(test)]
mod tests {
    use super::super::getopt;
    use super::*;

    const OLD: &str = r#"<cib admin_epoch="0" epoch="1" num_updates="0"><configuration><nodes><node id="1" uname="a"/></nodes></configuration></cib>"#;
    const NEW: &str = r#"<cib admin_epoch="0" epoch="2" num_updates="0"><configuration><nodes><node id="1" uname="b"/></nodes></configuration></cib>"#;

    fn diff(args: &[&str]) -> (String, u8) {
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        let mut console = Console::buffers();
        let result = run(&mut console, &getopt::parse(OPTIONS, &args).unwrap());
        let code = result.map_or_else(|f| f.exit.code(), |()| 0);
        (console.into_texts().0, code)
    }

    #[test]
    fn a_difference_with_and_without_versions() {
        let (text, code) = diff(&["-O", OLD, "-N", NEW]);
        assert_eq!(code, 1);
        assert!(
            text.starts_with("<diff format=\"2\">\n  <version>"),
            "{text}"
        );
        let (text, code) = diff(&["-u", "-O", OLD, "-N", NEW]);
        assert_eq!(code, 1);
        assert!(!text.contains("epoch"), "{text}");
        assert!(text.contains(r#"value="b""#), "{text}");
        assert_eq!(diff(&["-O", OLD, "-N", OLD]), (String::new(), 0));
        let only_version = OLD.replace("epoch=\"1\"", "epoch=\"7\"");
        assert_eq!(
            diff(&["-u", "-O", OLD, "-N", &only_version]),
            (String::new(), 0)
        );
    }

    #[test]
    fn a_patch_leads_from_one_to_the_other() {
        let (patch, _) = diff(&["-c", "-O", OLD, "-N", NEW]);
        let (text, code) = diff(&["-c", "-O", OLD, "-P", &patch, "-p", "-"]);
        assert_eq!(code, 0);
        assert_eq!(
            cib::xml::parse(&text).unwrap(),
            cib::xml::parse(NEW).unwrap()
        );
    }

    #[test]
    fn what_is_no_xml_is_said() {
        assert_eq!(diff(&["-O", "<a", "-N", NEW]).1, 65);
        assert_eq!(diff(&["-o", "/nowhere", "-N", NEW]).1, 65);
        assert_eq!(diff(&[]).1, 64);
    }
}
