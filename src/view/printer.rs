//! Text in nested lists, as Pacemaker's tools lay it out: with bullets, or plainly where scores
//! stand between (lib/common/output_text.c); or the same as XML.

use cib::Element;

/// Collects what a command has to say.
#[derive(Debug)]
pub(crate) struct Printer {
    form: Form,
    text: String,
    depth: usize,
    /// Elements that are open, the outermost first.
    open: Vec<Element>,
}

/// Forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// With headings, bullets and indentation.
    Fancy,
    Plain,
    Xml,
}

impl Printer {
    /// `root` is what holds everything, of XML.
    pub(crate) fn new(form: Form, root: Element) -> Self {
        Self {
            form,
            text: String::new(),
            depth: 0,
            open: vec![root],
        }
    }

    /// How much text there is, for whoever wants to know whether something came to it.
    pub(crate) fn lines(&self) -> usize {
        self.text.len()
    }

    /// Takes out the text that was collected.
    pub(crate) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// The document, of XML.
    pub(crate) fn into_xml(mut self) -> Option<Element> {
        (self.form == Form::Xml).then(|| self.open.remove(0))
    }

    /// An empty line between two parts.
    pub(crate) fn spacer(&mut self) {
        self.info("");
    }

    /// A line that stands outside of all lists; XML has none.
    pub(crate) fn info(&mut self, line: &str) {
        if self.form != Form::Xml {
            self.text.push_str(line);
            self.text.push('\n');
        }
    }

    /// An entry of the list that is open.
    pub(crate) fn item(&mut self, text: &str, xml: impl FnOnce() -> Element) {
        if self.form == Form::Xml {
            self.element(xml());
            return;
        }
        if self.form == Form::Fancy && self.depth > 0 {
            self.text.push_str(&"  ".repeat(self.depth));
            self.text.push_str("* ");
        }
        self.info(text);
    }

    /// An entry that XML tells in another way.
    pub(crate) fn text_item(&mut self, text: &str) {
        if self.form != Form::Xml {
            self.item(text, Element::default);
        }
    }

    /// Sections of the list that is open: headings that end with a colon, indented entries. Plain
    /// output has only the entries.
    pub(crate) fn sections(&mut self, text: &str) {
        for line in text.lines() {
            let entry = line.trim_start_matches(' ');
            match (self.form, entry.starts_with("* ")) {
                (Form::Fancy, true) => self.info(&format!("{}{line}", "  ".repeat(self.depth))),
                (_, true) if entry.ends_with(':') => {}
                (_, true) => self.info(entry.trim_start_matches("* ")),
                (Form::Fancy, false) if !line.is_empty() => self.item(line, Element::default),
                (_, false) if line.is_empty() => self.spacer(),
                (_, false) => {}
            }
        }
    }

    /// Something that only XML has.
    pub(crate) fn element(&mut self, element: Element) {
        if let Some(parent) = self.open.last_mut() {
            parent.children.push(element);
        }
    }

    /// A list with its heading, and what is in it.
    pub(crate) fn list(&mut self, title: &str, xml: Element, fill: impl FnOnce(&mut Self)) {
        match self.form {
            Form::Fancy => self.item(&format!("{title}:"), Element::default),
            Form::Plain => {}
            Form::Xml => self.open.push(xml),
        }
        self.depth += 1;
        fill(self);
        self.depth -= 1;
        if self.form == Form::Xml
            && let Some(done) = self.open.pop()
        {
            self.element(done);
        }
    }

    /// Lists are without headings.
    pub(crate) fn is_plain(&self) -> bool {
        self.form == Form::Plain
    }

    /// The answer is XML.
    pub(crate) fn is_xml(&self) -> bool {
        self.form == Form::Xml
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(form: Form) -> Printer {
        let mut out = Printer::new(form, Element::new("all"));
        out.info("before");
        out.list("Outer", Element::new("outer"), |out| {
            out.item("one", || Element::new("one"));
            out.list("Inner", Element::new("inner"), |out| {
                out.item("two", || Element::new("two"));
            });
        });
        out.spacer();
        out
    }

    #[test]
    fn lists_nest() {
        let fancy = "before\nOuter:\n  * one\n  * Inner:\n    * two\n\n";
        assert_eq!(written(Form::Fancy).take(), fancy);
        assert_eq!(written(Form::Plain).take(), "before\none\ntwo\n\n");
        let xml = written(Form::Xml);
        assert!(xml.text.is_empty());
        let xml = cib::xml::compact(&xml.into_xml().unwrap());
        assert_eq!(xml, "<all><outer><one/><inner><two/></inner></outer></all>");
    }
}
