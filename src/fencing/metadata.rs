//! What a fence agent says about itself. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// Parameters and actions of a fence agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentMetadata {
    /// Names of its parameters.
    pub parameters: BTreeSet<String>,
    /// Its actions with their attributes (`on_target`, `automatic`, `timeout` …).
    pub actions: BTreeMap<String, BTreeMap<String, String>>,
}

impl AgentMetadata {
    /// Reads the agent's output. Agents print warnings before the XML and break its rules inside
    /// long descriptions, so only the tags that matter are looked at. `None` = no fence agent's
    /// meta-data in it.
    #[must_use]
    pub fn parse(output: &str) -> Option<Self> {
        let at = output.find("<resource-agent")?;
        let mut found = Self::default();
        for tag in tags(&output[at..]).take(TAGS_MAX) {
            let mut attributes = attributes(tag.attributes);
            let Some(name) = attributes.remove("name") else {
                continue;
            };
            match tag.name {
                "parameter" => {
                    found.parameters.insert(name);
                }
                "action" => {
                    found.actions.insert(name, attributes);
                }
                _ => {}
            }
        }
        Some(found)
    }

    /// It has such a parameter.
    #[must_use]
    pub fn has_parameter(&self, name: &str) -> bool {
        self.parameters.contains(name)
    }

    /// It offers such an action.
    #[must_use]
    pub fn has_action(&self, name: &str) -> bool {
        self.actions.contains_key(name)
    }

    /// Nodes must be unfenced with it before they may run resources
    /// (`<action name="on" automatic="1"/>`).
    #[must_use]
    pub fn unfences(&self) -> bool {
        self.actions
            .get("on")
            .and_then(|on| on.get("automatic").or_else(|| on.get("required")))
            .is_some_and(|v| matches!(v.as_str(), "1" | "true" | "yes"))
    }
}

struct Tag<'a> {
    name: &'a str,
    attributes: &'a str,
}

fn tags(text: &str) -> impl Iterator<Item = Tag<'_>> {
    text.split('<').skip(1).filter_map(|rest| {
        let inside = &rest[..end_of_tag(rest)?];
        let inside = inside.trim_end_matches('/');
        let name_end = inside.find(char::is_whitespace).unwrap_or(inside.len());
        Some(Tag {
            name: &inside[..name_end],
            attributes: &inside[name_end..],
        })
    })
}

/// The `>` that is not inside quotes.
fn end_of_tag(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '>') => return Some(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(q), c) if q == c => quote = None,
            _ => {}
        }
    }
    None
}

fn attributes(mut text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    while let Some((name, rest)) = text.split_once('=') {
        let rest = rest.trim_start();
        let Some(quote) = rest.chars().next().filter(|c| ['"', '\''].contains(c)) else {
            break;
        };
        let Some((value, after)) = rest[1..].split_once(quote) else {
            break;
        };
        found.insert(name.trim().to_owned(), value.to_owned());
        text = after;
    }
    found
}

/// Tags looked at; the longest agents have a few hundred.
const TAGS_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_with_noise_around_it() {
        let output = r#"/usr/lib/python3: SyntaxWarning: "\d"
<?xml version="1.0" ?>
<resource-agent name="fence_x" shortdesc="a < b" >
<longdesc>Needs > 3 fingers & "care</longdesc>
<parameters>
	<parameter name="action" unique="0" required="1">
		<getopt mixed="-o, --action=[action]" />
	</parameter>
	<parameter name='plug' unique="0" obsoletes="port"/>
</parameters>
<actions>
	<action name="on" automatic="0"/>
	<action name="off" />
	<action name="list" />
	<action name="monitor" timeout="20s" />
</actions>
</resource-agent>"#;
        let found = AgentMetadata::parse(output).unwrap();
        assert!(found.has_parameter("plug"));
        assert!(!found.has_parameter("port"));
        assert!(found.has_action("list"));
        assert!(!found.has_action("reboot"));
        assert_eq!(found.actions["monitor"]["timeout"], "20s");
        assert!(!found.unfences());
    }

    #[test]
    fn what_is_no_metadata() {
        for output in ["", "error", "<html></html>", "\u{0}\u{1}<<<"] {
            assert_eq!(AgentMetadata::parse(output), None, "{output:?}");
        }
        let cut = AgentMetadata::parse("<resource-agent><parameter name=\"a").unwrap();
        assert_eq!(cut, AgentMetadata::default());
    }

    proptest::proptest! {
        #[test]
        fn any_output_is_read(text in "(<|>|/|=|\"|'| |\\PC|parameter|action|name){0,60}") {
            let found = AgentMetadata::parse(&format!("<resource-agent{text}"));
            proptest::prop_assert!(found.is_some());
        }
    }
}
