//! `rsc-pattern`: POSIX extended regular expressions, with what their groups matched.
//!
//! A backtracking matcher with a bound on its work: ids are short, and a pattern that needs more
//! than that is as good as none.

use std::iter::Peekable;
use std::str::Chars;

/// A pattern, parsed.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    alternatives: Vec<Vec<Piece>>,
    groups: usize,
}

#[derive(Clone, Debug)]
struct Piece {
    atom: Atom,
    least: u32,
    most: u32,
}

#[derive(Clone, Debug)]
enum Atom {
    Char(char),
    Any,
    Start,
    End,
    Set {
        inverted: bool,
        ranges: Vec<(char, char)>,
    },
    /// Number of the group, from 1.
    Group(usize, Vec<Vec<Piece>>),
}

/// What a pattern matched: the whole at 0, then each group.
pub(crate) type Submatches = Vec<String>;

impl Pattern {
    /// Parses a pattern; `None` if it is none, or longer than any use of it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > PATTERN_BYTES_MAX {
            return None;
        }
        let mut parser = Parser {
            rest: text.chars().peekable(),
            groups: 0,
            depth: 0,
        };
        let alternatives = parser.alternatives()?;
        parser.rest.next().is_none().then_some(Self {
            alternatives,
            groups: parser.groups,
        })
    }

    /// Looks for the pattern anywhere in (the beginning of) a text.
    pub(crate) fn find(&self, text: &str) -> Option<Submatches> {
        let chars: Vec<char> = text.chars().take(TEXT_CHARS_MAX).collect();
        let mut matcher = Matcher {
            text: &chars,
            spans: vec![None; self.groups + 1],
            steps: 0,
        };
        for start in 0..=chars.len() {
            let mut end = None;
            let found = matcher.any_of(&self.alternatives, start, &mut |_, at| {
                end = Some(at);
                true
            });
            if let (true, Some(end)) = (found, end) {
                matcher.spans[0] = Some((start, end));
                let part = |span: &Option<(usize, usize)>| match span {
                    Some((from, to)) => chars[*from..*to].iter().collect(),
                    None => String::new(),
                };
                return Some(matcher.spans.iter().map(part).collect());
            }
        }
        None
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

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    groups: usize,
    depth: u32,
}

impl Parser<'_> {
    fn alternatives(&mut self) -> Option<Vec<Vec<Piece>>> {
        let mut all = vec![self.sequence()?];
        while self.rest.next_if_eq(&'|').is_some() {
            all.push(self.sequence()?);
        }
        Some(all)
    }

    fn sequence(&mut self) -> Option<Vec<Piece>> {
        let mut pieces = Vec::new();
        while self
            .rest
            .peek()
            .is_some_and(|c| !(*c == '|' || *c == ')' && self.depth > 0))
        {
            let atom = self.atom()?;
            let mut piece = Piece {
                atom,
                least: 1,
                most: 1,
            };
            while let Some((least, most)) = self.repetition()? {
                piece = if (piece.least, piece.most) == (1, 1) {
                    Piece {
                        least,
                        most,
                        ..piece
                    }
                } else {
                    // Repetition of a repetition: a group without a number of its own.
                    let inner = vec![vec![piece]];
                    Piece {
                        atom: Atom::Group(0, inner),
                        least,
                        most,
                    }
                };
            }
            pieces.push(piece);
        }
        Some(pieces)
    }

    fn atom(&mut self) -> Option<Atom> {
        Some(match self.rest.next()? {
            '.' => Atom::Any,
            '^' => Atom::Start,
            '$' => Atom::End,
            '[' => self.set()?,
            '(' => {
                self.depth += 1;
                if self.depth > NESTING_MAX {
                    return None;
                }
                self.groups += 1;
                let number = self.groups;
                let inner = self.alternatives()?;
                self.rest.next_if_eq(&')')?;
                self.depth -= 1;
                Atom::Group(number, inner)
            }
            '\\' => Atom::Char(self.rest.next()?),
            '*' | '+' | '?' => return None,
            c => Atom::Char(c),
        })
    }

    /// `None`: broken; `Some(None)`: there is none.
    fn repetition(&mut self) -> Option<Option<(u32, u32)>> {
        let bounds = match self.rest.peek() {
            Some('*') => (0, REPEAT_MAX),
            Some('+') => (1, REPEAT_MAX),
            Some('?') => (0, 1),
            Some('{') => {
                self.rest.next();
                return self.interval().map(Some);
            }
            _ => return Some(None),
        };
        self.rest.next();
        Some(Some(bounds))
    }

    fn interval(&mut self) -> Option<(u32, u32)> {
        let least = self.number()?;
        let most = if self.rest.next_if_eq(&',').is_none() {
            least
        } else if self.rest.peek() == Some(&'}') {
            REPEAT_MAX
        } else {
            self.number()?
        };
        self.rest.next_if_eq(&'}')?;
        (least <= most && least <= REPEAT_MAX).then_some((least, most.min(REPEAT_MAX)))
    }

    fn number(&mut self) -> Option<u32> {
        let mut value: Option<u32> = None;
        while let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(10)) {
            self.rest.next();
            value = Some(value.unwrap_or(0).saturating_mul(10).saturating_add(digit));
        }
        value
    }

    fn set(&mut self) -> Option<Atom> {
        let inverted = self.rest.next_if_eq(&'^').is_some();
        let mut ranges = Vec::new();
        loop {
            let from = match self.rest.next()? {
                // As the first it stands for itself.
                ']' if !ranges.is_empty() => return Some(Atom::Set { inverted, ranges }),
                '[' if self.rest.next_if_eq(&':').is_some() => {
                    self.class(&mut ranges)?;
                    continue;
                }
                c => c,
            };
            let mut ahead = self.rest.clone();
            if ahead.next() == Some('-')
                && let Some(to) = ahead.next().filter(|c| *c != ']')
            {
                self.rest = ahead;
                ranges.push((from, to));
            } else {
                ranges.push((from, from));
            }
        }
    }

    fn class(&mut self, ranges: &mut Vec<(char, char)>) -> Option<()> {
        let mut name = String::new();
        while let Some(c) = self.rest.next_if(char::is_ascii_alphabetic) {
            name.push(c);
        }
        self.rest.next_if_eq(&':')?;
        self.rest.next_if_eq(&']')?;
        ranges.extend_from_slice(match name.as_str() {
            "alpha" => &[('a', 'z'), ('A', 'Z')],
            "digit" => &[('0', '9')],
            "alnum" => &[('a', 'z'), ('A', 'Z'), ('0', '9')],
            "lower" => &[('a', 'z')],
            "upper" => &[('A', 'Z')],
            "space" => &[(' ', ' '), ('\t', '\r')],
            "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
            "xdigit" => &[('0', '9'), ('a', 'f'), ('A', 'F')],
            _ => return None,
        });
        Some(())
    }
}

struct Matcher<'a> {
    text: &'a [char],
    spans: Vec<Option<(usize, usize)>>,
    steps: u32,
}

/// What must match after a part, from a position on.
type Next<'n, 'a> = &'n mut dyn FnMut(&mut Matcher<'a>, usize) -> bool;

impl<'a> Matcher<'a> {
    fn any_of(&mut self, all: &[Vec<Piece>], at: usize, next: Next<'_, 'a>) -> bool {
        all.iter().any(|pieces| self.sequence(pieces, at, next))
    }

    fn sequence(&mut self, pieces: &[Piece], at: usize, next: Next<'_, 'a>) -> bool {
        match pieces.split_first() {
            None => next(self, at),
            Some((piece, rest)) => self.repeated(piece, 0, at, &mut |matcher, at| {
                matcher.sequence(rest, at, next)
            }),
        }
    }

    /// As often as possible first.
    fn repeated(&mut self, piece: &Piece, times: u32, at: usize, next: Next<'_, 'a>) -> bool {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return false;
        }
        let more = times < piece.most
            && self.once(&piece.atom, at, &mut |matcher, end| {
                // What matched nothing would match nothing for ever.
                (end > at || times < piece.least) && matcher.repeated(piece, times + 1, end, next)
            });
        more || (times >= piece.least && next(self, at))
    }

    fn once(&mut self, atom: &Atom, at: usize, next: Next<'_, 'a>) -> bool {
        let here = self.text.get(at).copied();
        let fits = match atom {
            Atom::Start => return at == 0 && next(self, at),
            Atom::End => return at == self.text.len() && next(self, at),
            Atom::Group(number, inner) => {
                let number = *number;
                let before = self.spans[number];
                let found = self.any_of(inner, at, &mut |matcher, end| {
                    let last = matcher.spans[number];
                    matcher.spans[number] = Some((at, end));
                    let found = next(matcher, end);
                    if !found {
                        matcher.spans[number] = last;
                    }
                    found
                });
                if !found {
                    self.spans[number] = before;
                }
                return found;
            }
            Atom::Char(c) => here == Some(*c),
            Atom::Any => here.is_some(),
            Atom::Set { inverted, ranges } => here.is_some_and(|here| {
                let listed = ranges
                    .iter()
                    .any(|(from, to)| (*from..=*to).contains(&here));
                listed != *inverted
            }),
        };
        fits && next(self, at + 1)
    }
}

/// Longest pattern; with the next two it bounds the recursion.
const PATTERN_BYTES_MAX: usize = 512;
/// Longest text looked at.
const TEXT_CHARS_MAX: usize = 256;
/// Deepest nesting of groups.
const NESTING_MAX: u32 = 5;
/// Most repetitions of a part; ids are shorter.
const REPEAT_MAX: u32 = 255;
/// Most attempts at one text.
const STEPS_MAX: u32 = 50_000;

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
