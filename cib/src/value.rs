//! Words of the CIB to values, with Pacemaker's meaning: booleans, scores, intervals.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Reads a boolean (Pacemaker lib/common/strings.c, `crm_str_to_boolean`): true, on, yes, y, 1 or
/// false, off, no, n, 0 in any case.
///
/// # Errors
/// [`Error::Value`] for any other word; it must not pass as "false".
pub fn parse_bool(text: &str) -> Result<bool> {
    let word = text.trim().to_ascii_lowercase();
    match word.as_str() {
        "true" | "on" | "yes" | "y" | "1" => Ok(true),
        "false" | "off" | "no" | "n" | "0" => Ok(false),
        _ => Err(wrong(text, "a boolean", "write true or false")),
    }
}

/// A preference: a whole number within ±1000000, where the ends mean "must" and "must not".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Score(i32);

impl Score {
    /// Must.
    pub const INFINITY: Self = Self(SCORE_INFINITY);
    /// Must not.
    pub const MINUS_INFINITY: Self = Self(-SCORE_INFINITY);

    /// A score from a number, cut to ±INFINITY.
    #[must_use]
    pub fn new(value: i64) -> Self {
        let limit = i64::from(SCORE_INFINITY);
        Self(i32::try_from(value.clamp(-limit, limit)).unwrap_or_default())
    }

    /// Reads a score (Pacemaker lib/common/scores.c, `pcmk_parse_score`): a whole number or
    /// INFINITY, each with an optional sign, in any case. Numbers beyond are cut. The node health
    /// words red, yellow and green depend on options and are not scores here.
    ///
    /// # Errors
    /// [`Error::Value`] for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let word = text.trim();
        let (negative, digits) = match word.strip_prefix(['+', '-']) {
            Some(rest) => (word.starts_with('-'), rest),
            None => (false, word),
        };
        let size = if digits.eq_ignore_ascii_case("infinity") {
            Self::INFINITY
        } else if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
            Self::new(digits.parse().unwrap_or(i64::MAX))
        } else {
            return Err(wrong(
                text,
                "a score",
                "write a whole number, INFINITY or -INFINITY",
            ));
        };
        Ok(if negative { Self(-size.0) } else { size })
    }

    /// The number, ±1000000 for the infinities.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }

    /// Whether this is INFINITY or -INFINITY.
    #[must_use]
    pub const fn is_infinite(self) -> bool {
        self.0 == SCORE_INFINITY || self.0 == -SCORE_INFINITY
    }
}

impl std::ops::Add for Score {
    type Output = Self;

    /// -INFINITY wins over everything, then INFINITY, then the sum, cut (`pcmk__add_scores`).
    fn add(self, other: Self) -> Self {
        if self == Self::MINUS_INFINITY || other == Self::MINUS_INFINITY {
            return Self::MINUS_INFINITY;
        }
        if self == Self::INFINITY || other == Self::INFINITY {
            return Self::INFINITY;
        }
        Self::new(i64::from(self.0) + i64::from(other.0))
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::INFINITY => f.write_str("INFINITY"),
            Self::MINUS_INFINITY => f.write_str("-INFINITY"),
            Self(n) => write!(f, "{n}"),
        }
    }
}

/// Reads an interval or timeout into milliseconds (Pacemaker `pcmk_parse_interval_spec`): a whole
/// number with one of the units us, ms, s, m, h (or their longer names; none means seconds), or an
/// ISO 8601 duration such as PT1M30S. In durations a month counts 30 days and a year 365.
///
/// # Errors
/// [`Error::Value`] for anything else, for fractions and for what does not fit 64 bits.
pub fn parse_interval_ms(text: &str) -> Result<u64> {
    let spec = text.trim();
    let parsed = if spec.starts_with(['P', 'p']) {
        parse_iso_duration_ms(&spec[1..])
    } else {
        parse_unit_ms(spec)
    };
    parsed.ok_or_else(|| {
        wrong(
            text,
            "an interval",
            "write a number with ms, s, min or h (10s, 500ms, 1min), or an ISO 8601 duration (PT1M30S)",
        )
    })
}

fn parse_unit_ms(spec: &str) -> Option<u64> {
    let end = spec
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(spec.len());
    let (digits, unit) = spec.split_at(end);
    let number: u64 = digits.parse().ok()?;
    match unit.trim_start().to_ascii_lowercase().as_str() {
        "us" | "usec" | "microsecond" | "microseconds" => Some(number / 1000),
        "ms" | "msec" | "millisecond" | "milliseconds" => Some(number),
        "" | "s" | "sec" | "second" | "seconds" => number.checked_mul(1000),
        "m" | "min" | "minute" | "minutes" => number.checked_mul(60_000),
        "h" | "hr" | "hour" | "hours" => number.checked_mul(3_600_000),
        _ => None,
    }
}

/// What follows the `P`: `1DT2H`, `T90S`, `2W`. As Pacemaker, this takes hours and seconds before
/// a `T` too (`P10S` is found in real configurations), and units in any order, each once.
fn parse_iso_duration_ms(spec: &str) -> Option<u64> {
    let mut seconds: u64 = 0;
    let mut seen: Vec<(char, bool)> = Vec::new();
    let mut in_time = false;
    let mut rest = spec;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix(['T', 't']).filter(|_| !in_time) {
            in_time = true;
            rest = tail;
            if rest.is_empty() {
                return None;
            }
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..end].parse().ok()?;
        let letter = rest[end..].chars().next()?.to_ascii_uppercase();
        let unit = match letter {
            'Y' => 365 * DAY_SECONDS,
            'M' if !in_time => 30 * DAY_SECONDS,
            'W' => 7 * DAY_SECONDS,
            'D' => DAY_SECONDS,
            'H' => 3600,
            'M' => 60,
            'S' => 1,
            _ => return None,
        };
        if seen.contains(&(letter, in_time)) {
            return None;
        }
        seen.push((letter, in_time));
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[end + letter.len_utf8()..];
    }
    (!seen.is_empty()).then_some(seconds)?.checked_mul(1000)
}

fn wrong(value: &str, expected: &'static str, cure: &'static str) -> Error {
    Error::Value {
        value: value.to_owned(),
        expected,
        cure,
    }
}

const DAY_SECONDS: u64 = 86_400;
/// Pacemaker's infinity.
const SCORE_INFINITY: i32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans() {
        for yes in ["true", "TRUE", "on", "Yes", "y", "1", " true "] {
            assert_eq!(parse_bool(yes), Ok(true), "{yes}");
        }
        for no in ["false", "False", "off", "no", "N", "0"] {
            assert_eq!(parse_bool(no), Ok(false), "{no}");
        }
        for word in ["", "flase", "2", "truee", "enabled"] {
            assert!(parse_bool(word).is_err(), "{word}");
        }
        assert_eq!(
            parse_bool("flase").unwrap_err().to_string(),
            "\"flase\" is not a boolean; write true or false"
        );
    }

    #[test]
    fn scores() {
        let table = [
            ("0", 0),
            ("100", 100),
            ("+7", 7),
            ("-7", -7),
            ("INFINITY", 1_000_000),
            ("+infinity", 1_000_000),
            ("-Infinity", -1_000_000),
            ("1000001", 1_000_000),
            ("-99999999999999999999", -1_000_000),
        ];
        for (text, value) in table {
            assert_eq!(Score::parse(text).map(Score::get), Ok(value), "{text}");
        }
        for text in ["", "-", "inf", "ten", "1.5", "--1", "1 0", "+-1"] {
            assert!(Score::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn minus_infinity_wins() {
        let (inf, minus) = (Score::INFINITY, Score::MINUS_INFINITY);
        assert_eq!(inf + minus, minus);
        assert_eq!(minus + Score::new(5), minus);
        assert_eq!(inf + Score::new(-5), inf);
        assert_eq!(Score::new(999_999) + Score::new(5), inf);
        assert_eq!(Score::new(3) + Score::new(-5), Score::new(-2));
        assert_eq!(
            format!("{inf} {minus} {}", Score::new(-3)),
            "INFINITY -INFINITY -3"
        );
    }

    #[test]
    fn intervals() {
        let table = [
            ("0", 0),
            ("10", 10_000),
            ("10s", 10_000),
            ("10 s", 10_000),
            ("20sec", 20_000),
            ("1min", 60_000),
            ("2m", 120_000),
            ("500ms", 500),
            ("500msec", 500),
            ("1500us", 1),
            ("1h", 3_600_000),
            ("2HR", 7_200_000),
            ("PT1M30S", 90_000),
            ("PT90S", 90_000),
            ("P1D", 86_400_000),
            ("P1DT1H", 90_000_000),
            ("P2W", 1_209_600_000),
            ("P1M", 2_592_000_000),
            ("PT0S", 0),
            ("P10S", 10_000),
            ("P1MT1M", 2_592_060_000),
            (" 20 sec ", 20_000),
            ("250MS", 250),
            ("P40S", 40_000),
        ];
        for (text, ms) in table {
            assert_eq!(parse_interval_ms(text), Ok(ms), "{text}");
        }
        for text in [
            "",
            "s",
            "-1",
            "+5",
            "ten",
            "5 weeks",
            "1.5s",
            "10 minutes ago",
            "10d",
            "P",
            "PT",
            "P1DT",
            "PTT1S",
            "PT1S1S",
            "PT1M1M",
            "P1",
            "99999999999999999999",
            "9999999999999999999h",
            "P99999999999999999Y",
        ] {
            assert!(parse_interval_ms(text).is_err(), "{text}");
        }
    }
}
