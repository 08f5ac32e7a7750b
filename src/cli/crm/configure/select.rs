//! Which objects `show`, `edit` and `save` are about: names with wildcards, kinds, tags, relatives
//! (crmsh's filters).

use super::show::{Object, objects};
use crate::cli::exit::Failure;
use crate::cli::pcs::is_it;
use cib::{Cib, Element};
use regex_lite::Regex;

/// The objects that these words choose, in the order of `show`; all of them where there is no
/// word. `base` is what the edit began with.
///
/// # Errors
/// A name that nothing has, a kind that there is not.
pub(super) fn select<'a>(
    cib: &'a Cib,
    base: Option<&Cib>,
    words: &[String],
) -> Result<Vec<Object<'a>>, Failure> {
    let all = objects(cib);
    if words.is_empty() {
        return Ok(all);
    }
    let mut chosen = vec![false; all.len()];
    let mut before: Option<Vec<bool>> = None;
    for word in words {
        match word.as_str() {
            "or" => continue,
            "and" => {
                before = Some(std::mem::replace(&mut chosen, vec![false; all.len()]));
                continue;
            }
            _ => {}
        }
        let fits = fitting(&all, base, word)?;
        for (mine, new) in chosen.iter_mut().zip(fits) {
            *mine |= new;
        }
        if let Some(before) = before.take() {
            for (mine, old) in chosen.iter_mut().zip(before) {
                *mine &= old;
            }
        }
    }
    let kept = all.into_iter().zip(chosen).filter(|(_, kept)| *kept);
    Ok(kept.map(|(object, _)| object).collect())
}

/// For each object, whether the word means it.
fn fitting(all: &[Object<'_>], base: Option<&Cib>, word: &str) -> Result<Vec<bool>, Failure> {
    if word == "changed" {
        let before = base.map(objects).unwrap_or_default();
        let is_new = |o: &Object<'_>| !before.iter().any(|b| b.id == o.id && b.text == o.text);
        return Ok(all.iter().map(is_new).collect());
    }
    if let Some(kind) = word.strip_prefix("type:") {
        if !KINDS.contains(&kind) {
            return Err(Failure::usage(format!(
                "type:{kind}: there is no such kind of object{}; there are {}",
                is_it(kind, KINDS),
                KINDS.join(", ")
            )));
        }
        return Ok(all.iter().map(|o| o.kind == kind).collect());
    }
    if let Some(name) = word.strip_prefix("tag:") {
        let tags = all.iter().filter(|o| o.kind == "tag" && o.id == name);
        let tagged: Vec<&str> = tags.filter_map(|t| t.element).flat_map(inside).collect();
        return Ok(all
            .iter()
            .map(|o| tagged.contains(&o.id.as_str()))
            .collect());
    }
    if let Some(name) = word.strip_prefix("related:") {
        return Ok(all.iter().map(|o| is_related(o, name)).collect());
    }
    let pattern = glob(word);
    let named: Vec<bool> = all.iter().map(|o| is_called(o, &pattern)).collect();
    match named.contains(&true) {
        true => Ok(named),
        false => Err(Failure::no_such(format!("object {word} does not exist"))),
    }
}

/// By its name; a node by its number, too.
fn is_called(object: &Object<'_>, pattern: &Pattern<'_>) -> bool {
    let number = object.element.filter(|_| object.kind == "node");
    let number = number.and_then(Element::id);
    pattern.fits(&object.id) || number.is_some_and(|n| pattern.fits(n))
}

/// It has that name, is of that agent, or is about one that has the name.
fn is_related(object: &Object<'_>, name: &str) -> bool {
    let Some(element) = object.element else {
        return false;
    };
    let agent = |parts: &[&str]| {
        let parts = parts.iter().map(|part| element.attr(part));
        let parts: Vec<&str> = parts.flatten().collect();
        parts.join(":") == name
    };
    let by_agent = ["class", "provider", "type"];
    is_called(object, &glob(name))
        || inside(element).contains(&name)
        || cib::config::referenced(element).contains(&name)
        || (element.attr("type").is_some()
            && (agent(&by_agent) || agent(&["class", "type"]) || agent(&["type"])))
}

/// Ids of what a container or a tag holds.
fn inside(element: &Element) -> Vec<&str> {
    let holds = ["primitive", "group", "obj_ref"];
    let children = element.children.iter();
    let children = children.filter(|c| holds.contains(&c.name.as_str()));
    children.filter_map(|c| c.id()).collect()
}

/// Values of the pairs whose names fit give way to stars.
pub(super) fn obscured(cib: &Cib, patterns: &[&str]) -> Result<Cib, Failure> {
    let patterns: Vec<Pattern<'_>> = patterns.iter().map(|p| glob(p)).collect();
    let mut root = cib.root().clone();
    obscure(&mut root, &patterns);
    Ok(Cib::from_element(root)?)
}

fn obscure(element: &mut Element, patterns: &[Pattern<'_>]) {
    let name = element.attr("name").unwrap_or_default();
    let secret = patterns.iter().any(|p| p.fits(name));
    if element.name == "nvpair" && secret && element.attr("value").is_some() {
        element.set("value", "******");
    }
    let children = element.children.iter_mut();
    children.for_each(|child| obscure(child, patterns));
}

/// A name, or a pattern of the shell: `*`, `?`, `[a-z]`, `[!a-z]`.
struct Pattern<'w> {
    word: &'w str,
    regex: Option<Regex>,
}

impl Pattern<'_> {
    fn fits(&self, name: &str) -> bool {
        name == self.word || self.regex.as_ref().is_some_and(|r| r.is_match(name))
    }
}

fn glob(word: &str) -> Pattern<'_> {
    // What is no pattern after all is a name.
    let regex = Regex::new(&expression(word)).ok();
    Pattern { word, regex }
}

fn expression(pattern: &str) -> String {
    let mut text = String::from("^");
    let mut rest = pattern.chars();
    while let Some(letter) = rest.next() {
        let set = match letter {
            '[' => rest.as_str().find(']').filter(|end| *end > 0),
            _ => None,
        };
        match (letter, set) {
            ('*', _) => text.push_str(".*"),
            ('?', _) => text.push('.'),
            (_, Some(end)) => {
                let (inner, after) = rest.as_str().split_at(end);
                let (no, inner) = match inner.strip_prefix('!').filter(|i| !i.is_empty()) {
                    Some(inner) => ("^", inner),
                    None => ("", inner),
                };
                let plain = inner.replace('\\', "\\\\").replace('[', "\\[");
                text.push_str(&format!("[{no}{}]", plain.replace('^', "\\^")));
                rest = after.get(1..).unwrap_or_default().chars();
            }
            (letter, None) => text.push_str(&regex_lite::escape(&letter.to_string())),
        }
    }
    text.push('$');
    text
}

/// Words behind `type:`.
const KINDS: [&str; 20] = [
    "node",
    "rsc_template",
    "primitive",
    "group",
    "ms",
    "clone",
    "bundle",
    "location",
    "colocation",
    "order",
    "rsc_ticket",
    "property",
    "rsc_defaults",
    "op_defaults",
    "fencing_topology",
    "role",
    "acl_target",
    "acl_group",
    "tag",
    "alert",
];

#[cfg(test)]
mod tests {
    use super::*;

    const CIB: &str = r#"<cib><configuration><crm_config><cluster_property_set id="opts"><nvpair id="o1" name="maintenance-mode" value="false"/></cluster_property_set></crm_config><nodes><node id="1" uname="node1"/></nodes><resources><primitive id="web1" class="ocf" provider="heartbeat" type="Dummy"><instance_attributes id="w"><nvpair id="w1" name="passwd" value="tiger"/><nvpair id="w2" name="ip" value="10.0.0.1"/></instance_attributes></primitive><primitive id="web2" class="systemd" type="nginx"/><group id="g"><primitive id="db" class="ocf" provider="heartbeat" type="Dummy"/></group></resources><constraints><rsc_colocation id="with" rsc="web1" with-rsc="db" score="5"/><rsc_location id="there" rsc="g" node="node1" score="5"/></constraints><tags><tag id="t"><obj_ref id="web2"/></tag></tags></configuration></cib>"#;

    fn ids(words: &str) -> String {
        let cib = Cib::parse(CIB).unwrap();
        let mut base = cib.clone();
        cib::edit::set_property(&mut base, "maintenance-mode", Some("true"));
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        match select(&cib, Some(&base), &words) {
            Ok(found) => {
                let ids: Vec<String> = found.into_iter().map(|o| o.id).collect();
                ids.join(" ")
            }
            Err(failure) => failure.text,
        }
    }

    #[test]
    fn objects_are_chosen_as_crmsh_chooses_them() {
        for (words, chosen) in [
            ("", "node1 db web1 web2 g there with opts t"),
            ("web*", "web1 web2"),
            ("web[!1]", "web2"),
            ("[dg]", "g"),
            ("node? 1", "node1"),
            ("type:primitive", "db web1 web2"),
            ("type:primitive and web*", "web1 web2"),
            ("type:group or web1", "web1 g"),
            ("type:node and web*", ""),
            ("tag:t", "web2"),
            ("tag:nothing", ""),
            ("related:db", "db g with"),
            ("related:web2", "web2 t"),
            ("related:Dummy", "db web1"),
            ("related:systemd:nginx", "web2"),
            ("related:nothing", ""),
            ("changed", "opts"),
            ("nothing*", "object nothing* does not exist"),
            ("web1 wob", "object wob does not exist"),
            ("we.1", "object we.1 does not exist"),
        ] {
            assert_eq!(ids(words), chosen, "{words}");
        }
        let told = ids("type:primitiv");
        assert!(told.contains("is it `primitive`?"), "{told}");
    }

    #[test]
    fn values_that_nobody_shall_read_are_stars() {
        let cib = obscured(&Cib::parse(CIB).unwrap(), &["pass*"]).unwrap();
        let text = cib.to_xml();
        assert!(
            text.contains("******") && text.contains("10.0.0.1"),
            "{text}"
        );
        assert!(!text.contains("tiger"), "{text}");
    }

    #[test]
    fn every_text_is_a_pattern() {
        for odd in [
            "[", "[]", "[!]", "a[b", "[z-a]", "[\\]", "[^a]", "(", "*[", "[[]",
        ] {
            assert!(glob(odd).fits(odd), "{odd}");
        }
    }
}
