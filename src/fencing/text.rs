//! Lists and maps as fence device parameters write them. Pure.

use std::collections::BTreeMap;

/// Node names separated by commas, semicolons or blanks (`pcmk_host_list`, topology's `devices`).
pub(super) fn parse_list(text: &str) -> Vec<String> {
    text.split(|c: char| c == ',' || c == ';' || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// `node1:1;node2:2,3` (`pcmk_host_map`, `pcmk_delay_base`): pairs separated by semicolons or
/// blanks, name and value by a colon or an equals sign; a backslash takes the next character as
/// it is (daemons/fenced/fenced_commands.c, `build_port_aliases`). Pairs without a value are left
/// out.
pub(super) fn parse_map(text: &str) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    let (mut name, mut word) = (None, String::new());
    let mut chars = text.chars().chain([';']);
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.extend(chars.next()),
            ':' | '=' if name.is_none() => name = Some(std::mem::take(&mut word)),
            c if c == ';' || c.is_whitespace() => {
                let value = std::mem::take(&mut word);
                if let Some(name) = name.take()
                    && !name.is_empty()
                    && !value.is_empty()
                {
                    map.insert(name, value);
                }
            }
            c => word.push(c),
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps() {
        let check = |text: &str, expect: &[(&str, &str)]| {
            let found = parse_map(text);
            let found: Vec<_> = found
                .iter()
                .map(|(a, b)| (a.as_str(), b.as_str()))
                .collect();
            assert_eq!(found, expect, "{text:?}");
        };
        check("node1:1;node2:2,3", &[("node1", "1"), ("node2", "2,3")]);
        check("node1=1 node2=2", &[("node1", "1"), ("node2", "2")]);
        check("a:uuid:with:colons", &[("a", "uuid:with:colons")]);
        check("a:two\\ words;b:x\\;y", &[("a", "two words"), ("b", "x;y")]);
        check("alone;:x;b:", &[]);
        check("", &[]);
        check("a:b\\", &[]);
    }

    #[test]
    fn lists() {
        assert_eq!(parse_list("a,b; c\td,,"), ["a", "b", "c", "d"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_map_without_empty_names(text in "\\PC{0,64}") {
            let map = parse_map(&text);
            proptest::prop_assert!(map.iter().all(|(n, v)| !n.is_empty() && !v.is_empty()));
        }

        #[test]
        fn a_written_map_is_read_again(
            map in proptest::collection::btree_map("[a-z]{1,6}", "[a-z :;=\\\\]{1,6}", 0..5)
        ) {
            let escaped = |v: &String| -> String { v.chars().flat_map(|c| ['\\', c]).collect() };
            let written: String = map.iter().map(|(n, v)| format!("{n}:{};", escaped(v))).collect();
            proptest::prop_assert_eq!(parse_map(&written), map);
        }
    }
}
