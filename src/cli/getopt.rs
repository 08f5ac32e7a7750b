//! Options as the C library's getopt_long reads them: `-abc`, `-nVALUE`, `-n VALUE`, `--name=VALUE`,
//! `--name VALUE`, unambiguous beginnings of long names. The tables of Pacemaker's tools are full
//! of pairs that clap would call a conflict.

use super::exit::Failure;

/// One option.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opt {
    /// Its letter; `\0` when it has none.
    pub(crate) short: char,
    /// Its long name; what the program asks for.
    pub(crate) long: &'static str,
    /// What may follow it.
    pub(crate) value: Value,
}

/// Whether an option has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Never.
    None,
    /// Always.
    Needed,
    /// The next word, unless that is an option: glib's optional argument. Without one it is empty.
    Optional,
}

/// An option without a value.
pub(crate) const fn flag(short: char, long: &'static str) -> Opt {
    Opt {
        short,
        long,
        value: Value::None,
    }
}

/// An option with a value.
pub(crate) const fn with_value(short: char, long: &'static str) -> Opt {
    Opt {
        short,
        long,
        value: Value::Needed,
    }
}

/// An option that may have a value.
pub(crate) const fn with_optional(short: char, long: &'static str) -> Opt {
    Opt {
        short,
        long,
        value: Value::Optional,
    }
}

/// What was found: options in their order, and the other words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    options: Vec<(&'static str, String)>,
    /// Words that are no options.
    pub(crate) words: Vec<String>,
}

impl Found {
    /// For who has no use for words: one too many is most often half of a value that lost its quotes.
    ///
    /// # Errors
    /// There is one.
    pub(crate) fn no_words(&self) -> Result<(), Failure> {
        self.words.first().map_or(Ok(()), |word| {
            Err(Failure::usage(format!("`{word}` makes no sense here")))
        })
    }

    /// The option was given.
    pub(crate) fn has(&self, long: &str) -> bool {
        self.options.iter().any(|(name, _)| *name == long)
    }

    /// The option's last value.
    pub(crate) fn value(&self, long: &str) -> Option<&str> {
        let found = self.options.iter().rev().find(|(name, _)| *name == long);
        found.map(|(_, value)| value.as_str())
    }

    /// All of the option's values, in their order.
    pub(crate) fn values(&self, long: &str) -> impl Iterator<Item = &str> {
        let found = self.options.iter().filter(move |(name, _)| *name == long);
        found.map(|(_, value)| value.as_str())
    }

    /// These options with their values, in their order.
    pub(crate) fn in_order<'f>(
        &'f self,
        longs: &'f [&'static str],
    ) -> impl Iterator<Item = (&'static str, &'f str)> {
        let found = self.options.iter().filter(|(name, _)| longs.contains(name));
        found.map(|(name, value)| (*name, value.as_str()))
    }

    /// The last of these options that was given.
    pub(crate) fn last_of(&self, longs: &[&'static str]) -> Option<&'static str> {
        let mut names = self.options.iter().rev().map(|(name, _)| *name);
        names.find(|name| longs.contains(name))
    }

    /// The first of these options that was given.
    pub(crate) fn first_of(&self, longs: &[&'static str]) -> Option<&'static str> {
        let mut names = self.options.iter().map(|(name, _)| *name);
        names.find(|name| longs.contains(name))
    }
}

/// Reads a command line.
///
/// # Errors
/// Unknown options, missing values, values where none belongs.
pub(crate) fn parse(table: &[Opt], args: &[String]) -> Result<Found, Failure> {
    let mut found = Found::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            found.words.extend(args.by_ref().cloned());
        } else if let Some(long) = arg.strip_prefix("--") {
            let (name, glued) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let opt = find_long(table, name)?;
            let value = match (opt.value, glued) {
                (Value::None, None) => String::new(),
                (Value::None, Some(_)) => {
                    return Err(Failure::usage(format!("--{name} takes no value")));
                }
                (_, Some(value)) => value,
                (Value::Needed, None) => take(&mut args, &format!("--{name}"))?,
                (Value::Optional, None) => take_word(&mut args),
            };
            found.options.push((opt.long, value));
        } else if let Some(letters) = arg.strip_prefix('-').filter(|l| !l.is_empty()) {
            cluster(table, letters, &mut args, &mut found)?;
        } else {
            found.words.push(arg.clone());
        }
    }
    Ok(found)
}

fn cluster(
    table: &[Opt],
    letters: &str,
    args: &mut std::slice::Iter<'_, String>,
    found: &mut Found,
) -> Result<(), Failure> {
    for (at, letter) in letters.char_indices() {
        let opt = table
            .iter()
            .find(|o| o.short == letter)
            .ok_or_else(|| Failure::usage(format!("unknown option -{letter}")))?;
        if opt.value == Value::None {
            found.options.push((opt.long, String::new()));
            continue;
        }
        let rest = &letters[at + letter.len_utf8()..];
        let value = match (rest, opt.value) {
            ("", Value::Optional) => take_word(args),
            ("", _) => take(args, &format!("-{letter}"))?,
            (rest, _) => rest.to_owned(),
        };
        found.options.push((opt.long, value));
        break;
    }
    Ok(())
}

fn find_long(table: &[Opt], name: &str) -> Result<Opt, Failure> {
    if let Some(opt) = table.iter().find(|o| o.long == name) {
        return Ok(*opt);
    }
    let fits: Vec<&Opt> = table
        .iter()
        .filter(|o| !name.is_empty() && o.long.starts_with(name))
        .collect();
    match fits.as_slice() {
        [one] => Ok(**one),
        [] => Err(Failure::usage(format!("unknown option --{name}"))),
        several => {
            let names: Vec<String> = several.iter().map(|o| format!("--{}", o.long)).collect();
            Err(Failure::usage(format!(
                "--{name}: which of {}?",
                names.join(", ")
            )))
        }
    }
}

/// The next word, if it is no option.
fn take_word(args: &mut std::slice::Iter<'_, String>) -> String {
    let word = args.as_slice().first().filter(|w| !w.starts_with('-'));
    if word.is_none() {
        return String::new();
    }
    args.next().cloned().unwrap_or_default()
}

fn take(args: &mut std::slice::Iter<'_, String>, option: &str) -> Result<String, Failure> {
    args.next()
        .cloned()
        .ok_or_else(|| Failure::usage(format!("{option} needs a value")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: [Opt; 5] = [
        with_optional('p', "promotion"),
        flag('Q', "query"),
        flag('l', "local"),
        with_value('o', "scope"),
        with_value('\0', "xpath"),
    ];

    fn read(line: &str) -> Result<Found, Failure> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&TABLE, &args)
    }

    #[test]
    fn every_way_to_write_an_option() {
        for line in [
            "-Ql -o nodes --xpath //x word",
            "-Qlonodes --xpath=//x word",
            "--query --loc --scope nodes word --xpath //x",
        ] {
            let found = read(line).unwrap();
            assert!(found.has("query") && found.has("local"), "{line}");
            assert_eq!(found.value("scope"), Some("nodes"), "{line}");
            assert_eq!(found.value("xpath"), Some("//x"), "{line}");
            assert_eq!(found.words, ["word"], "{line}");
        }
        assert_eq!(read("-Q -- -x").unwrap().words, ["-x"]);
    }

    #[test]
    fn an_optional_value_is_the_next_word_that_is_no_option() {
        for (line, value) in [
            ("-p -Q", ""),
            ("-Q -p", ""),
            ("-p web -Q", "web"),
            ("-pweb -Q", "web"),
            ("--promotion -Q", ""),
            ("--promotion=web -Q", "web"),
            ("--promotion web -Q", "web"),
        ] {
            let found = read(line).unwrap();
            assert_eq!(found.value("promotion"), Some(value), "{line}");
            assert!(found.has("query"), "{line}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (line, text) in [
            ("-z", "unknown option -z"),
            ("--zz", "unknown option --zz"),
            ("-o", "-o needs a value"),
            ("--query=1", "--query takes no value"),
        ] {
            assert_eq!(read(line).unwrap_err().text, text);
        }
    }
}
