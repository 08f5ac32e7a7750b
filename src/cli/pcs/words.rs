//! Words of a command line: `name=value`, sections begun by a keyword, the nearest right word.

use crate::cli::exit::Failure;

/// The known word that is closest to a misspelt one, when one is close: by letters to insert, delete,
/// replace or swap with their neighbour.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_lowercase();
    let rated = known
        .into_iter()
        .map(|name| (strsim::osa_distance(&folded, &name.to_lowercase()), name));
    let (distance, name) = rated.min()?;
    // A third of the letters may be wrong, two of a short word.
    let allowed = (word.chars().count() / 3).max(2);
    (distance <= allowed && distance < name.chars().count()).then_some(name)
}

/// `: is it `NAME`?`, or nothing.
pub(in crate::cli) fn is_it<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(word, known) {
        Some(near) => format!(": is it `{near}`?"),
        None => String::new(),
    }
}

/// `name=value` of a word.
///
/// # Errors
/// There is no `=`, or nothing before it.
pub(super) fn pair(word: &str) -> Result<(String, String), Failure> {
    match word.split_once('=') {
        None => Err(Failure::usage(format!(
            "missing value of '{word}' option: write {word}=VALUE"
        ))),
        Some(("", _)) => Err(Failure::usage(format!("missing key in '{word}' option"))),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
    }
}

/// Words that are all `name=value`, none twice with different values.
///
/// # Errors
/// Anything else.
pub(super) fn pairs(words: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let mut found: Vec<(String, String)> = Vec::new();
    for word in words {
        let (name, value) = pair(word)?;
        match found.iter().find(|(n, _)| *n == name) {
            Some((_, before)) if *before != value => {
                return Err(Failure::usage(format!(
                    "duplicate option '{name}' with different values '{before}' and '{value}'"
                )));
            }
            Some(_) => {}
            None => found.push((name, value)),
        }
    }
    Ok(found)
}

/// What stands before the first keyword, and what follows each keyword, in order.
pub(super) fn sections<'a>(
    words: &'a [String],
    keywords: &[&'static str],
) -> (&'a [String], Vec<(&'static str, &'a [String])>) {
    let keyword = |word: &String| keywords.iter().copied().find(|k| k == word);
    let starts: Vec<(usize, &'static str)> = words
        .iter()
        .enumerate()
        .filter_map(|(at, word)| Some((at, keyword(word)?)))
        .collect();
    let head = &words[..starts.first().map_or(words.len(), |(at, _)| *at)];
    let ends = starts
        .iter()
        .skip(1)
        .map(|(at, _)| *at)
        .chain([words.len()]);
    let parts = starts.iter().zip(ends);
    let parts = parts.map(|((at, name), end)| (*name, &words[at + 1..end]));
    (head, parts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found() {
        let known = ["create", "delete", "disable", "config"];
        for (word, near) in [
            ("craete", Some("create")),
            ("Create", Some("create")),
            ("conf", Some("config")),
            ("dissable", Some("disable")),
            ("xyzzy", None),
        ] {
            assert_eq!(nearest(word, known), near, "{word}");
        }
    }

    #[test]
    fn sections_begin_at_their_keywords() {
        let words: Vec<String> = "a=1 op monitor op start meta x=1"
            .split(' ')
            .map(str::to_owned)
            .collect();
        let (head, parts) = sections(&words, &["op", "meta"]);
        assert_eq!(head, ["a=1"]);
        let parts: Vec<(&str, usize)> = parts.iter().map(|(k, w)| (*k, w.len())).collect();
        assert_eq!(parts, [("op", 1), ("op", 1), ("meta", 1)]);
    }
}
