//! Bytes to element tree, strict and bounded.

mod plain;

use quick_xml::Reader;
use quick_xml::events::attributes::AttrError;
use quick_xml::events::{BytesDecl, BytesStart, Event};

use super::write::{is_space, is_xml_char};
use crate::error::{Error, Result};
use crate::tree::{Element, Text};

// What several nodes read for themselves and have to judge alike, they read within these bounds:
// other bounds are another format of whatever that is, above all of changes in the log.

/// Longest document, in bytes.
pub const DOCUMENT_MAX_BYTES: usize = 10 * 1024 * 1024;
/// Deepest nesting, in elements; the root is at 1.
pub const DEPTH_MAX: usize = 64;
/// Longest attribute value, in bytes as written.
pub const ATTR_VALUE_MAX_BYTES: usize = 64 * 1024;
/// Most attributes of one element.
pub const ATTRS_MAX: usize = 256;
/// Most elements of one document.
pub const ELEMENTS_MAX: usize = 200_000;
/// Longest character data of one element, in bytes.
pub const TEXT_MAX_BYTES: usize = 1024 * 1024;

/// Longest file that a person hands to a tool, in bytes: simulations of big clusters.
pub const FILE_MAX_BYTES: usize = 256 * 1024 * 1024;
/// Most elements of such a file.
pub const FILE_ELEMENTS_MAX: usize = 4_000_000;

/// Reads a document that came as bytes; they must be UTF-8 (a byte order mark is skipped).
///
/// # Errors
/// [`Error::Xml`] with line, column, finding and cure.
pub fn parse_bytes(bytes: &[u8]) -> Result<Element> {
    parse_utf8(bytes, parse)
}

/// As [`parse_bytes`], for a file that a person hands to a tool: it never travels, so it may be as
/// big as [`FILE_MAX_BYTES`].
///
/// # Errors
/// As [`parse_bytes`].
pub fn parse_file(bytes: &[u8]) -> Result<Element> {
    parse_utf8(bytes, |text| {
        parse_within(text, FILE_MAX_BYTES, FILE_ELEMENTS_MAX)
    })
}

fn parse_utf8(bytes: &[u8], parse: impl Fn(&str) -> Result<Element>) -> Result<Element> {
    let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(text),
        Err(e) => {
            let good = String::from_utf8_lossy(&bytes[..e.valid_up_to()]).into_owned();
            Err(refuse(
                &good,
                good.len(),
                "a byte that is not UTF-8",
                CURE_UTF8,
            ))
        }
    }
}

/// Reads one document.
///
/// # Errors
/// [`Error::Xml`] with line, column, finding and cure.
pub fn parse(text: &str) -> Result<Element> {
    parse_within(text, DOCUMENT_MAX_BYTES, ELEMENTS_MAX)
}

fn parse_within(text: &str, bytes_max: usize, elements_max: usize) -> Result<Element> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > bytes_max {
        let what = format!("the document is longer than {bytes_max} bytes");
        return Err(refuse(
            text,
            0,
            &what,
            "split it or remove what is not needed",
        ));
    }
    if let Some((at, c)) = forbidden_char(text) {
        let what = format!("character U+{:04X} is not allowed in XML", u32::from(c));
        return Err(refuse(text, at, &what, "remove it"));
    }
    match plain::parse(text, elements_max) {
        Some(root) => Ok(root),
        None => Parser::new(text, elements_max).run(),
    }
}

/// The first character that XML does not allow. Nearly every document is plain ASCII, which is
/// looked through many bytes at a time.
fn forbidden_char(text: &str) -> Option<(usize, char)> {
    // Without a branch for each byte, so that many are looked at together.
    let odd = |b: &u8| (*b < b' ') & (*b != b'\t') & (*b != b'\n') & (*b != b'\r') | (*b > 127);
    if !text.bytes().fold(false, |found, b| found | odd(&b)) {
        return None;
    }
    text.char_indices().find(|(_, c)| !is_xml_char(*c))
}

struct Parser<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    /// Open elements, the innermost last.
    open: Vec<Open>,
    root: Option<Element>,
    elements: usize,
    elements_max: usize,
    /// Byte where the event at hand starts.
    at: usize,
}

struct Open {
    element: Element,
    /// Character data since the last tag; kept only if it is more than layout.
    pending: String,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, elements_max: usize) -> Self {
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.check_end_names = true;
        config.check_comments = false;
        config.allow_dangling_amp = false;
        config.allow_unmatched_ends = false;
        config.expand_empty_elements = false;
        Self {
            text,
            reader,
            open: Vec::new(),
            root: None,
            elements: 0,
            elements_max,
            at: 0,
        }
    }

    fn run(mut self) -> Result<Element> {
        loop {
            self.at = position(self.reader.buffer_position());
            let event = match self.reader.read_event() {
                Ok(event) => event,
                Err(e) => {
                    let at = position(self.reader.error_position());
                    let what: String = e.to_string().chars().take(MESSAGE_MAX_CHARS).collect();
                    return Err(refuse(self.text, at, &what, CURE_SYNTAX));
                }
            };
            match event {
                Event::Start(tag) => self.start(&tag)?,
                Event::Empty(tag) => {
                    self.start(&tag)?;
                    self.end()?;
                }
                Event::End(_) => self.end()?,
                Event::Text(t) => self.characters(&t.xml10_content())?,
                Event::CData(t) => self.cdata(&t.xml10_content())?,
                Event::GeneralRef(r) => {
                    let c = self.reference(&r)?;
                    self.data(c.encode_utf8(&mut [0; 4]))?;
                }
                Event::Comment(_) => {}
                Event::Decl(d) => self.declaration(&d)?,
                Event::PI(_) => {
                    return Err(self.refuse("a processing instruction (<?…?>)", CURE_REMOVE));
                }
                Event::DocType(_) => {
                    return Err(self.refuse("a DOCTYPE", "remove it: the CIB uses no DTD"));
                }
                Event::Eof => return self.finish(),
            }
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>) -> Result<()> {
        if self.root.is_some() {
            return Err(self.refuse(
                "a second root element",
                "a document holds exactly one; wrap or remove the rest",
            ));
        }
        if self.open.len() >= DEPTH_MAX {
            let what = format!("elements nested deeper than {DEPTH_MAX}");
            return Err(self.refuse(&what, "flatten the document"));
        }
        self.elements += 1;
        if self.elements > self.elements_max {
            let what = format!("more than {} elements", self.elements_max);
            return Err(self.refuse(&what, "split the document"));
        }
        let name = tag.name().0.to_owned();
        if !is_name(&name) {
            let what = format!("<{}> is not an element name", shown(&name));
            return Err(self.refuse(
                &what,
                "start names with a letter; escape a literal < as &lt;",
            ));
        }
        let element = Element {
            attrs: self.attributes(tag, &name)?,
            name: name.into(),
            ..Element::default()
        };
        if let Some(parent) = self.open.last_mut() {
            parent.keep_pending();
        }
        self.open.push(Open {
            element,
            pending: String::new(),
        });
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let Some(mut done) = self.open.pop() else {
            return Err(self.refuse("an end tag without its start tag", "remove it"));
        };
        done.keep_pending();
        match self.open.last_mut() {
            Some(parent) => parent.element.children.push(done.element),
            None => self.root = Some(done.element),
        }
        Ok(())
    }

    fn attributes(&self, tag: &BytesStart<'_>, name: &str) -> Result<Vec<(Text, Text)>> {
        let mut attrs: Vec<(Text, Text)> = Vec::new();
        if !attributes_separated(tag.attributes_raw()) {
            let what = format!("no space between two attributes of <{name}>");
            return Err(self.refuse(&what, "write a space after the closing quote"));
        }
        for attr in tag.attributes() {
            let attr = attr.map_err(|e| self.bad_attribute(name, &e))?;
            let key = attr.key.0;
            if attrs.len() >= ATTRS_MAX {
                let what = format!("<{name}> has more than {ATTRS_MAX} attributes");
                return Err(self.refuse(&what, "remove what is not needed"));
            }
            if !is_name(key) {
                let what = format!("\"{}\" in <{name}> is not an attribute name", shown(key));
                return Err(self.refuse(&what, "start names with a letter"));
            }
            attrs.push((key.into(), self.attr_value(name, key, &attr.value)?.into()));
        }
        Ok(attrs)
    }

    fn attr_value(&self, element: &str, key: &str, raw: &str) -> Result<String> {
        if raw.len() > ATTR_VALUE_MAX_BYTES {
            let what = format!(
                "attribute {key} of <{element}> is longer than {ATTR_VALUE_MAX_BYTES} bytes"
            );
            return Err(self.refuse(&what, "keep long data in a file and name the file here"));
        }
        if raw.contains('<') {
            let what = format!("a bare < in attribute {key} of <{element}>");
            return Err(self.refuse(&what, "write &lt;, or close the quote before it"));
        }
        let mut out = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some(i) = rest.find(['&', '\r', '\n', '\t']) {
            out.push_str(&rest[..i]);
            rest = &rest[i..];
            if let Some(tail) = rest.strip_prefix('&') {
                let Some((reference, tail)) = tail.split_once(';') else {
                    let what = format!("a bare & in attribute {key} of <{element}>");
                    return Err(self.refuse(&what, "write &amp;"));
                };
                out.push(self.reference(reference)?);
                rest = tail;
            } else {
                // XML 1.0, 3.3.3: a line end or tab written literally reads as one space.
                out.push(' ');
                rest = rest.strip_prefix("\r\n").unwrap_or(&rest[1..]);
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Resolves what stands between `&` and `;`.
    fn reference(&self, name: &str) -> Result<char> {
        named_or_numbered(name).ok_or_else(|| {
            if name.starts_with('#') {
                let what = format!("&{}; is not a character that XML allows", shown(name));
                return self.refuse(&what, "remove it");
            }
            let what = format!("entity &{}; is not defined", shown(name));
            self.refuse(
                &what,
                "only &lt; &gt; &amp; &quot; &apos; and &#NUMBER; exist; write a literal & as &amp;",
            )
        })
    }

    fn characters(&mut self, text: &str) -> Result<()> {
        if self.open.is_empty() {
            if text.chars().all(is_space) {
                return Ok(());
            }
            return Err(self.refuse("text outside the root element", "remove it"));
        }
        self.data(text)
    }

    fn cdata(&mut self, text: &str) -> Result<()> {
        if self.open.is_empty() {
            return Err(self.refuse("CDATA outside the root element", CURE_REMOVE));
        }
        self.data(text)
    }

    fn data(&mut self, text: &str) -> Result<()> {
        let Some(open) = self.open.last_mut() else {
            return Err(self.refuse("text outside the root element", CURE_REMOVE));
        };
        open.pending.push_str(text);
        if open.element.text.len() + open.pending.len() > TEXT_MAX_BYTES {
            let what = format!("text of one element longer than {TEXT_MAX_BYTES} bytes");
            return Err(self.refuse(&what, "shorten it"));
        }
        Ok(())
    }

    fn declaration(&self, declaration: &BytesDecl<'_>) -> Result<()> {
        if self.at != 0 {
            return Err(self.refuse(
                "an XML declaration that is not at the very start",
                "remove it, or what stands before it",
            ));
        }
        let version = declaration.version();
        if !version.as_deref().is_ok_and(|v| v == "1.0") {
            return Err(self.refuse("an XML version other than 1.0", "write version=\"1.0\""));
        }
        match declaration.encoding() {
            None => Ok(()),
            Some(Ok(e)) if ["utf-8", "utf8", "us-ascii", "ascii"].contains(&lower(&e).as_str()) => {
                Ok(())
            }
            Some(_) => Err(self.refuse("an encoding other than UTF-8", CURE_UTF8)),
        }
    }

    fn finish(mut self) -> Result<Element> {
        if let Some(open) = self.open.last() {
            let what = format!("the document ends inside <{}>", open.element.name);
            return Err(self.refuse(&what, "it was cut short, or an end tag is missing"));
        }
        self.root
            .take()
            .ok_or_else(|| self.refuse("no element at all", "give an XML document"))
    }

    fn bad_attribute(&self, element: &str, e: &AttrError) -> Error {
        let (what, cure) = match e {
            AttrError::Duplicated(..) => (
                format!("an attribute of <{element}> is given twice"),
                "keep one of the two",
            ),
            AttrError::ExpectedEq(_) => (
                format!("an attribute of <{element}> has no ="),
                "write name=\"value\"",
            ),
            _ => (
                format!("an attribute value of <{element}> is not quoted properly"),
                "write name=\"value\"",
            ),
        };
        self.refuse(&what, cure)
    }

    fn refuse(&self, what: &str, cure: &str) -> Error {
        refuse(self.text, self.at, what, cure)
    }
}

/// What a reference stands for.
fn named_or_numbered(name: &str) -> Option<char> {
    let digits = match name {
        "lt" => return Some('<'),
        "gt" => return Some('>'),
        "amp" => return Some('&'),
        "quot" => return Some('"'),
        "apos" => return Some('\''),
        _ => name.strip_prefix('#')?,
    };
    let (digits, radix) = digits
        .strip_prefix('x')
        .map_or((digits, 10), |hex| (hex, 16));
    let plain = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    let number = plain.then(|| u32::from_str_radix(digits, radix).ok())??;
    char::from_u32(number).filter(|c| is_xml_char(*c))
}

impl Open {
    /// Character data up to a tag is complete: layout is dropped, data is kept as it is.
    fn keep_pending(&mut self) {
        if !self.pending.chars().all(is_space) {
            self.element.text.push_str(&self.pending);
        }
        self.pending.clear();
    }
}

/// XML 1.0 (5th edition), productions 4 to 5.
pub(crate) fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    name.len() <= NAME_MAX_BYTES
        && chars.next().is_some_and(is_name_start)
        && chars.all(|c| is_name_start(c) || is_name_rest(c))
}

fn is_name_start(c: char) -> bool {
    matches!(c, ':' | '_' | 'A'..='Z' | 'a'..='z'
        | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}'
        | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}'
        | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
}

fn is_name_rest(c: char) -> bool {
    matches!(c, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// XML wants white space between attributes; quick-xml does not insist.
fn attributes_separated(raw: &str) -> bool {
    let mut quote = None;
    let mut closed = false;
    for c in raw.chars() {
        if closed && !is_space(c) {
            return false;
        }
        closed = quote == Some(c);
        quote = match quote {
            Some(q) if q == c => None,
            None if c == '"' || c == '\'' => Some(c),
            other => other,
        };
    }
    true
}

/// As much of a wrong name as a message repeats.
fn shown(name: &str) -> String {
    name.chars().take(NAME_SHOWN_CHARS).collect()
}

fn lower(text: &str) -> String {
    text.to_ascii_lowercase()
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

fn refuse(text: &str, at: usize, what: &str, cure: &str) -> Error {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    Error::Xml {
        line: before.bytes().filter(|b| *b == b'\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        what: what.to_owned(),
        cure: cure.to_owned(),
    }
}

const BOM: &[u8] = b"\xef\xbb\xbf";
/// Longest element or attribute name, in bytes.
const NAME_MAX_BYTES: usize = 1024;
/// How much of a wrong name a message repeats, in characters.
const NAME_SHOWN_CHARS: usize = 40;
/// How much of the syntax reader's own message is kept, in characters.
const MESSAGE_MAX_CHARS: usize = 240;
const CURE_UTF8: &str = "save the file as UTF-8";
const CURE_SYNTAX: &str = "close tags in the order they were opened, and quote attribute values";
const CURE_REMOVE: &str = "remove it";

#[cfg(test)]
mod tests;
