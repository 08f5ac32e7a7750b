//! `rsc-pattern`: regular expressions, with what their groups matched.

use regex_lite::{Regex, RegexBuilder};

/// A pattern, parsed.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Regex);

/// What a pattern matched: the whole at 0, then each group.
pub(crate) type Submatches = Vec<String>;

impl Pattern {
    /// Parses a pattern; `None` if it is none, or longer than any use of it. Pacemaker takes POSIX
    /// extended expressions (regcomp(3)); where two alternatives match, it takes the longer one and
    /// this the first one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > PATTERN_BYTES_MAX {
            return None;
        }
        let built = RegexBuilder::new(text)
            .size_limit(PROGRAM_BYTES_MAX)
            .build();
        built.ok().map(Self)
    }

    /// Looks for the pattern anywhere in a text, in time linear in the text.
    pub(crate) fn find(&self, text: &str) -> Option<Submatches> {
        let found = self.0.captures(text)?;
        let part =
            |group: Option<regex_lite::Match<'_>>| group.map_or("", |m| m.as_str()).to_owned();
        Some(found.iter().map(part).collect())
    }
}

/// Puts what the groups matched in the place of `%0` … `%9`
/// (Pacemaker rules.c:pcmk__replace_submatches).
pub(crate) fn expand(text: &str, matches: &[String]) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let digit = rest.peek().and_then(|next| next.to_digit(10));
        match digit.filter(|_| c == '%') {
            Some(digit) if (digit as usize) < matches.len() => {
                rest.next();
                expanded.push_str(&matches[digit as usize]);
            }
            _ => expanded.push(c),
        }
    }
    expanded
}

/// Longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 512;
/// Most memory for a compiled pattern, in bytes.
const PROGRAM_BYTES_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_find_what_posix_says() {
        for (pattern, text, found) in [
            ("rsc3.*", "rsc30a", Some("rsc30a")),
            ("^rsc(1|2)$", "rsc2", Some("rsc2")),
            ("^rsc(1|2)$", "rsc3", None),
            ("a{2,3}b", "aaaab", Some("aaab")),
            ("[[:digit:]]+-[a-c]", "x12-b", Some("12-b")),
            ("[^0-9]+", "12ab3", Some("ab")),
            ("[]x]+", "a]x]", Some("]x]")),
            ("vm\\.x", "vmax", None),
            ("(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", None),
            ("", "any", Some("")),
        ] {
            let pattern = Pattern::parse(pattern).expect("a pattern");
            let all = pattern.find(text);
            assert_eq!(all.as_ref().map(|all| all[0].as_str()), found, "{text}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        for broken in ["(a", "*a", "a{2", "[a", "[[:nonsense:]]", "a{3,2}", "a\\"] {
            assert!(Pattern::parse(broken).is_none(), "{broken}");
        }
    }

    #[test]
    fn groups_stand_for_what_they_matched() {
        let pattern = Pattern::parse("^(db|web)-([0-9]+)$").expect("a pattern");
        let matches = pattern.find("web-12").expect("a match");
        assert_eq!(expand("%1-on-%2", &matches), "web-on-12");
        assert_eq!(expand("100%3 %", &matches), "100%3 %");
    }
}
