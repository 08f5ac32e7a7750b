//! A patch as `<diff format="2">` and back.

use std::fmt;

use super::{AttrChange, Change, Patch, Path, Step};
use crate::error::{Error, Result};
use crate::tree::Element;
use crate::version::Version;

/// See [`Patch::to_xml`].
pub(super) fn write(patch: &Patch) -> Element {
    let mut diff = Element::new("diff").with("format", FORMAT);
    if let Some(digest) = &patch.digest {
        diff.set("digest", digest);
    }
    if patch.source.is_some() || patch.target.is_some() {
        let mut version = Element::new("version");
        for (tag, value) in [("source", patch.source), ("target", patch.target)] {
            let Some(value) = value else { continue };
            let mut element = Element::new(tag);
            value.write_to(&mut element);
            version.children.push(element);
        }
        diff.children.push(version);
    }
    diff.children.extend(patch.changes.iter().map(write_change));
    diff
}

fn write_change(change: &Change) -> Element {
    let mut xml = Element::new("change")
        .with("operation", change.operation())
        .with("path", &change.path().to_string());
    match change {
        Change::Create {
            position, element, ..
        } => {
            xml.set("position", &position.to_string());
            xml.children.push(element.clone());
        }
        Change::Move { position, .. } => xml.set("position", &position.to_string()),
        Change::Modify { attrs, result, .. } => {
            let mut list = Element::new("change-list");
            list.children = attrs.iter().map(write_attr).collect();
            xml.children.push(list);
            xml.children
                .push(Element::new("change-result").child(result.clone()));
        }
        Change::Delete { .. } => {}
    }
    xml
}

fn write_attr(attr: &AttrChange) -> Element {
    let xml = Element::new("change-attr").with("name", &attr.name);
    match &attr.value {
        Some(value) => xml.with("operation", "set").with("value", value),
        None => xml.with("operation", "unset"),
    }
}

/// See [`Patch::from_xml`].
pub(super) fn read(diff: &Element) -> Result<Patch> {
    if diff.name != "diff" {
        return Err(syntax(format!("it is a <{}>, not a <diff>", diff.name)));
    }
    if diff.attr("format") != Some(FORMAT) {
        return Err(syntax(format!(
            "format=\"{}\", only format=\"{FORMAT}\" is supported",
            diff.attr("format").unwrap_or("1")
        )));
    }
    let version = |tag: &str| -> Result<Option<Version>> {
        let element = diff.first("version").and_then(|v| v.first(tag));
        element.map(Version::of).transpose()
    };
    let changes = diff
        .all("change")
        .enumerate()
        .map(|(i, c)| read_change(c).map_err(|what| syntax(format!("change {}: {what}", i + 1))))
        .collect::<Result<Vec<Change>>>()?;
    Ok(Patch {
        source: version("source")?,
        target: version("target")?,
        digest: diff.attr("digest").map(str::to_owned),
        changes,
    })
}

fn read_change(xml: &Element) -> std::result::Result<Change, String> {
    let text = xml.attr("path").ok_or("no path")?;
    let path =
        Path::parse(text).ok_or_else(|| format!("path \"{text}\" is not /tag[@id='…']/…"))?;
    match xml.attr("operation").ok_or("no operation")? {
        "delete" => Ok(Change::Delete { path }),
        "move" => Ok(Change::Move {
            path,
            position: position(xml)?,
        }),
        "create" => Ok(Change::Create {
            path,
            position: position(xml)?,
            element: xml.children.first().cloned().ok_or("nothing to create")?,
        }),
        "modify" => read_modify(xml, path),
        other => Err(format!(
            "operation \"{other}\" is not create, modify, delete or move"
        )),
    }
}

fn read_modify(xml: &Element, path: Path) -> std::result::Result<Change, String> {
    let result = xml
        .first("change-result")
        .and_then(|r| r.children.first())
        .ok_or("no change-result")?;
    let mut attrs = Vec::new();
    for attr in xml
        .first("change-list")
        .into_iter()
        .flat_map(|l| l.all("change-attr"))
    {
        attrs.push(AttrChange {
            name: attr
                .attr("name")
                .ok_or("change-attr without name")?
                .to_owned(),
            value: match attr.attr("operation") {
                Some("unset") => None,
                _ => Some(attr.attr("value").unwrap_or_default().to_owned()),
            },
        });
    }
    Ok(Change::Modify {
        path,
        attrs,
        result: Element {
            children: Vec::new(),
            ..result.clone()
        },
    })
}

/// As Pacemaker: an absent or unreadable position is 0.
fn position(xml: &Element) -> std::result::Result<usize, String> {
    let text = xml.attr("position").unwrap_or("0");
    text.parse()
        .map_err(|_| format!("position \"{text}\" is not a number"))
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.0 {
            write!(f, "/{}", step.tag)?;
            if let Some(id) = &step.id {
                let quote = if id.contains('\'') { '"' } else { '\'' };
                write!(f, "[@id={quote}{id}{quote}]")?;
            }
        }
        Ok(())
    }
}

impl Path {
    /// Reads what [`Path`] displays; `None` when it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            rest = rest.strip_prefix('/')?;
            let end = rest.find(['/', '[']).unwrap_or(rest.len());
            let (tag, tail) = rest.split_at(end);
            if tag.is_empty() {
                return None;
            }
            rest = tail;
            let mut id = None;
            if let Some(tail) = rest.strip_prefix("[@id=") {
                let quote = tail.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
                let (value, tail) = tail[1..].split_once(quote)?;
                id = Some(value.to_owned());
                rest = tail.strip_prefix(']')?;
            }
            steps.push(Step {
                tag: tag.to_owned(),
                id,
            });
        }
        (!steps.is_empty()).then_some(Self(steps))
    }
}

fn syntax(what: String) -> Error {
    Error::PatchSyntax(what)
}

/// The only format Pacemaker still writes.
const FORMAT: &str = "2";
