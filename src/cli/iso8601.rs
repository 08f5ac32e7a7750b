//! `iso8601`: points in time, durations and periods as rules write them, read and shown.

use super::backend;
use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag, with_value};
use super::tool::Tool;
use crate::view::xml::with_text;
use cib::Element;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.alone(args, run)
}

const TOOL: Tool = Tool {
    name: "iso8601",
    options: OPTIONS,
    usage: USAGE,
    prefix: "iso8601: ",
};

fn run(console: &mut Console, found: &Found) -> Result<(), Failure> {
    let expected = |text: &str| match found.value("expected") {
        Some(wanted) if wanted != text => Err(Failure::new(Exit::Error, "")),
        _ => Ok(()),
    };
    if found.has("now") {
        let now = shown(date_of_epoch(backend::now_s())?, found);
        say(console, "Current date/time: ", "date", &now);
        return expected(&now);
    }
    let date = found.value("date").map(date).transpose()?;
    let mut last = None;
    if let Some(date) = date {
        let text = shown(date, found);
        say(console, "Date: ", "date", &text);
        last = Some(text);
    }
    if let Some(text) = found.value("duration") {
        let duration = Duration::parse(text).ok_or_else(|| invalid("duration", text))?;
        if !console.wants_xml() {
            console.line(&format!("Duration: {}", duration.words()));
        }
        console.element(duration.element());
        if let Some(date) = date {
            let end = shown(duration.after(date)?, found);
            say(console, "Duration ends at: ", "date", &end);
            last = Some(end);
        }
    }
    if let Some(text) = found.value("period") {
        let (start, end) = period(text)?;
        let (start, end) = (shown(start, found), shown(end, found));
        console.line(&format!("Period: {start} to {end}"));
        console.element(
            Element::new("period")
                .child(with_text("start", &start))
                .child(with_text("end", &end)),
        );
    }
    last.map_or(Ok(()), |text| expected(&text))
}

fn say(console: &mut Console, before: &str, tag: &str, text: &str) {
    console.line(&format!("{before}{text}"));
    console.element(with_text(tag, text));
}

fn invalid(what: &str, text: &str) -> Failure {
    let what = match what {
        "date" => "date/time",
        other => other,
    };
    Failure::new(
        Exit::InvalidParam,
        format!("Invalid {what} specified: {text}"),
    )
}

/// A point in time; a time of day alone is today's.
fn date(text: &str) -> Result<DateTime, Failure> {
    let day_less = text.contains(':') && !text.contains(['-', 'T', ' ', 'W']);
    let whole = match day_less {
        true => format!("{}T{text}", date_of_epoch(backend::now_s())?.date()),
        false => text.to_owned(),
    };
    match cib::date::epoch(&whole) {
        Some(seconds) => date_of_epoch(seconds),
        None => Err(invalid("date", text)),
    }
}

fn date_of_epoch(seconds: i64) -> Result<DateTime, Failure> {
    let at = Timestamp::from_second(seconds);
    at.map(|t| t.to_zoned(TimeZone::UTC).datetime())
        .map_err(|e| Failure::new(Exit::InvalidParam, e.to_string()))
}

fn epoch(date: DateTime) -> i64 {
    let zoned = date.to_zoned(TimeZone::UTC);
    zoned.map_or(0, |z| z.timestamp().as_second())
}

/// A point in time in the form that was asked for.
fn shown(date: DateTime, found: &Found) -> String {
    let since_year_one = || epoch(date) + SECONDS_TO_1970;
    if found.has("seconds") {
        return since_year_one().to_string();
    }
    if found.has("epoch") {
        return epoch(date).to_string();
    }
    if found.has("local") {
        let at = Timestamp::from_second(epoch(date)).unwrap_or_default();
        let zoned = at.to_zoned(TimeZone::system());
        if zoned.offset().seconds() != 0 {
            return zoned.strftime("%Y-%m-%d %H:%M:%S %:z").to_string();
        }
    }
    let form = if found.has("ordinal") {
        "%Y-%j %H:%M:%SZ"
    } else if found.has("week") {
        "%G-W%V-%u %H:%M:%SZ"
    } else {
        "%Y-%m-%d %H:%M:%SZ"
    };
    date.strftime(form).to_string()
}

/// `START/END`, `START/DURATION`, `DURATION/END`, or a duration from now on.
fn period(text: &str) -> Result<(DateTime, DateTime), Failure> {
    let failed = || invalid("interval", text);
    let Some((start, end)) = text.split_once('/') else {
        let duration = Duration::parse(text).ok_or_else(failed)?;
        let now = date_of_epoch(backend::now_s())?;
        return Ok((now, duration.after(now)?));
    };
    match (Duration::parse(start), Duration::parse(end)) {
        (Some(_), Some(_)) => Err(failed()),
        (Some(duration), None) => {
            let end = date(end).map_err(|_| failed())?;
            Ok((duration.before(end)?, end))
        }
        (None, Some(duration)) => {
            let start = date(start).map_err(|_| failed())?;
            Ok((start, duration.after(start)?))
        }
        (None, None) => Ok((
            date(start).map_err(|_| failed())?,
            date(end).map_err(|_| failed())?,
        )),
    }
}

/// `P1Y2M3DT4H5M6S`, `P4W`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Duration {
    years: i32,
    months: i32,
    days: i32,
    seconds: i32,
}

impl Duration {
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('P').filter(|r| !r.is_empty())?;
        let (days, times) = rest.split_once('T').unwrap_or((rest, ""));
        let mut duration = Self::default();
        for (number, unit) in units(days)? {
            match unit {
                'Y' => duration.years = number,
                'M' => duration.months = number,
                'W' => duration.days = duration.days.checked_add(number.checked_mul(7)?)?,
                'D' => duration.days = duration.days.checked_add(number)?,
                _ => return None,
            }
        }
        for (number, unit) in units(times)? {
            let factor = match unit {
                'H' => 3600,
                'M' => 60,
                'S' => 1,
                _ => return None,
            };
            let more = number.checked_mul(factor)?;
            duration.seconds = duration.seconds.checked_add(more)?;
        }
        (duration != Self::default() || rest.contains('0')).then_some(duration)
    }

    /// Months first, the last day of a short month where the day is missing there; then days and
    /// seconds.
    fn after(self, date: DateTime) -> Result<DateTime, Failure> {
        self.shifted(date, 1)
    }

    fn before(self, date: DateTime) -> Result<DateTime, Failure> {
        self.shifted(date, -1)
    }

    fn shifted(self, date: DateTime, sign: i32) -> Result<DateTime, Failure> {
        let span = || {
            Span::new()
                .try_years(sign * self.years)?
                .try_months(sign * self.months)?
                .try_days(sign * self.days)?
                .try_seconds(sign * self.seconds)
        };
        let end = span().and_then(|s| date.checked_add(s));
        end.map_err(|e| Failure::new(Exit::InvalidParam, e.to_string()))
    }

    /// With the blanks that the tool of that name writes.
    fn words(self) -> String {
        let mut text = String::new();
        for (number, unit) in [
            (self.years, "year"),
            (self.months, "month"),
            (self.days, "day"),
        ] {
            if number != 0 {
                let s = if number == 1 { "" } else { "s" };
                text.push_str(&match unit {
                    "year" => format!("{number:>4} {unit}{s} "),
                    _ => format!(" {number} {unit}{s} "),
                });
            }
        }
        if self.seconds != 0 {
            let s = if self.seconds == 1 { "" } else { "s" };
            text.push_str(&format!("{} second{s}", self.seconds));
            if self.seconds >= 60 {
                text.push_str(&format!(" ({})", clock(self.seconds)));
            }
        }
        text
    }

    fn element(self) -> Element {
        let mut element = Element::new("duration");
        for (name, number) in [
            ("years", self.years),
            ("months", self.months),
            ("days", self.days),
            ("seconds", self.seconds),
        ] {
            if number != 0 {
                element.set(name, &number.to_string());
            }
        }
        element
    }
}

/// The point in time that a `<duration>` later, seconds since the epoch; nothing when it has no
/// numbers.
pub(super) fn after(start: i64, duration: &Element) -> Option<i64> {
    let number = |name: &str| match duration.attr(name) {
        None => Some(0),
        Some(text) => text.trim().parse::<i32>().ok(),
    };
    let seconds = number("hours")?
        .checked_mul(3600)?
        .checked_add(number("minutes")?.checked_mul(60)?)?
        .checked_add(number("seconds")?)?;
    let duration = Duration {
        years: number("years")?,
        months: number("months")?,
        days: number("weeks")?
            .checked_mul(7)?
            .checked_add(number("days")?)?,
        seconds,
    };
    let end = duration.after(date_of_epoch(start).ok()?);
    end.ok().map(epoch)
}

/// The point in time that much later, seconds since the epoch; nothing when it is no duration.
pub(super) fn later(now: i64, duration: &str) -> Option<i64> {
    let end = Duration::parse(duration)?.after(date_of_epoch(now).ok()?);
    end.ok().map(epoch)
}

/// `2026-11-22 00:43:25Z`.
pub(super) fn utc(seconds: i64) -> String {
    let date = date_of_epoch(seconds);
    date.map(|d| d.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
        .unwrap_or_default()
}

/// `4 hours 5 minutes 6 seconds`.
fn clock(seconds: i32) -> String {
    let parts = [
        (seconds / 3600, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ];
    let words = parts.iter().filter(|(n, _)| *n != 0);
    let words: Vec<String> = words
        .map(|(n, unit)| format!("{n} {unit}{}", if *n == 1 { "" } else { "s" }))
        .collect();
    words.join(" ")
}

/// `1Y2M3D` as numbers with their units.
fn units(text: &str) -> Option<Vec<(i32, char)>> {
    let mut found = Vec::new();
    let mut digits = String::new();
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
        } else {
            found.push((std::mem::take(&mut digits).parse().ok()?, c));
        }
    }
    digits.is_empty().then_some(found)
}

/// Seconds from 0001-01-01 to 1970-01-01.
const SECONDS_TO_1970: i64 = 62_135_596_800;

/// iso8601(8).
pub(super) const OPTIONS: &[Opt] = &[
    flag('n', "now"),
    with_value('d', "date"),
    with_value('p', "period"),
    with_value('D', "duration"),
    with_value('E', "expected"),
    flag('s', "seconds"),
    flag('S', "epoch"),
    flag('L', "local"),
    flag('O', "ordinal"),
    flag('W', "week"),
    flag('V', "verbose"),
    flag('$', "version"),
    flag('?', "help"),
    flag('h', "help-usage"),
    with_value('\0', "output-as"),
    with_value('\0', "output-to"),
];

const USAGE: &str =
    "usage: iso8601 [-n | -d TIME] [-D DURATION] [-p PERIOD] [-s|-S|-L|-O|-W] [-E TEXT]";

#[cfg(test)]
mod tests {
    use super::super::getopt;
    use super::*;

    #[test]
    fn times_as_the_tool_of_that_name_shows_them() {
        let at = "2024-02-03 10:11:12Z";
        for (args, answer) in [
            (vec!["-d", at], "Date: 2024-02-03 10:11:12Z\n"),
            (vec!["-d", at, "-s"], "Date: 63842551872\n"),
            (vec!["-d", at, "-S"], "Date: 1706955072\n"),
            (vec!["-d", at, "-O"], "Date: 2024-034 10:11:12Z\n"),
            (vec!["-d", at, "-W"], "Date: 2024-W05-6 10:11:12Z\n"),
            (vec!["-d", "2024-W05-1"], "Date: 2024-01-29 00:00:00Z\n"),
            (vec!["-d", "2024-040"], "Date: 2024-02-09 00:00:00Z\n"),
            (
                vec!["-d", "20240203T101112Z"],
                "Date: 2024-02-03 10:11:12Z\n",
            ),
            (
                vec!["-d", "2024-01-31 10:11:12Z", "-D", "P1M"],
                "Date: 2024-01-31 10:11:12Z\nDuration:  1 month \nDuration ends at: 2024-02-29 10:11:12Z\n",
            ),
            (
                vec!["-D", "P2M3DT4H"],
                "Duration:  2 months  3 days 14400 seconds (4 hours)\n",
            ),
            (
                vec!["-p", "2024-01-01/P1M"],
                "Period: 2024-01-01 00:00:00Z to 2024-02-01 00:00:00Z\n",
            ),
            (
                vec!["-p", "2024-01-01/2024-02-01"],
                "Period: 2024-01-01 00:00:00Z to 2024-02-01 00:00:00Z\n",
            ),
            (vec!["-d", "rubbish"], "2"),
            (vec!["-D", at], "2"),
            (vec!["-D", "P"], "2"),
            (vec!["-D", "P99999999999Y"], "2"),
            (vec!["-D", "P9999999Y", "-d", at], "2"),
            (vec!["-E", "x", "-d", "2024-040"], "1"),
            (
                vec!["-E", "2024-02-09 00:00:00Z", "-d", "2024-040"],
                "Date: 2024-02-09 00:00:00Z\n",
            ),
        ] {
            let words: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
            let mut console = Console::buffers();
            let found = match run(&mut console, &getopt::parse(OPTIONS, &words).unwrap()) {
                Ok(()) => console.into_texts().0,
                Err(failure) => failure.exit.code().to_string(),
            };
            assert_eq!(found, answer, "{args:?}");
        }
    }
}
