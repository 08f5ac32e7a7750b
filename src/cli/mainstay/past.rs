//! Which decision is asked about: the present one, or one whose input was kept.

use super::why;
use crate::cli::crm_simulate::{decided_at, now_s, read_source};
use crate::cli::exit::{Exit, Failure};
use crate::inputs::{self, Kept};
use crate::paths::Paths;
use crate::view::asctime;
use cib::Element;
use scheduler::Plan;
use std::path::Path;

/// A decision of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Past {
    /// The last one before this time, as written.
    At(String),
    /// By number, name or file.
    Named(String),
}

impl Past {
    /// `None` = the present.
    pub(super) fn of(at: Option<&str>, transition: Option<&str>) -> Option<Self> {
        let at = at.map(|text| Self::At(text.to_owned()));
        at.or_else(|| transition.map(|text| Self::Named(text.to_owned())))
    }
}

/// The decision asked about.
#[derive(Debug)]
pub(super) struct Decision {
    /// A line that says which it is, where it is not the present one.
    pub(super) heading: String,
    /// What was decided, with its scores.
    pub(super) plan: Plan,
    /// Its name and time, where it is not the present one.
    named: Option<String>,
}

impl Decision {
    /// What was not found in it, told with the decision that was looked at: who asks about the past
    /// may ask for what came later.
    pub(super) fn unknown(&self, resource: &str, failure: Failure) -> Failure {
        let Some(named) = self.named.as_deref() else {
            return failure;
        };
        let then = why::knows(&self.plan, resource);
        let now = || read_source(None).is_ok_and(|cib| is_configured(&cib, resource));
        not_then(failure, named, (!then && now()).then_some(resource))
    }
}

/// A failure to find something in a decision; `later` is the resource that came after it.
fn not_then(failure: Failure, named: &str, later: Option<&str>) -> Failure {
    let later = later.map(|id| format!(": {id} is configured now, and was not then"));
    Failure {
        text: format!("{} in {named}{}", failure.text, later.unwrap_or_default()),
        cure: failure
            .cure
            .map(|c| c.replacen("there are:", "there were:", 1)),
        ..failure
    }
}

/// A resource of this id is in the configuration; an instance's number counts for nothing.
fn is_configured(cib: &Element, id: &str) -> bool {
    fn inside(at: &Element, id: &str) -> bool {
        let is = |e: &Element| RESOURCES.contains(&e.name.as_str()) && e.id() == Some(id);
        at.children.iter().any(|e| is(e) || inside(e, id))
    }
    let resources = cib
        .first("configuration")
        .and_then(|c| c.first("resources"));
    let id = id.split(':').next().unwrap_or(id);
    resources.is_some_and(|resources| inside(resources, id))
}

/// Tags of resources.
const RESOURCES: [&str; 5] = ["primitive", "group", "clone", "master", "bundle"];

/// The decision asked about.
///
/// # Errors
/// [`Exit::NoSuch`] when nothing is kept of it here; [`Exit::DataErr`] when the CIB is bigger than
/// the scheduler looks at; as [`read_source`].
pub(super) fn decision(past: Option<&Past>) -> Result<Decision, Failure> {
    let file = match past {
        None => None,
        Some(Past::Named(name)) if Path::new(name).is_file() => Some(name.clone()),
        Some(past) => {
            let folder = Paths::from_env().inputs_dir();
            let failed = |e| Failure::new(Exit::NoInput, format!("{}: {e}", folder.display()));
            let kept = inputs::list(&folder).map_err(failed)?;
            let found = find(&kept, past)?.ok_or_else(|| missing(&kept, &folder))?;
            Some(found.path.display().to_string())
        }
    };
    let cib = read_source(file.as_deref())?;
    let decided = decided_at(&cib);
    let now = decided.unwrap_or_else(now_s);
    let plan = scheduler::schedule_with_scores(&cib, &scheduler::Options { now });
    if let Some(why) = plan.refused {
        return Err(Failure::new(Exit::DataErr, why));
    }
    let named = file.as_deref().map(|file| {
        let name = Path::new(file).file_name().map(|n| n.to_string_lossy());
        let name = name.as_deref().unwrap_or(file).to_owned();
        format!("the decision {name} of {}", asctime(now))
    });
    let heading = match file {
        None => String::new(),
        Some(file) => {
            // What is kept here was decided here, and later ones perhaps elsewhere. Without a
            // daemon nobody knows who decides now.
            let of_here = !matches!(past, Some(Past::Named(name)) if *name == file);
            let present = of_here.then(|| read_source(None).ok()).flatten();
            let present = present.as_ref().and_then(coordinator);
            heading(&file, now, coordinator(&cib), present)
        }
    };
    Ok(Decision {
        heading,
        plan,
        named,
    })
}

/// Which decision is spoken of; and that another node decides now, where that is so: the newest
/// one kept here may be older than what was asked for.
fn heading(file: &str, at: i64, by: Option<&str>, present: Option<&str>) -> String {
    let at = asctime(at);
    let Some(by) = by else {
        return format!("As of {at} ({file}):\n\n");
    };
    let other = present.filter(|present| *present != by);
    let other = other.map(|other| {
        format!("{other} is the DC now: what was decided since is kept where it was decided, so ask there\n")
    });
    let other = other.unwrap_or_default();
    format!("As of {at}, when {by} was the DC ({file}):\n{other}\n")
}

/// The name of the node that was the DC when a CIB was written.
fn coordinator(cib: &Element) -> Option<&str> {
    let id = cib.attr("dc-uuid")?;
    let nodes = cib.first("configuration")?.first("nodes")?;
    let node = nodes.all("node").find(|node| node.id() == Some(id));
    node.and_then(|node| node.attr("uname")).or(Some(id))
}

/// `kept` is the newest first.
fn find<'a>(kept: &'a [Kept], past: &Past) -> Result<Option<&'a Kept>, Failure> {
    match past {
        Past::At(text) => {
            let at = point_in_time(text).ok_or_else(|| {
                Failure::usage(format!(
                    "--at {text}: a time is expected, such as 2026-11-21T03:00 or 2026-11-21T03:00:00Z"
                ))
            })?;
            Ok(kept.iter().find(|k| k.at <= at))
        }
        Past::Named(text) => by_name(kept, text),
    }
}

/// A decision by its name, or the newest of that number; `kept` is the newest first.
///
/// # Errors
/// It is neither.
pub(in crate::cli) fn by_name<'a>(
    kept: &'a [Kept],
    text: &str,
) -> Result<Option<&'a Kept>, Failure> {
    if let Some((series, number)) = inputs::parse_name(text) {
        return Ok(kept
            .iter()
            .find(|k| k.series == series && k.number == number));
    }
    let number = text.parse::<u64>().map_err(|_| {
        Failure::usage(format!(
            "transition {text}: a number, a name such as pe-input-17 or a file is expected"
        ))
    })?;
    Ok(kept.iter().find(|k| k.number == number))
}

/// Without an offset it is local time, as people read it from a log.
pub(in crate::cli) fn point_in_time(text: &str) -> Option<i64> {
    let joined = text.trim().replacen(' ', "T", 1);
    let local = joined.parse::<jiff::civil::DateTime>().ok();
    let zoned = joined
        .parse::<jiff::Timestamp>()
        .map(jiff::Timestamp::as_second);
    zoned.ok().or_else(|| {
        let at = local?.to_zoned(jiff::tz::TimeZone::system()).ok()?;
        Some(at.timestamp().as_second())
    })
}

fn missing(kept: &[Kept], folder: &Path) -> Failure {
    let folder = folder.display();
    let text = match (kept.last(), kept.first()) {
        (Some(oldest), Some(newest)) => format!(
            "no such decision is kept in {folder}: there are those from {} to {}",
            asctime(oldest.at),
            asctime(newest.at)
        ),
        _ => format!("no decision is kept in {folder}"),
    };
    Failure {
        exit: Exit::NoSuch,
        text,
        cure: Some(
            "decisions are kept where they are made: ask on the node that was the DC then (`mainstay status` names the present one)"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::Series;

    fn kept() -> Vec<Kept> {
        let one = |series, number, at| Kept {
            path: format!("{number}").into(),
            series,
            number,
            at,
        };
        vec![
            one(Series::Warn, 0, 300),
            one(Series::Input, 8, 200),
            one(Series::Input, 7, 100),
            one(Series::Input, 0, 50),
        ]
    }

    fn found(past: Past) -> Option<i64> {
        find(&kept(), &past).unwrap().map(|k| k.at)
    }

    #[test]
    fn by_time_it_is_the_last_one_before() {
        let at = |text: &str| found(Past::At(text.to_owned()));
        assert_eq!(at("1970-01-01T00:03:20Z"), Some(200));
        assert_eq!(at("1970-01-01 00:04:00Z"), Some(200));
        assert_eq!(at("1970-01-01T00:00:10Z"), None);
        let wrong = find(&kept(), &Past::At("yesterday".to_owned())).map(|_| ());
        assert_eq!(wrong.unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn what_came_later_is_told_with_the_decision() {
        let xml = r#"<cib><configuration><resources><group id="g"><primitive id="ip"><meta_attributes id="m"/></primitive></group></resources></configuration></cib>"#;
        let cib = cib::xml::parse(xml).unwrap();
        for (id, there) in [("g", true), ("ip:0", true), ("m", false), ("web", false)] {
            assert_eq!(is_configured(&cib, id), there, "{id}");
        }
        let failure = || Failure {
            cure: Some("there are: g".to_owned()),
            ..Failure::no_such("there is no resource ip")
        };
        let named = "the decision pe-input-7.bz2 of Sat Nov 21 03:00:00 2026";
        let told = not_then(failure(), named, Some("ip"));
        assert_eq!(told.exit, Exit::NoSuch);
        assert_eq!(
            told.text,
            format!("there is no resource ip in {named}: ip is configured now, and was not then")
        );
        assert_eq!(told.cure.as_deref(), Some("there were: g"));
        let told = not_then(failure(), named, None);
        assert_eq!(told.text, format!("there is no resource ip in {named}"));
    }

    #[test]
    fn another_dc_since_then_is_told_of() {
        let xml = r#"<cib dc-uuid="1"><configuration><nodes><node id="1" uname="node1"/></nodes></configuration></cib>"#;
        let cib = cib::xml::parse(xml).unwrap();
        let by = coordinator(&cib);
        assert_eq!(by, Some("node1"));
        let same = heading("f", 0, by, Some("node1"));
        assert!(same.contains(", when node1 was the DC (f):\n\n"), "{same}");
        let other = heading("f", 0, by, Some("node2"));
        assert!(other.contains("(f):\nnode2 is the DC now: "), "{other}");
        assert_eq!(heading("f", 0, by, None), same);
    }

    #[test]
    fn by_name_or_the_newest_of_a_number() {
        let named = |text: &str| found(Past::Named(text.to_owned()));
        assert_eq!(named("pe-input-0.bz2"), Some(50));
        assert_eq!(named("pe-warn-0"), Some(300));
        assert_eq!(named("0"), Some(300));
        assert_eq!(named("9"), None);
        let wrong = find(&kept(), &Past::Named("x".to_owned())).map(|_| ());
        assert_eq!(wrong.unwrap_err().exit, Exit::Usage);
    }
}
