//! Waits that say what they wait for, and end.

use super::error::LabError;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What one look at the awaited thing found.
#[derive(Debug)]
pub enum Seen<T> {
    /// It is there.
    Yes(T),
    /// Not yet; what was seen instead, for the line on the screen and the error at the end.
    NotYet(String),
}

/// A wait that reached its bound.
#[derive(Debug, thiserror::Error)]
#[error(
    "waited {bound_ms} ms for {what}; last seen: {seen}{}",
    log.as_ref().map(|l| format!(" (log: {})", l.display())).unwrap_or_default()
)]
pub struct Timeout {
    /// What was expected.
    pub what: String,
    /// What was there instead at the last look.
    pub seen: String,
    /// How long was waited, in milliseconds.
    pub bound_ms: u128,
    /// Where to look for the reason.
    pub log: Option<PathBuf>,
}

/// A bounded, visible wait. On a terminal one line on stderr counts the seconds; elsewhere a line
/// appears only when the wait is not over at once.
#[derive(Debug)]
pub struct Wait {
    what: String,
    bound: Duration,
    every: Duration,
    log: Option<PathBuf>,
    quiet: bool,
}

impl Wait {
    /// Waits for `what`, for at most `bound`.
    #[must_use]
    pub fn new(what: impl Into<String>, bound: Duration) -> Self {
        Self {
            what: what.into(),
            bound,
            every: LOOK_EVERY,
            log: None,
            quiet: false,
        }
    }

    /// Time between two looks; 20 ms when not said.
    #[must_use]
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// Where the reason would be found if the wait fails.
    #[must_use]
    pub fn log(mut self, log: &Path) -> Self {
        self.log = Some(log.to_path_buf());
        self
    }

    /// Shows nothing while waiting.
    #[must_use]
    pub fn quiet(mut self, quiet: bool) -> Self {
        self.quiet = quiet;
        self
    }

    /// Looks until `look` finds it.
    ///
    /// # Errors
    /// [`LabError::Timeout`] at the bound; whatever `look` fails with, at once.
    pub fn until<T>(
        self,
        mut look: impl FnMut() -> Result<Seen<T>, LabError>,
    ) -> Result<T, LabError> {
        let start = Instant::now();
        let mut line = Line::new(self.quiet);
        loop {
            let seen = match look()? {
                Seen::Yes(value) => {
                    line.done(&self.what, start.elapsed());
                    return Ok(value);
                }
                Seen::NotYet(seen) => seen,
            };
            if let Err(interrupted) = super::interrupt::check() {
                line.abandon();
                return Err(interrupted);
            }
            if start.elapsed() >= self.bound {
                line.abandon();
                return Err(LabError::Timeout(Timeout {
                    what: self.what,
                    seen,
                    bound_ms: self.bound.as_millis(),
                    log: self.log,
                }));
            }
            line.show(&self.what, &seen, start.elapsed());
            std::thread::sleep(self.every);
        }
    }
}

/// The one line a wait shows.
struct Line {
    quiet: bool,
    tty: bool,
    shown: Option<Duration>,
}

impl Line {
    fn new(quiet: bool) -> Self {
        Self {
            quiet,
            tty: std::io::stderr().is_terminal(),
            shown: None,
        }
    }

    fn show(&mut self, what: &str, seen: &str, elapsed: Duration) {
        let due = match self.shown {
            None => elapsed >= if self.tty { Duration::ZERO } else { SHOW_AFTER },
            Some(last) => self.tty && elapsed >= last + REDRAW_EVERY,
        };
        if self.quiet || !due {
            return;
        }
        self.shown = Some(elapsed);
        if self.tty {
            // Cut, so that the line never wraps and `\r` finds its beginning again.
            let text: String = format!("waiting {:.1} s for {what}: {seen}", elapsed.as_secs_f64())
                .chars()
                .take(LINE_CHARS_MAX)
                .collect();
            eprint!("\r\x1b[K{text}");
            let _ = std::io::stderr().flush();
        } else {
            eprintln!("waiting for {what} ...");
        }
    }

    fn done(&mut self, what: &str, elapsed: Duration) {
        if self.quiet || self.shown.is_none() {
            return;
        }
        if self.tty {
            eprint!("\r\x1b[K");
        }
        eprintln!("{what}: after {:.2} s", elapsed.as_secs_f64());
    }

    fn abandon(&mut self) {
        if self.tty && self.shown.is_some() && !self.quiet {
            eprintln!();
        }
    }
}

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A wait shorter than this needs no line where lines cannot be redrawn.
const SHOW_AFTER: Duration = Duration::from_millis(500);
/// Time between two redraws on a terminal.
const REDRAW_EVERY: Duration = Duration::from_millis(100);
/// Longest line drawn.
const LINE_CHARS_MAX: usize = 79;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_value_or_says_what_was_seen() {
        let mut looks = 0;
        let found = Wait::new("the third look", Duration::from_secs(60))
            .every(Duration::ZERO)
            .quiet(true)
            .until(|| {
                looks += 1;
                Ok(if looks == 3 {
                    Seen::Yes(looks)
                } else {
                    Seen::NotYet("too early".into())
                })
            });
        assert_eq!(found.unwrap(), 3);

        let failed = Wait::new("the moon", Duration::ZERO)
            .quiet(true)
            .log(Path::new("/var/log/sky"))
            .until(|| Ok(Seen::<()>::NotYet("clouds".into())))
            .unwrap_err()
            .to_string();
        assert_eq!(
            failed,
            "waited 0 ms for the moon; last seen: clouds (log: /var/log/sky)"
        );
    }
}
