//! Points in time as rules write them.

use jiff::civil::{Date, DateTime};
use jiff::{Timestamp, tz::TimeZone};

/// Seconds since the epoch of an ISO 8601 time; bare times are UTC.
#[must_use]
pub fn epoch(text: &str) -> Option<i64> {
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
        let date = date.or_else(|_| Date::strptime(format, &joined).map(DateTime::from));
        if let Ok(zoned) = date.and_then(|date| date.to_zoned(TimeZone::UTC)) {
            return Some(zoned.timestamp().as_second());
        }
    }
    if let Ok(time) = joined.parse::<DateTime>() {
        return Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second());
    }
    // A bare number of seconds.
    let is_number = text.len() > 8 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time() {
        for (text, seconds) in [
            ("2024-03-05T14:30:00Z", 1_709_649_000),
            ("2024-03-05 14:30:00Z", 1_709_649_000),
            ("2024-03-05 14:30", 1_709_649_000),
            ("2024-03-05 15:30:00 +01:00", 1_709_649_000),
            ("2024-065T14:30:00", 1_709_649_000),
            ("2024-W10-2", 1_709_596_800),
            ("2024-03-05", 1_709_596_800),
            (" 1709649000 ", 1_709_649_000),
        ] {
            assert_eq!(epoch(text), Some(seconds), "{text}");
        }
        for text in [
            "",
            "nonsense",
            "2026-13-41",
            "2026-02-30",
            "12345",
            "tomorrow",
        ] {
            assert_eq!(epoch(text), None, "{text}");
        }
    }
}
