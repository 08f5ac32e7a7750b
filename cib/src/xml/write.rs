//! Element tree to bytes; the same tree gives the same bytes, always.

use crate::tree::Element;

/// One line, no white space between elements: the form for digests, disk and wire.
#[must_use]
pub fn compact(element: &Element) -> String {
    let mut out = String::new();
    write_compact(element, &mut out);
    out
}

/// Two spaces per level and a final newline: the form `cibadmin --query` and libxml2 print.
/// Elements with character data keep their content on one line, so that reading gives it back.
#[must_use]
pub fn format(element: &Element) -> String {
    format_at(element, 0)
}

/// As [`format()`], indented by `level` levels.
#[must_use]
pub fn format_at(element: &Element, level: usize) -> String {
    let mut out = String::new();
    write_formatted(element, level, &mut out);
    out
}

/// An attribute value as it stands between double quotes (Pacemaker lib/common/xml.c,
/// `pcmk__xml_escape`): `< > & "` as entities, control characters as `&#xHH;`. Characters that XML
/// cannot carry at all (an agent's binary rubbish) become U+FFFD, so that what is written can
/// always be read.
#[must_use]
pub fn escape_attr(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    push_attr(value, &mut out);
    out
}

/// Whether XML 1.0 allows the character in a document (XML 1.0, production 2).
pub(crate) fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

fn write_compact(element: &Element, out: &mut String) {
    push_open(element, out);
    if is_leaf(element) {
        out.push_str("/>");
        return;
    }
    out.push('>');
    push_text(&element.text, out);
    for child in &element.children {
        write_compact(child, out);
    }
    push_close(element, out);
}

fn write_formatted(element: &Element, level: usize, out: &mut String) {
    push_indent(level, out);
    if has_text(element) {
        write_compact(element, out);
        out.push('\n');
        return;
    }
    push_open(element, out);
    if element.children.is_empty() {
        out.push_str("/>\n");
        return;
    }
    out.push_str(">\n");
    for child in &element.children {
        write_formatted(child, level + 1, out);
    }
    push_indent(level, out);
    push_close(element, out);
    out.push('\n');
}

/// White space alone is layout, not data: the reader drops it, so the writer does too.
fn has_text(element: &Element) -> bool {
    element.text.chars().any(|c| !is_space(c))
}

fn is_leaf(element: &Element) -> bool {
    element.children.is_empty() && !has_text(element)
}

/// White space of XML 1.0 (production 3), which is less than Unicode's.
pub(crate) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn push_indent(level: usize, out: &mut String) {
    for _ in 0..level {
        out.push_str("  ");
    }
}

fn push_open(element: &Element, out: &mut String) {
    out.push('<');
    out.push_str(&element.name);
    for (name, value) in &element.attrs {
        out.push(' ');
        out.push_str(name);
        out.push_str("=\"");
        push_attr(value, out);
        out.push('"');
    }
}

fn push_close(element: &Element, out: &mut String) {
    out.push_str("</");
    out.push_str(&element.name);
    out.push('>');
}

fn push_attr(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#x09;"),
            '\n' => out.push_str("&#x0A;"),
            _ => push_common(c, out),
        }
    }
}

fn push_text(text: &str, out: &mut String) {
    if text.chars().all(is_space) {
        return;
    }
    for c in text.chars() {
        push_common(c, out);
    }
}

fn push_common(c: char, out: &mut String) {
    match c {
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '&' => out.push_str("&amp;"),
        '\r' => out.push_str("&#x0D;"),
        '\u{7F}' => out.push_str("&#x7F;"),
        c if is_xml_char(c) => out.push(c),
        _ => out.push(char::REPLACEMENT_CHARACTER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Element {
        Element::new("primitive")
            .with("id", "vip")
            .with("class", "ocf")
            .child(
                Element::new("instance_attributes")
                    .with("id", "vip-instance_attributes")
                    .child(
                        Element::new("nvpair")
                            .with("id", "x")
                            .with("name", "ip")
                            .with("value", "a<b>&\"c' \n\t\r\u{7f}é"),
                    ),
            )
            .child(Element::new("operations"))
    }

    #[test]
    fn formatted_as_cibadmin_prints_it() {
        assert_eq!(
            format(&sample()),
            "<primitive id=\"vip\" class=\"ocf\">\n  \
               <instance_attributes id=\"vip-instance_attributes\">\n    \
                 <nvpair id=\"x\" name=\"ip\" \
                  value=\"a&lt;b&gt;&amp;&quot;c' &#x0A;&#x09;&#x0D;&#x7F;é\"/>\n  \
               </instance_attributes>\n  \
               <operations/>\n\
             </primitive>\n"
        );
    }

    #[test]
    fn compact_has_no_layout() {
        let e = Element::new("a")
            .child(Element::new("b").with("c", "d"))
            .child(Element::new("e"));
        assert_eq!(compact(&e), "<a><b c=\"d\"/><e/></a>");
    }

    #[test]
    fn text_stays_on_its_line_and_layout_is_not_text() {
        let mut long = Element::new("longdesc");
        long.text = "two\nlines & more".into();
        let mut e = Element::new("a").child(long);
        e.text = " \n ".into();
        assert_eq!(
            format(&e),
            "<a>\n  <longdesc>two\nlines &amp; more</longdesc>\n</a>\n"
        );
    }

    #[test]
    fn what_xml_cannot_carry_is_replaced() {
        assert_eq!(
            escape_attr("a\u{0}b\u{1b}c\u{fffe}"),
            "a\u{fffd}b\u{fffd}c\u{fffd}"
        );
    }
}
