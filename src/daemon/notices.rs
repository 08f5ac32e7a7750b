//! What a person should know, kept for `status`.

use crate::view::Notice;
use std::collections::VecDeque;

/// The newest notices, oldest first; a repeated one takes its older twin's place.
#[derive(Clone, Debug, Default)]
pub(super) struct Notices(VecDeque<Notice>);

impl Notices {
    /// Adds one.
    pub(super) fn add(&mut self, at: i64, code: &str, text: String) {
        self.0.retain(|n| n.code != code || n.text != text);
        if self.0.len() >= NOTICES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Notice {
            at,
            code: code.to_owned(),
            text,
        });
    }

    /// This very one is there already.
    pub(super) fn has(&self, code: &str, text: &str) -> bool {
        self.0.iter().any(|n| n.code == code && n.text == text)
    }

    /// Forgets everything of a kind; true when there was any.
    pub(super) fn clear(&mut self, code: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|n| n.code != code);
        self.0.len() != before
    }

    /// Forgets what is of a kind and begins so.
    pub(super) fn clear_about(&mut self, code: &str, start: &str) {
        self.0
            .retain(|n| n.code != code || !n.text.starts_with(start));
    }

    /// All, oldest first.
    pub(super) fn all(&self) -> Vec<Notice> {
        self.0.iter().cloned().collect()
    }
}

/// Notices kept.
const NOTICES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_repetitions_count_once() {
        let mut notices = Notices::default();
        assert!(!notices.has("x", "19"));
        for n in 0..100 {
            notices.add(n, "x", format!("{}", n % 80));
        }
        let all = notices.all();
        assert_eq!(all.len(), NOTICES_MAX);
        assert_eq!(all.last().unwrap().text, "19");
        assert!(notices.has("x", "19") && !notices.has("y", "19"));
        notices.clear("x");
        assert!(notices.all().is_empty());
    }
}
