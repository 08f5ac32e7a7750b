//! Colours: of the words that begin a message, and of a configuration that somebody reads. Nothing
//! is painted but for a terminal, unless it is asked for.

/// A colour, as the numbers of ECMA-48's SGR; empty = as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Paint(String);

impl Paint {
    /// `red bold`.
    pub(crate) fn parse(text: &str) -> Self {
        let numbers = text.split_whitespace().filter_map(|word| {
            let found = NUMBERS.iter().find(|(name, _)| *name == word);
            found.map(|(_, number)| *number)
        });
        Self(numbers.collect::<Vec<_>>().join(";"))
    }

    fn on(&self, text: &str) -> String {
        match self.0.as_str() {
            "" => text.to_owned(),
            numbers => format!("\u{1b}[{numbers}m{text}\u{1b}[0m"),
        }
    }
}

/// When something is painted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum When {
    #[default]
    Never,
    Terminal,
    Always,
}

/// What is painted how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Colours {
    when: When,
    /// Keywords of a configuration are in capitals.
    capitals: bool,
    pub(crate) error: Paint,
    pub(crate) warning: Paint,
    pub(crate) info: Paint,
    pub(crate) keyword: Paint,
    pub(crate) identifier: Paint,
    pub(crate) name: Paint,
    pub(crate) value: Paint,
    pub(crate) reference: Paint,
    pub(crate) score: Paint,
}

impl Colours {
    /// Nothing is painted.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// `plain`, `color` (on a terminal), `color-always`, each with or without `uppercase`.
    pub(crate) fn set_style(&mut self, style: &str) {
        let has = |word: &str| style.split(',').any(|w| w == word);
        // https://no-color.org: whoever sets it wants none.
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        self.capitals = has("uppercase");
        self.when = match (has("color-always"), has("color")) {
            (true, _) => When::Always,
            (false, true) if wanted => When::Terminal,
            _ => When::Never,
        };
    }

    fn wanted(&self, terminal: bool) -> bool {
        match self.when {
            When::Never => false,
            When::Terminal => terminal,
            When::Always => true,
        }
    }

    /// The word that begins a message.
    pub(super) fn begin(&self, word: &str, terminal: bool) -> String {
        let paint = match word {
            "ERROR" => &self.error,
            "WARNING" => &self.warning,
            _ => &self.info,
        };
        match self.wanted(terminal) {
            true => paint.on(word),
            false => word.to_owned(),
        }
    }

    /// Lines of `configure show`.
    pub(super) fn configuration(&self, text: &str, terminal: bool) -> String {
        let painted = self.wanted(terminal);
        if !painted && !self.capitals {
            return text.to_owned();
        }
        let lines = text.split_inclusive('\n');
        lines.map(|line| self.command(line, painted)).collect()
    }

    /// A line: its blanks stay, its words are told apart.
    fn command(&self, line: &str, painted: bool) -> String {
        let begins = !line.starts_with(char::is_whitespace);
        let mut at = 0;
        let mut text = String::new();
        for piece in words(line) {
            if piece.starts_with(char::is_whitespace) || piece == "\\" {
                text.push_str(piece);
                continue;
            }
            let keyword = (at == 0 && begins) || KEYWORDS.contains(&piece);
            text.push_str(&match (keyword, at) {
                (true, _) => self.word(&self.keyword, &self.cased(piece), painted),
                (false, 1) if begins => self.word(&self.identifier, piece, painted),
                _ => self.argument(piece, painted),
            });
            at += 1;
        }
        text
    }

    fn cased(&self, word: &str) -> String {
        match self.capitals {
            true => word.to_ascii_uppercase(),
            false => word.to_owned(),
        }
    }

    fn word(&self, paint: &Paint, word: &str, painted: bool) -> String {
        match painted {
            true => paint.on(word),
            false => word.to_owned(),
        }
    }

    fn argument(&self, word: &str, painted: bool) -> String {
        if let Some((name, value)) = word.split_once('=') {
            let (name, value) = (
                self.word(&self.name, name, painted),
                self.word(&self.value, value, painted),
            );
            return format!("{name}={value}");
        }
        let paint = match word.ends_with(':') {
            true => &self.score,
            false => &self.reference,
        };
        self.word(paint, word, painted)
    }
}

/// Words and the blanks between them; quotes keep blanks in a word.
fn words(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut begun, mut blank, mut quoted) = (0, None, false);
    for (at, c) in line.char_indices() {
        let is_blank = c.is_whitespace() && !quoted;
        if c == '"' {
            quoted = !quoted;
        }
        if blank.is_some_and(|b| b != is_blank) {
            found.push(&line[begun..at]);
            begun = at;
        }
        blank = Some(is_blank);
    }
    if begun < line.len() {
        found.push(&line[begun..]);
    }
    found
}

/// Words within a command that begin a part of it.
const KEYWORDS: [&str; 13] = [
    "params",
    "meta",
    "op",
    "operations",
    "utilization",
    "attributes",
    "rule",
    "select",
    "to",
    "and",
    "or",
    "date",
    "rules",
];
/// Colours by name (ECMA-48, "Select Graphic Rendition").
const NUMBERS: [(&str, &str); 10] = [
    ("black", "30"),
    ("red", "31"),
    ("green", "32"),
    ("yellow", "33"),
    ("blue", "34"),
    ("magenta", "35"),
    ("cyan", "36"),
    ("white", "37"),
    ("bold", "1"),
    ("underline", "4"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn colours(style: &str) -> Colours {
        let mut colours = Colours::none();
        colours.set_style(style);
        colours.error = Paint::parse("red bold");
        colours.keyword = Paint::parse("yellow");
        colours.name = Paint::parse("cyan");
        colours.identifier = Paint::parse("normal");
        colours
    }

    #[test]
    fn only_who_can_see_them_has_colours() {
        assert_eq!(colours("plain").begin("ERROR", true), "ERROR");
        assert_eq!(colours("color").begin("ERROR", false), "ERROR");
        let red = "\u{1b}[31;1mERROR\u{1b}[0m";
        assert_eq!(colours("color-always").begin("ERROR", false), red);
    }

    #[test]
    fn a_configuration_keeps_its_text() {
        let text = "primitive d Dummy \\\n\tparams a=\"b c\" \\\n\tmeta x=1\n";
        let painted = colours("color-always").configuration(text, false);
        assert!(
            painted.starts_with("\u{1b}[33mprimitive\u{1b}[0m d "),
            "{painted:?}"
        );
        assert!(
            painted.contains("\u{1b}[36ma\u{1b}[0m=\"b c\""),
            "{painted:?}"
        );
        let capitals = colours("plain,uppercase").configuration(text, true);
        assert_eq!(
            capitals,
            text.replace("primitive", "PRIMITIVE")
                .replace("params", "PARAMS")
                .replace("meta", "META")
        );
        assert_eq!(colours("plain").configuration(text, true), text);
    }

    proptest::proptest! {
        #[test]
        fn capitals_change_nothing_else(text in "\\PC{0,40}") {
            let painted = colours("uppercase").configuration(&text, true);
            proptest::prop_assert_eq!(painted.to_ascii_uppercase(), text.to_ascii_uppercase());
        }
    }
}
