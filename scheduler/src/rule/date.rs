//! `date_expression`: points in time, ranges, and recurring specifications, in UTC.

use crate::text::parse_ms;
use cib::Element;
use jiff::civil::{DateTime, Weekday};
use jiff::{Timestamp, tz::TimeZone};

/// Whether the expression holds now. What cannot be read does not hold.
pub(crate) fn passes(element: &Element, now: i64) -> bool {
    let start = element.attr("start").map(epoch);
    let end = element.attr("end").map(epoch);
    match element.attr("operation").unwrap_or("in_range") {
        "gt" => matches!(start, Some(Some(start)) if now > start),
        "lt" => matches!(end, Some(Some(end)) if now < end),
        "date_spec" => element
            .first("date_spec")
            .is_some_and(|spec| spec_holds(spec, now)),
        "in_range" => in_range(element, start, end, now),
        _ => false,
    }
}

fn in_range(
    element: &Element,
    start: Option<Option<i64>>,
    end: Option<Option<i64>>,
    now: i64,
) -> bool {
    let (Ok(start), Ok(mut end)) = (flat(start), flat(end)) else {
        return false;
    };
    if let (None, Some(from), Some(duration)) = (end, start, element.first("duration")) {
        end = duration_end(from, duration);
    }
    (start.is_some() || end.is_some())
        && start.is_none_or(|start| now >= start)
        && end.is_none_or(|end| now <= end)
}

/// Told apart: absent, readable, unreadable.
fn flat(time: Option<Option<i64>>) -> Result<Option<i64>, ()> {
    match time {
        None => Ok(None),
        Some(Some(time)) => Ok(Some(time)),
        Some(None) => Err(()),
    }
}

fn duration_end(from: i64, duration: &Element) -> Option<i64> {
    const UNITS: [(&str, i64); 7] = [
        ("years", 365 * 86_400),
        ("months", 30 * 86_400),
        ("weeks", 7 * 86_400),
        ("days", 86_400),
        ("hours", 3600),
        ("minutes", 60),
        ("seconds", 1),
    ];
    let seconds = UNITS
        .iter()
        .filter_map(|(unit, length)| {
            let count: i64 = duration.attr(unit)?.trim().parse().ok()?;
            Some(count.saturating_mul(*length))
        })
        .fold(0i64, i64::saturating_add);
    Some(from.saturating_add(seconds))
}

/// Seconds since the epoch of an ISO 8601 time; bare times are UTC.
pub(crate) fn epoch(text: &str) -> Option<i64> {
    let text = text.trim();
    let joined = match text.split_once(' ') {
        Some((date, rest)) => format!("{date}T{}", rest.replace(' ', "")),
        None => text.to_owned(),
    };
    if let Ok(time) = joined.parse::<Timestamp>() {
        return Some(time.as_second());
    }
    for format in ["%Y-%jT%H:%M:%S", "%Y-%jT%H:%M", "%Y-%j", "%G-W%V-%u"] {
        // Ordinal and week dates.
        let date = DateTime::strptime(format, &joined);
        let date =
            date.or_else(|_| jiff::civil::Date::strptime(format, &joined).map(DateTime::from));
        if let Ok(zoned) = date.and_then(|date| date.to_zoned(TimeZone::UTC)) {
            return Some(zoned.timestamp().as_second());
        }
    }
    if let Ok(time) = joined.parse::<DateTime>() {
        return Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second());
    }
    // A bare number of seconds.
    parse_ms(text)
        .filter(|_| text.len() > 8 && text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|ms| i64::try_from(ms / 1000).ok())
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

    /// 2024-03-05 14:30:00 UTC, a Tuesday.
    const NOW: i64 = 1_709_649_000;

    #[test]
    fn ranges_and_points() {
        let expression =
            |operation: &str| Element::new("date_expression").with("operation", operation);
        assert!(passes(
            &expression("gt").with("start", "2024-03-05 14:00:00Z"),
            NOW
        ));
        assert!(!passes(&expression("lt").with("end", "2024-03-05"), NOW));
        assert!(passes(
            &expression("in_range")
                .with("start", "2024-03-01")
                .with("end", "2024-03-31"),
            NOW
        ));
        assert!(!passes(
            &expression("in_range").with("start", "rubbish"),
            NOW
        ));
        assert!(passes(
            &expression("in_range")
                .with("start", "2024-03-05")
                .child(Element::new("duration").with("hours", "15")),
            NOW
        ));
    }

    #[test]
    fn specifications() {
        let spec = |name: &str, range: &str| {
            Element::new("date_expression")
                .with("operation", "date_spec")
                .child(Element::new("date_spec").with(name, range))
        };
        assert!(passes(&spec("hours", "9-16"), NOW));
        assert!(!passes(&spec("hours", "18-"), NOW));
        assert!(passes(&spec("weekdays", "1-5"), NOW));
        assert!(!passes(&spec("weekdays", "6-7"), NOW));
        assert!(passes(&spec("years", "2024"), NOW));
    }
}
