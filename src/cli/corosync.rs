//! What the corosync tools share: their options, which have letters alone, and the network's status.

use super::backend::{self, Backend};
use super::exit::{Exit, Failure};
use crate::ipc::{Request, Response};
use crate::view::net::NetStatus;
use std::collections::BTreeMap;

/// Options found: letter and value. `letters` as getopt(3) writes them: a colon after those with a
/// value.
///
/// # Errors
/// The letter that is not among them, or that lacks its value, as getopt(3) tells it.
pub(super) fn options(
    name: &str,
    letters: &str,
    args: &[String],
) -> Result<BTreeMap<char, String>, String> {
    let mut found = BTreeMap::new();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let Some(flags) = word.strip_prefix('-').filter(|f| !f.is_empty()) else {
            return Err(format!("{name}: `{word}` is no option"));
        };
        for (at, letter) in flags.char_indices() {
            let Some(place) = letters.find(letter).filter(|_| letter != ':') else {
                return Err(format!("{name}: invalid option -- '{letter}'"));
            };
            if !letters[place + 1..].starts_with(':') {
                found.insert(letter, String::new());
                continue;
            }
            let rest = &flags[at + letter.len_utf8()..];
            let value = match rest {
                "" => words.next().cloned(),
                rest => Some(rest.to_owned()),
            };
            let missing = || format!("{name}: option requires an argument -- '{letter}'");
            found.insert(letter, value.ok_or_else(missing)?);
            break;
        }
    }
    Ok(found)
}

/// How the nodes reach each other.
///
/// # Errors
/// As [`backend::ask`].
pub(super) fn net(backend: &mut dyn Backend) -> Result<NetStatus, Failure> {
    match backend::ask(backend, &Request::Net)? {
        Response::Net(net) => Ok(*net),
        _ => Err(Failure::new(
            Exit::Protocol,
            "mainstayd answered something else: is it of another version?",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<BTreeMap<char, String>, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        options("tool", "sbi:n", &words)
    }

    #[test]
    fn letters_are_read_as_getopt_reads_them() {
        let found = parse("-sb -i 10.0.0.1").unwrap();
        let letters: Vec<char> = found.keys().copied().collect();
        assert_eq!(letters, ['b', 'i', 's']);
        assert_eq!(found[&'i'], "10.0.0.1");
        assert_eq!(parse("-si0").unwrap()[&'i'], "0");
        assert_eq!(parse("-x").unwrap_err(), "tool: invalid option -- 'x'");
        assert_eq!(
            parse("-si").unwrap_err(),
            "tool: option requires an argument -- 'i'"
        );
        assert!(parse("word").is_err());
        assert!(parse("-:").is_err());
    }
}
