//! `date_expression`: points in time, ranges, and recurring specifications, in UTC.

use super::Facts;
use cib::Element;
pub(crate) use cib::date::epoch;
use jiff::civil::Weekday;
use jiff::{Span, Timestamp, tz::TimeZone};

/// Whether the expression holds now. What cannot be read does not hold. When that changes is noted
/// (Pacemaker rules.c:pcmk__evaluate_date_expression).
pub(crate) fn passes(element: &Element, facts: &Facts) -> bool {
    let now = facts.now;
    let start = element.attr("start").map(epoch);
    let end = element.attr("end").map(epoch);
    match element.attr("operation").unwrap_or("in_range") {
        "gt" => start.flatten().is_some_and(|start| {
            let passed = now > start;
            if !passed {
                facts.note_change(start.saturating_add(1));
            }
            passed
        }),
        "lt" => end.flatten().is_some_and(|end| {
            let before = now < end;
            if before {
                facts.note_change(end);
            }
            before
        }),
        "date_spec" => element
            .first("date_spec")
            .is_some_and(|spec| spec_holds(spec, now)),
        "in_range" => in_range(element, start, end, facts),
        _ => false,
    }
}

fn in_range(
    element: &Element,
    start: Option<Option<i64>>,
    end: Option<Option<i64>>,
    facts: &Facts,
) -> bool {
    let (Ok(start), Ok(mut end)) = (flat(start), flat(end)) else {
        return false;
    };
    if let (None, Some(from), Some(duration)) = (end, start, element.first("duration")) {
        end = duration_end(from, duration);
    }
    if start.is_none() && end.is_none() {
        return false;
    }
    if let Some(start) = start.filter(|start| facts.now < *start) {
        facts.note_change(start);
        return false;
    }
    let Some(end) = end else {
        return true;
    };
    let within = facts.now <= end;
    if within {
        facts.note_change(end.saturating_add(1));
    }
    within
}

/// Told apart: absent, readable, unreadable.
fn flat(time: Option<Option<i64>>) -> Result<Option<i64>, ()> {
    match time {
        None => Ok(None),
        Some(Some(time)) => Ok(Some(time)),
        Some(None) => Err(()),
    }
}

/// Years and months are those of the calendar, and end no later than their last day
/// (Pacemaker iso8601.c:pcmk__add_time_from_xml).
fn duration_end(from: i64, duration: &Element) -> Option<i64> {
    const UNITS: [(&str, i64); 5] = [
        ("weeks", 7 * 86_400),
        ("days", 86_400),
        ("hours", 3600),
        ("minutes", 60),
        ("seconds", 1),
    ];
    let count = |unit: &str| {
        duration
            .attr(unit)
            .and_then(|n| n.trim().parse::<i64>().ok())
    };
    let months = Span::new()
        .try_years(count("years").unwrap_or(0))
        .and_then(|span| span.try_months(count("months").unwrap_or(0)))
        .ok()?;
    let from = Timestamp::from_second(from).ok()?.to_zoned(TimeZone::UTC);
    let from = from.checked_add(months).ok()?.timestamp().as_second();
    let lengths = UNITS
        .iter()
        .filter_map(|(unit, length)| Some(count(unit)?.saturating_mul(*length)));
    Some(from.saturating_add(lengths.fold(0i64, i64::saturating_add)))
}

fn spec_holds(spec: &Element, now: i64) -> bool {
    let Ok(timestamp) = Timestamp::from_second(now) else {
        return false;
    };
    let time = timestamp.to_zoned(TimeZone::UTC).datetime();
    let week = time.date().iso_week_date();
    let weekday = match time.weekday() {
        Weekday::Sunday => 7,
        other => i64::from(other.to_monday_one_offset()),
    };
    let fields = [
        ("seconds", i64::from(time.second())),
        ("minutes", i64::from(time.minute())),
        ("hours", i64::from(time.hour())),
        ("monthdays", i64::from(time.day())),
        ("weekdays", weekday),
        ("months", i64::from(time.month())),
        ("years", i64::from(time.year())),
        ("yeardays", i64::from(time.date().day_of_year())),
        ("weeks", i64::from(week.week())),
        ("weekyears", i64::from(week.year())),
    ];
    fields
        .iter()
        .all(|(name, value)| spec.attr(name).is_none_or(|range| range_has(range, *value)))
}

/// `5`, `2-7`, `2-` or `-7`.
fn range_has(range: &str, value: i64) -> bool {
    let number = |text: &str| text.trim().parse::<i64>().ok();
    match range.trim().split_once('-') {
        None => number(range) == Some(value),
        Some((low, high)) => {
            (low.trim().is_empty() || number(low).is_some_and(|low| value >= low))
                && (high.trim().is_empty() || number(high).is_some_and(|high| value <= high))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn holds(element: &Element, now: i64) -> bool {
        passes(element, &Facts::at(now))
    }

    /// 2024-03-05 14:30:00 UTC, a Tuesday.
    const NOW: i64 = 1_709_649_000;

    #[test]
    fn ranges_and_points() {
        let expression =
            |operation: &str| Element::new("date_expression").with("operation", operation);
        assert!(holds(
            &expression("gt").with("start", "2024-03-05 14:00:00Z"),
            NOW
        ));
        assert!(!holds(&expression("lt").with("end", "2024-03-05"), NOW));
        assert!(holds(
            &expression("in_range")
                .with("start", "2024-03-01")
                .with("end", "2024-03-31"),
            NOW
        ));
        assert!(!holds(
            &expression("in_range").with("start", "rubbish"),
            NOW
        ));
        assert!(holds(
            &expression("in_range")
                .with("start", "2024-03-05")
                .child(Element::new("duration").with("hours", "15")),
            NOW
        ));
    }

    #[test]
    fn durations_follow_the_calendar() {
        let months = |now: &str| {
            let range = Element::new("date_expression")
                .with("operation", "in_range")
                .with("start", "2024-01-31")
                .child(
                    Element::new("duration")
                        .with("months", "1")
                        .with("hours", "1"),
                );
            holds(&range, epoch(now).expect("a time"))
        };
        assert!(months("2024-02-29T01:00:00Z"));
        assert!(!months("2024-02-29T01:00:01Z"));
    }

    #[test]
    fn changes_are_noted() {
        let expression = |operation: &str, start: i64, end: i64| {
            Element::new("date_expression")
                .with("operation", operation)
                .with("start", &start.to_string())
                .with("end", &end.to_string())
        };
        let (before, after) = (NOW - 100, NOW + 100);
        for (operation, start, end, holds, change) in [
            ("gt", before, 0, true, None),
            ("gt", after, 0, false, Some(after + 1)),
            ("lt", 0, before, false, None),
            ("lt", 0, after, true, Some(after)),
            ("in_range", before, after, true, Some(after + 1)),
            ("in_range", after, after + 5, false, Some(after)),
            ("in_range", before - 5, before, false, None),
        ] {
            let noted = Cell::new(None);
            let facts = Facts {
                change: Some(&noted),
                ..Facts::at(NOW)
            };
            let element = expression(operation, start, end);
            assert_eq!(passes(&element, &facts), holds, "{operation}");
            assert_eq!(noted.get(), change, "{operation}");
        }
    }

    #[test]
    fn specifications() {
        let spec = |name: &str, range: &str| {
            Element::new("date_expression")
                .with("operation", "date_spec")
                .child(Element::new("date_spec").with(name, range))
        };
        assert!(holds(&spec("hours", "9-16"), NOW));
        assert!(!holds(&spec("hours", "18-"), NOW));
        assert!(holds(&spec("weekdays", "1-5"), NOW));
        assert!(!holds(&spec("weekdays", "6-7"), NOW));
        assert!(holds(&spec("years", "2024"), NOW));
    }
}
