//! `crm_verify`: is the configuration sound, the running one or one in a file?

use super::backend;
use super::console::Console;
use super::crm::describe_finding;
use super::crm_simulate::{bytes_of, decided_at, now_s};
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag, with_value};
use super::tool::{self, Tool};
use cib::check::Severity;
use cib::{Cib, Element};

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.alone(args, |console, found| {
        let source = read(found)?;
        if let Some(file) = found.value("save-xml") {
            let failed = |e| Failure::new(Exit::CantCreat, format!("{file}: {e}"));
            std::fs::write(file, source.cib.to_xml()).map_err(failed)?;
        }
        let remarks = verify(&source);
        // The answer is one document; it is not made of parts.
        let xml = console.take_answer().is_some();
        if xml {
            let request = format!("crm_verify {}", args.join(" "));
            console.print(&cib::xml::format(&document(&remarks, request.trim_end())));
        } else if !found.has("quiet") {
            tell(&remarks, found.has("verbose"), console);
        }
        match worst(&remarks) {
            Some(Severity::Error | Severity::Warning) if xml => Err(Failure::new(Exit::Config, "")),
            Some(Severity::Error) => Err(Failure::new(Exit::Config, ERRORS)),
            Some(Severity::Warning) => Err(Failure::new(Exit::Config, WARNINGS)),
            Some(Severity::Notice) | None => Ok(()),
        }
    })
}

const TOOL: Tool = Tool {
    name: "crm_verify",
    options: &OPTIONS,
    usage: USAGE,
    prefix: "crm_verify: ",
};

/// A CIB, and how it is written, so that lines can be named.
struct Source {
    cib: Cib,
    /// The file's name; empty for the running cluster.
    name: String,
    text: String,
}

/// The CIB to look at.
fn read(found: &Found) -> Result<Source, Failure> {
    let source = |name: &str, text: String| -> Result<Source, Failure> {
        let root = cib::xml::parse_file(text.as_bytes())
            .map_err(|e| Failure::new(Exit::DataErr, format!("{name}: {e}")))?;
        if root.name != "cib" {
            let text =
                "This tool can only check complete configurations (i.e. those starting with <cib>)";
            return Err(Failure::new(Exit::Protocol, text));
        }
        let cib = with_status(Cib::from_element(root)?);
        let name = name.to_owned();
        Ok(Source { cib, name, text })
    };
    if found.has("live-check") {
        let mut backend = backend::open()?;
        let cib = backend::cib(backend.as_mut(), true)?;
        let (name, text) = (String::new(), String::new());
        return Ok(Source { cib, name, text });
    }
    if let Some(file) = found.value("xml-file") {
        let text = String::from_utf8_lossy(&bytes_of(file)?).into_owned();
        return source(file, text);
    }
    let none =
        "No configuration source specified: say -L for the running one, -x FILE, -X XML or -p";
    let text = tool::xml_input(found)?.ok_or_else(|| Failure::usage(none))?;
    source("input", text)
}

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Remark {
    severity: Severity,
    /// `cib.xml:12: ` where that is known.
    place: String,
    text: String,
    /// It speaks of how the nodes stand, not of the configuration.
    of_state: bool,
}

/// Shells hand over configurations of which they have made the status away; that is no fault.
fn with_status(mut cib: Cib) -> Cib {
    if cib.root().first("status").is_none() {
        cib.root_mut().children.push(cib::Element::new("status"));
    }
    cib
}

/// What is wrong: what the check of the configuration finds, and what the scheduler ignores
/// besides.
fn verify(source: &Source) -> Vec<Remark> {
    let root = source.cib.root();
    let now = decided_at(root).unwrap_or_else(now_s);
    let plan = scheduler::schedule(root, &scheduler::Options { now });
    let findings = cib::check::verify(&source.cib);
    let mut remarks: Vec<Remark> = Vec::new();
    let unfenced = plan.warnings.iter().any(|w| w.starts_with(NO_DEVICE));
    if unfenced && has_resources(root) {
        remarks.extend(UNFENCED.iter().map(|text| Remark {
            severity: Severity::Error,
            place: String::new(),
            text: (*text).to_owned(),
            of_state: false,
        }));
    }
    let of_fencing = |what: &str| what.contains("fence device");
    for finding in findings
        .iter()
        .filter(|f| !unfenced || !of_fencing(&f.what))
    {
        remarks.push(Remark {
            severity: finding.severity,
            place: place(source, &finding.tag, &finding.id),
            text: describe_finding(finding),
            of_state: false,
        });
    }
    let ids: Vec<&str> = findings.iter().map(|f| f.id.as_str()).collect();
    // How the nodes stand is no matter of the configuration: Pacemaker's exit code says that
    // something is wrong, ours does not.
    let has_state = root.first("status").is_some_and(|s| !s.children.is_empty());
    let of_state = |text: &str| STATE.iter().any(|part| text.contains(part));
    let new = |text: &&String| {
        let mut words = text.split(|c: char| c.is_whitespace() || matches!(c, ':' | ',' | '\''));
        let known = words.any(|word| !word.is_empty() && ids.contains(&word));
        let new = if of_state(text) { has_state } else { !known };
        !text.starts_with(NO_DEVICE) && new
    };
    // Of orders that contradict each other Pacemaker says nothing.
    let ours = |text: &str| OURS.iter().any(|part| text.contains(part));
    for (severity, texts) in [
        (Severity::Error, &plan.errors),
        (Severity::Warning, &plan.warnings),
    ] {
        remarks.extend(texts.iter().filter(new).map(|text| Remark {
            severity: match ours(text) || of_state(text) {
                true => Severity::Notice,
                false => severity,
            },
            place: String::new(),
            text: text.clone(),
            of_state: of_state(text),
        }));
    }
    remarks.sort_by_key(|r| r.severity);
    remarks.dedup();
    remarks
}

/// Errors sort first.
fn worst(remarks: &[Remark]) -> Option<Severity> {
    remarks.iter().map(|r| r.severity).min()
}

fn has_resources(root: &Element) -> bool {
    let resources = root
        .first("configuration")
        .and_then(|c| c.first("resources"));
    resources.is_some_and(|r| !r.children.is_empty())
}

/// `cib.xml:12: ` for the element of this tag and id.
fn place(source: &Source, tag: &str, id: &str) -> String {
    if source.name.is_empty() || id.is_empty() {
        return String::new();
    }
    let needles = [format!("id=\"{id}\""), format!("id='{id}'")];
    let starts = |at: usize| {
        let before = &source.text[..at];
        let opened = before.rfind('<').unwrap_or(0);
        let name = before[opened..].strip_prefix('<').unwrap_or_default();
        let name = name.split_whitespace().next().unwrap_or_default();
        // An attribute whose name only ends in `id` is another one.
        name == tag && before.ends_with(char::is_whitespace)
    };
    let found = needles.iter().find_map(|needle| {
        let mut all = source.text.match_indices(needle.as_str());
        all.find(|(at, _)| starts(*at)).map(|(at, _)| at)
    });
    match found {
        Some(at) => {
            let line = 1 + source.text[..at].matches('\n').count();
            format!("{}:{line}: ", source.name)
        }
        None => String::new(),
    }
}

/// How the nodes stand is told on request.
fn tell(remarks: &[Remark], all: bool, console: &mut Console) {
    for remark in remarks.iter().filter(|r| all || !r.of_state) {
        let word = match remark.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Notice => "notice",
        };
        console.err_line(&format!("   {word}: {}{}", remark.place, remark.text));
    }
}

/// For programs (schema status-2.0).
fn document(remarks: &[Remark], request: &str) -> Element {
    let mut errors = Element::new("errors");
    for remark in remarks.iter().filter(|r| !r.of_state) {
        let mut error = Element::new("error");
        error.text = format!("{}{}", remark.place, remark.text);
        errors.children.push(error);
    }
    let exit = match worst(remarks) {
        Some(Severity::Error | Severity::Warning) => Exit::Config,
        Some(Severity::Notice) | None => Exit::Ok,
    };
    let mut status = Element::new("status")
        .with("code", &exit.code().to_string())
        .with("message", exit.text());
    if !errors.children.is_empty() {
        status.children.push(errors);
    }
    Element::new("pacemaker-result")
        .with("api-version", "2.25")
        .with("request", request)
        .child(status)
}

/// What Pacemaker says of a cluster that would need fencing and has no device
/// (lib/pengine/unpack.c:unpack_resources).
const UNFENCED: [&str; 3] = [
    "Resource start-up disabled since no STONITH resources have been defined",
    "Either configure some or disable STONITH with the stonith-enabled option",
    "NOTE: Clusters with shared data need STONITH to ensure data integrity",
];
/// What the scheduler remarks and Pacemaker's does not: an ordering of a circle gives way, and what
/// then cannot be done.
const OURS: [&str; 2] = ["' is dropped", " is not done, because"];
/// What it remarks of the state of the cluster.
const STATE: [&str; 6] = [
    " is unclean ",
    "history entry",
    " may be active on ",
    " could not be stopped on node ",
    " cannot be shut down, ",
    " cannot be fenced, ",
];
/// How the scheduler begins to say the same.
const NO_DEVICE: &str = "fencing is enabled but no fence device is configured";
/// Last words (tools/crm_verify.c).
const ERRORS: &str = "Errors found during check: config not valid";
const WARNINGS: &str = "Warnings found during check: config may not be valid";

/// crm_verify(8).
pub(super) const OPTIONS: [Opt; 13] = [
    flag('L', "live-check"),
    flag('p', "xml-pipe"),
    flag('V', "verbose"),
    flag('q', "quiet"),
    flag('$', "version"),
    flag('?', "help"),
    flag('h', "help-usage"),
    with_value('x', "xml-file"),
    with_value('X', "xml-text"),
    with_value('S', "save-xml"),
    flag('\0', "text-fancy"),
    with_value('\0', "output-as"),
    with_value('\0', "output-to"),
];

const USAGE: &str =
    "usage: crm_verify -L | -x FILE | -X XML | -p [-V] [-q] [-S FILE] [--output-as=text|xml]";

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source {
            cib: Cib::parse(text).unwrap(),
            name: "cib.xml".to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_configuration_alone_is_whole() {
        let alone = SOUND.replace("<status/>", "");
        let alone = source(&alone);
        let cib = with_status(alone.cib.clone());
        let remarks = verify(&Source { cib, ..alone });
        assert!(remarks.iter().all(|r| r.severity != Severity::Error));
    }

    const SOUND: &str = r#"<cib admin_epoch="0" epoch="1" num_updates="0">
  <configuration>
    <crm_config>
      <cluster_property_set id="set">
        <nvpair id="se" name="stonith-enabled" value="false"/>
      </cluster_property_set>
    </crm_config>
    <nodes>
      <node id="1" uname="node1"/>
    </nodes>
    <resources>
      <primitive id="a" class="ocf" provider="pacemaker" type="Dummy"/>
    </resources>
    <constraints>
      <rsc_location id="l" rsc="a" node="node1" score="10"/>
    </constraints>
  </configuration>
  <status/>
</cib>"#;

    #[test]
    fn a_sound_configuration_has_no_remarks() {
        assert_eq!(verify(&source(SOUND)), []);
    }

    #[test]
    fn a_broken_reference_is_told_once_with_its_line() {
        let remarks = verify(&source(&SOUND.replace(r#"rsc="a""#, r#"rsc="b""#)));
        let [remark] = remarks.as_slice() else {
            panic!("{remarks:?}")
        };
        assert_eq!(remark.severity, Severity::Error);
        assert_eq!(remark.place, "cib.xml:15: ");
        assert!(remark.text.starts_with("l: "), "{}", remark.text);
    }

    #[test]
    fn orders_that_contradict_each_other_are_noticed() {
        let order = |id: &str, first: &str, then: &str| {
            format!("<rsc_order id=\"{id}\" first=\"{first}\" then=\"{then}\"/>")
        };
        let second =
            r#"<primitive id="b" class="ocf" provider="pacemaker" type="Dummy"/></resources>"#;
        let orders = order("o1", "a", "b") + &order("o2", "b", "a") + "</constraints>";
        let text = SOUND.replace("</resources>", second);
        let online = r#"<status><node_state id="1" uname="node1" in_ccm="true" crmd="online" join="member" expected="member"/></status>"#;
        let text = text.replace("<status/>", online);
        let text = text.replace("<cib ", "<cib have-quorum=\"1\" ");
        let remarks = verify(&source(&text.replace("</constraints>", &orders)));
        assert!(!remarks.is_empty());
        assert_eq!(worst(&remarks), Some(Severity::Notice), "{remarks:?}");
    }

    /// What a resource does on two nodes is no fault of the configuration.
    #[test]
    fn how_the_nodes_stand_is_a_notice() {
        let state = |id: u8| {
            format!(
                r#"<node_state id="{id}" uname="node{id}" in_ccm="true" crmd="online" join="member" expected="member"><lrm id="{id}"><lrm_resources><lrm_resource id="a" class="ocf" provider="pacemaker" type="Dummy"><lrm_rsc_op id="a_last_0" operation="start" interval="0" operation_key="a_start_0" call-id="3" rc-code="0" op-status="0"/></lrm_resource></lrm_resources></lrm></node_state>"#
            )
        };
        let states = format!("<status>{}{}</status>", state(1), state(2));
        let second = r#"<node id="2" uname="node2"/></nodes>"#;
        let text = SOUND.replace("<status/>", &states);
        let remarks = verify(&source(&text.replace("</nodes>", second)));
        let [remark] = remarks.as_slice() else {
            panic!("{remarks:?}")
        };
        assert_eq!((remark.severity, remark.of_state), (Severity::Notice, true));
    }

    #[test]
    fn without_a_fence_device_pacemakers_words_are_said() {
        let remarks = verify(&source(&SOUND.replace("false", "true")));
        let texts: Vec<_> = remarks.iter().map(|r| r.text.as_str()).collect();
        assert_eq!(texts, UNFENCED);
        let document = document(&remarks, "crm_verify -L");
        let status = document.first("status").unwrap();
        assert_eq!(status.attr("code"), Some("78"));
        assert_eq!(status.first("errors").unwrap().children.len(), 3);
    }
}
