//! `crm_rule`: whether a rule with a date is in effect, was, or will be.

use super::backend;
use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag, with_value};
use super::iso8601;
use super::tool::{self, Tool};
use cib::{Cib, Element};

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.alone(args, run)
}

const TOOL: Tool = Tool {
    name: "crm_rule",
    options: OPTIONS,
    usage: USAGE,
    prefix: "",
};

fn run(console: &mut Console, found: &Found) -> Result<(), Failure> {
    if !found.has("check") {
        return Err(Failure::usage("No mode operation given"));
    }
    if !found.has("rule") {
        return Err(Failure::usage("--check requires use of --rule="));
    }
    let now = match found.value("date") {
        None => backend::now_s(),
        Some(text) => cib::date::epoch(text).ok_or_else(|| {
            Failure::new(
                Exit::DataErr,
                format!("crm_rule: Invalid date specified: '{text}'"),
            )
        })?,
    };
    let cib = read(found)?;
    let configuration = cib.root().first("configuration");
    let mut exit = Exit::Ok;
    for id in found.values("rule") {
        let state = match configuration.and_then(|c| rule(c, id, 0)) {
            None => Err((Exit::NoSuch, "Rule not found".to_owned())),
            Some(rule) => state_of(rule, now).map_err(|why| (Exit::Unimplemented, why)),
        };
        let (code, text) = told(id, state);
        console.element(
            Element::new("rule-check")
                .with("rule-id", id)
                .with("rc", &code.code().to_string()),
        );
        match code {
            Exit::Ok | Exit::Expired | Exit::NotYet => console.line(&text),
            _ if !console.wants_xml() => console.err_line(&text),
            _ => {}
        }
        // As the last of them stands.
        exit = code;
    }
    match exit {
        Exit::Ok => Ok(()),
        other => Err(Failure::new(other, "")),
    }
}

/// The CIB of `--xml-text`, or the cluster's.
fn read(found: &Found) -> Result<Cib, Failure> {
    let text = match found.value("xml-text") {
        None => {
            let mut backend = backend::open()?;
            return backend::cib(backend.as_mut(), false);
        }
        Some("-") => tool::standard_input()?,
        Some(text) => text.to_owned(),
    };
    Ok(Cib::parse(&text)?)
}

/// The rule of that id.
fn rule<'a>(at: &'a Element, id: &str, depth: u32) -> Option<&'a Element> {
    if at.name == "rule" && at.id() == Some(id) {
        return Some(at);
    }
    let mut children = at.children.iter().filter(|_| depth < DEPTH_MAX);
    children.find_map(|child| rule(child, id, depth + 1))
}

/// How now lies to the time of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Before,
    In,
    After,
}

/// Rules that say one thing of time are understood (Pacemaker tools/crm_rule.c, `crm_rule_check`).
fn state_of(rule: &Element, now: i64) -> Result<State, String> {
    let mut dates = rule.all("date_expression");
    let date = match (dates.next(), dates.next()) {
        (None, _) => return Err("Rule does not have a date expression".to_owned()),
        (Some(_), Some(_)) => return Err("Rule has more than one date expression".to_owned()),
        (Some(one), None) => one,
    };
    let unreadable = || "Rule has a date that cannot be read".to_owned();
    let time = |name: &str| match date.attr(name) {
        None => Ok(None),
        Some(text) => cib::date::epoch(text).map(Some).ok_or_else(unreadable),
    };
    let (start, end) = (time("start")?, time("end")?);
    let (first, last) = match date.attr("operation").unwrap_or("in_range") {
        "gt" => (start.map(|s| s.saturating_add(1)), None),
        "lt" => (None, end.map(|e| e.saturating_sub(1))),
        "in_range" => {
            let duration = date.first("duration").filter(|_| end.is_none());
            let after = |s| duration.map(|d| iso8601::after(s, d).ok_or_else(unreadable));
            (start, start.and_then(after).transpose()?.or(end))
        }
        "date_spec" => years(date)?,
        other => return Err(format!("Rule has an unknown operation {other}")),
    };
    Ok(match (first, last) {
        (Some(first), _) if now < first => State::Before,
        (_, Some(last)) if now > last => State::After,
        _ => State::In,
    })
}

/// First and last second of a `date_spec` of years.
fn years(date: &Element) -> Result<(Option<i64>, Option<i64>), String> {
    let refused = || {
        "Rule must either not use date_spec, or use date_spec with years= but not moon=".to_owned()
    };
    let spec = date.first("date_spec").ok_or_else(refused)?;
    let years = spec.attr("years").filter(|_| spec.attr("moon").is_none());
    let years = years.ok_or_else(refused)?;
    let (from, to) = match years.split_once('-') {
        None => (years, years),
        Some(both) => both,
    };
    let start_of = |year: i64| cib::date::epoch(&format!("{year:04}-01-01"));
    let bound = |text: &str, more: i64| -> Result<Option<i64>, String> {
        match text {
            "" => Ok(None),
            text => text
                .parse::<i64>()
                .ok()
                .and_then(|year| start_of(year.checked_add(more)?))
                .map(Some)
                .ok_or_else(refused),
        }
    };
    Ok((bound(from, 0)?, bound(to, 1)?.map(|end| end - 1)))
}

fn told(id: &str, state: Result<State, (Exit, String)>) -> (Exit, String) {
    match state {
        Ok(State::In) => (Exit::Ok, format!("Rule {id} is still in effect")),
        Ok(State::After) => (Exit::Expired, format!("Rule {id} is expired")),
        Ok(State::Before) => (Exit::NotYet, format!("Rule {id} has not yet taken effect")),
        Err((exit, why)) => (
            exit,
            format!("Could not determine whether rule {id} is in effect: {why}"),
        ),
    }
}

/// Deepest element that is looked at.
const DEPTH_MAX: u32 = 64;

/// crm_rule(8).
pub(super) const OPTIONS: &[Opt] = &[
    flag('c', "check"),
    with_value('X', "xml-text"),
    with_value('d', "date"),
    with_value('r', "rule"),
    flag('V', "verbose"),
    flag('$', "version"),
    flag('?', "help"),
    flag('h', "help-usage"),
    flag('\0', "text-fancy"),
    with_value('\0', "output-as"),
    with_value('\0', "output-to"),
];

const USAGE: &str = "usage: crm_rule -c -r RULE… [-d TIME] [-X XML|-] [--output-as=text|xml]";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::getopt;

    const CIB: &str = r#"<cib><configuration><resources/><constraints>
<rsc_location id="l" rsc="p">
<rule id="past" score="1"><date_expression id="e1" operation="lt" end="2020-01-01"/></rule>
<rule id="future" score="1"><date_expression id="e2" operation="gt" start="2220-01-01"/></rule>
<rule id="now" score="1"><date_expression id="e3" operation="gt" start="2020-01-01"/></rule>
<rule id="spec" score="1"><date_expression id="e4" operation="date_spec"><date_spec id="s4" years="2019"/></date_expression></rule>
<rule id="two" score="1"><date_expression id="e5" operation="gt" start="2020-01-01"/><date_expression id="e6" operation="lt" end="2220-01-01"/></rule>
<rule id="attr" score="1"><expression id="e7" attribute="x" operation="eq" value="1"/></rule>
<rule id="range" score="1"><date_expression id="e8" operation="in_range" start="2020-01-01" end="2230-01-01"/></rule>
<rule id="hours" score="1"><date_expression id="e9" operation="date_spec"><date_spec id="s5" hours="9-17"/></date_expression></rule>
<rule id="month" score="1"><date_expression id="ea" operation="in_range" start="2020-01-31"><duration id="d" months="1"/></date_expression></rule>
</rsc_location></constraints></configuration><status/></cib>"#;

    #[test]
    fn rules_in_the_words_of_pacemakers_tool() {
        let unknown = "Could not determine whether rule";
        for (line, answer) in [
            ("-r past", "Rule past is expired = 110".to_owned()),
            (
                "-r future",
                "Rule future has not yet taken effect = 111".to_owned(),
            ),
            ("-r now", "Rule now is still in effect = 0".to_owned()),
            ("-r spec", "Rule spec is expired = 110".to_owned()),
            (
                "-r spec -d 2019-12-31T23:59:59",
                "Rule spec is still in effect = 0".to_owned(),
            ),
            (
                "-r spec -d 2018-12-31",
                "Rule spec has not yet taken effect = 111".to_owned(),
            ),
            (
                "-r two",
                format!("{unknown} two is in effect: Rule has more than one date expression = 3"),
            ),
            (
                "-r attr",
                format!("{unknown} attr is in effect: Rule does not have a date expression = 3"),
            ),
            ("-r range", "Rule range is still in effect = 0".to_owned()),
            (
                "-r hours",
                format!(
                    "{unknown} hours is in effect: Rule must either not use date_spec, or use date_spec with years= but not moon= = 3"
                ),
            ),
            (
                "-r nobody",
                format!("{unknown} nobody is in effect: Rule not found = 105"),
            ),
            (
                "-r month -d 2020-02-28",
                "Rule month is still in effect = 0".to_owned(),
            ),
            (
                "-r month -d 2020-03-01",
                "Rule month is expired = 110".to_owned(),
            ),
            (
                "-r past -r future",
                "Rule past is expired|Rule future has not yet taken effect = 111".to_owned(),
            ),
            (
                "-r now -d 2019-01-01",
                "Rule now has not yet taken effect = 111".to_owned(),
            ),
            (
                "-r now -d rubbish",
                "crm_rule: Invalid date specified: 'rubbish' = 65".to_owned(),
            ),
        ] {
            let mut args: Vec<String> = line.split(' ').map(str::to_owned).collect();
            args.extend(["-c".to_owned(), "-X".to_owned(), CIB.to_owned()]);
            let mut console = Console::buffers();
            let found = getopt::parse(OPTIONS, &args).unwrap();
            let (exit, text) = match run(&mut console, &found) {
                Ok(()) => (Exit::Ok, String::new()),
                Err(failure) => (failure.exit, failure.text),
            };
            let (out, err) = console.into_texts();
            let told = format!("{out}{err}{text}");
            let told = told.trim_end().replace('\n', "|");
            assert_eq!(format!("{told} = {}", exit.code()), answer, "{line}");
        }
    }
}
