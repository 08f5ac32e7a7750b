//! How a line looks, and which part of the daemon it is of.

use crate::conf::LogPart;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// `LEVEL PART: text`, with the place in the source before the text where that is wanted. The time
/// is the destination's to tell: syslogd and the journal do so themselves.
pub(super) struct Form {
    pub(super) fileline: Arc<AtomicBool>,
}

impl<S, N> FormatEvent<S, N> for Form
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let meta = event.metadata();
        let part = part_of(meta.target());
        write!(writer, "{:>5} {}: ", meta.level(), part.name())?;
        if self.fileline.load(Ordering::Relaxed)
            && let (Some(file), Some(line)) = (meta.file(), meta.line())
        {
            write!(writer, "{file}:{line}: ")?;
        }
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// The part that a module's lines are of.
pub(super) fn part_of(module: &str) -> LogPart {
    let inside = |outer: &str| {
        let rest = module.strip_prefix(outer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let found = PARTS.iter().find(|(outer, _)| inside(outer));
    found.map_or(LogPart::Main, |(_, part)| *part)
}

/// Modules whose lines are not of [`LogPart::Main`].
const PARTS: [(&str, LogPart); 22] = [
    ("mainstay::transport", LogPart::Totem),
    ("mainstay::daemon::net", LogPart::Totem),
    ("mainstay::daemon::cluster", LogPart::Quorum),
    ("mainstay::daemon::reports", LogPart::Quorum),
    ("mainstay::daemon::witness", LogPart::Quorum),
    ("mainstay::ipc", LogPart::Ipc),
    ("mainstay::daemon::requests", LogPart::Ipc),
    ("mainstay::controller", LogPart::Crm),
    ("mainstay::executor", LogPart::Crm),
    ("mainstay::fencing", LogPart::Crm),
    ("mainstay::daemon::by_hand", LogPart::Crm),
    ("mainstay::daemon::duty", LogPart::Crm),
    ("mainstay::daemon::fences", LogPart::Crm),
    ("mainstay::daemon::fencings", LogPart::Crm),
    ("mainstay::daemon::inputs", LogPart::Crm),
    ("mainstay::daemon::local", LogPart::Crm),
    ("mainstay::daemon::watch", LogPart::Crm),
    ("mainstay::daemon::grants", LogPart::Vip),
    ("mainstay::daemon::handover", LogPart::Vip),
    ("mainstay::daemon::leases", LogPart::Vip),
    ("mainstay::vip", LogPart::Vip),
    ("netlink", LogPart::Vip),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_of_the_part_whose_module_says_them() {
        assert_eq!(part_of("mainstay::daemon::duty::planning"), LogPart::Crm);
        assert_eq!(part_of("mainstay::daemon::start"), LogPart::Main);
        assert_eq!(part_of("mainstay::vip::lease::door"), LogPart::Vip);
        // Not every name that begins alike.
        assert_eq!(part_of("mainstay::daemon::network"), LogPart::Main);
    }

    #[test]
    fn every_module_named_here_is_there() {
        let src = concat!(env!("CARGO_MANIFEST_DIR"), "/src/");
        for (module, _) in PARTS {
            let Some(path) = module.strip_prefix("mainstay::") else {
                continue;
            };
            let path = format!("{src}{}", path.replace("::", "/"));
            let there = |end: &str| std::path::Path::new(&format!("{path}{end}")).exists();
            assert!(there(".rs") || there("/mod.rs"), "{module}");
        }
    }
}
