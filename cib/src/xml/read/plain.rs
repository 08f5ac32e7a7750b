//! The plain documents that programs write, read in one go: elements, attributes in double
//! quotes, white space between tags. Whatever else stands in a document, and whatever is wrong
//! with it, is left to the full reader, which alone accepts it or says what it is.

use super::{ATTR_VALUE_MAX_BYTES, ATTRS_MAX, DEPTH_MAX, NAME_MAX_BYTES, named_or_numbered};
use crate::tree::{Element, Text};

/// The document's root; `None` = not so plain. What is answered is what the full reader answers.
/// The characters have been looked at before.
pub(super) fn parse(text: &str, elements_max: usize) -> Option<Element> {
    let mut plain = Plain {
        text,
        bytes: text.as_bytes(),
        at: 0,
        elements_left: elements_max,
        attrs: Vec::new(),
    };
    plain.skip_declaration()?;
    plain.skip_space();
    let root = plain.element()?;
    plain.skip_space();
    (plain.at == plain.bytes.len()).then_some(root)
}

struct Plain<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    elements_left: usize,
    /// Of the element at hand, so that its own list is made in the right size: names, values as
    /// they stand, and whether these mean just that.
    attrs: Vec<(&'a str, &'a str, bool)>,
}

impl<'a> Plain<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    fn skip_declaration(&mut self) -> Option<()> {
        if !self.text.starts_with("<?") {
            return Some(());
        }
        let known = DECLARATIONS.iter().find(|d| self.text.starts_with(**d))?;
        self.at = known.len();
        Some(())
    }

    /// The root with all that is in it. A loop, not a recursion: the nesting is a document's own.
    fn element(&mut self) -> Option<Element> {
        let mut open: Vec<Element> = Vec::new();
        loop {
            let (element, empty) = self.start_tag()?;
            if empty {
                let Some(parent) = open.last_mut() else {
                    return Some(element);
                };
                parent.children.push(element);
            } else {
                open.push(element);
            }
            if open.len() >= DEPTH_MAX {
                return None;
            }
            self.skip_space();
            while self.bytes.get(self.at..self.at + 2)? == b"</" {
                self.at += 2;
                let mut done = open.pop()?;
                let name = self.name()?;
                self.skip_space();
                self.take(b'>')?;
                if name != done.name {
                    return None;
                }
                done.children.shrink_to_fit();
                let Some(parent) = open.last_mut() else {
                    return Some(done);
                };
                parent.children.push(done);
                self.skip_space();
            }
        }
    }

    /// The element that begins here, and whether it ends here, too.
    fn start_tag(&mut self) -> Option<(Element, bool)> {
        self.take(b'<')?;
        self.elements_left = self.elements_left.checked_sub(1)?;
        let name = self.name()?;
        self.attrs.clear();
        let empty = loop {
            let before = self.at;
            self.skip_space();
            match self.peek()? {
                b'>' => break false,
                b'/' => {
                    self.at += 1;
                    break true;
                }
                _ if self.at == before || self.attrs.len() >= ATTRS_MAX => return None,
                _ => self.attribute()?,
            }
        };
        self.take(b'>')?;
        let mut attrs = Vec::with_capacity(self.attrs.len());
        for (name, raw, is_literal) in &self.attrs {
            let value = match is_literal {
                true => (*raw).into(),
                false => value(raw)?,
            };
            attrs.push(((*name).into(), value));
        }
        let element = Element {
            name: name.into(),
            attrs,
            ..Element::default()
        };
        Some((element, empty))
    }

    fn attribute(&mut self) -> Option<()> {
        let name = self.name()?;
        self.take(b'=')?;
        self.take(b'"')?;
        let rest = self.bytes.get(self.at..)?;
        let mut length = rest.iter().position(|b| is(*b, SPECIAL))?;
        let is_literal = rest[length] == b'"';
        if !is_literal {
            length = rest.iter().position(|b| matches!(b, b'"' | b'<'))?;
        }
        let raw = self.text.get(self.at..self.at + length)?;
        self.at += length;
        self.take(b'"')?;
        let given = self.attrs.iter().any(|(other, ..)| *other == name);
        if given || length > ATTR_VALUE_MAX_BYTES {
            return None;
        }
        self.attrs.push((name, raw, is_literal));
        Some(())
    }

    /// A name of ASCII characters.
    fn name(&mut self) -> Option<&'a str> {
        let rest = self.bytes.get(self.at..)?;
        let length = rest.iter().position(|b| !is(*b, IN_NAME))?;
        let begins = rest.first().is_some_and(|b| is(*b, BEGINS_NAME));
        if !begins || length > NAME_MAX_BYTES {
            return None;
        }
        let name = self.text.get(self.at..self.at + length)?;
        self.at += length;
        Some(name)
    }
}

/// What an attribute's value means that has references in it.
fn value(raw: &str) -> Option<Text> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find(['&', '\t', '\n', '\r']) {
        out.push_str(rest.get(..at)?);
        let tail = rest.get(at..)?.strip_prefix('&')?;
        let (reference, tail) = tail.split_once(';')?;
        out.push(named_or_numbered(reference)?);
        rest = tail;
    }
    out.push_str(rest);
    Some(out.into())
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether a byte is of a class; each one of a document is asked for, most of them once.
fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

const BEGINS_NAME: u8 = 1;
const IN_NAME: u8 = 1 << 1;
/// Ends an attribute's value, or means something else in it.
const SPECIAL: u8 = 1 << 2;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut at = 0_u8;
    loop {
        classes[at as usize] = match at {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b':' => BEGINS_NAME | IN_NAME,
            b'0'..=b'9' | b'-' | b'.' => IN_NAME,
            b'"' | b'<' | b'&' | b'\t' | b'\n' | b'\r' => SPECIAL,
            _ => 0,
        };
        if at == u8::MAX {
            break classes;
        }
        at += 1;
    }
};

/// Declarations that need no thought.
const DECLARATIONS: [&str; 4] = [
    "<?xml version=\"1.0\"?>",
    "<?xml version=\"1.0\" ?>",
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>",
];
