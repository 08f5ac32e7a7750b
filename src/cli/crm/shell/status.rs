//! `crm status`: crm_mon's views by the names that crmsh gives them.

use super::Shell;
use crate::cli::backend;
use crate::cli::exit::Failure;
use crate::view;

impl Shell<'_> {
    pub(super) fn status(&mut self, words: &[String]) -> Result<(), Failure> {
        let mut options = view::text::Options {
            inactive: true,
            ..view::text::Options::default()
        };
        let mut form = Form::Text;
        for word in words {
            match word.as_str() {
                "bynode" => options.by_node = true,
                "failcounts" => options.failcounts = true,
                "ops" => options.operations = true,
                "timing" => options.timing = true,
                "noheaders" => options.no_headers = true,
                "brief" => options.brief = true,
                "detail" => options.detail = true,
                "full" => {
                    options.attributes = true;
                    options.operations = true;
                    options.failcounts = true;
                }
                // Inactive resources are always shown, and there are no tickets.
                "inactive" | "verbose" | "quiet" | "tickets" => {}
                "xml" => form = Form::Xml,
                "html" => form = Form::Html,
                "simple" => form = Form::Simple,
                other => {
                    return Err(Failure::usage(format!("status has no option `{other}`")));
                }
            }
        }
        let status = backend::status(&mut self.context.backend)?;
        if form == Form::Text {
            // Beside the text, which monitors parse.
            for risk in view::risks(&status) {
                self.context.console.warning(&risk);
            }
        }
        let text = match form {
            Form::Text => view::text::document(&status, options),
            Form::Xml => view::xml::document(&status, "crm_mon"),
            Form::Html => {
                let text = view::text::document(&status, options);
                view::html::document(&text, &view::html::Page::default())
            }
            Form::Simple => view::nagios::simple(&status).0 + "\n",
        };
        self.context.console.print(&text);
        Ok(())
    }
}

/// Forms of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Xml,
    Html,
    Simple,
}

/// Options of the command, for completion.
pub(in crate::cli::crm) const OPTIONS: [&str; 15] = [
    "bynode",
    "inactive",
    "ops",
    "timing",
    "failcounts",
    "verbose",
    "quiet",
    "html",
    "xml",
    "simple",
    "tickets",
    "noheaders",
    "detail",
    "brief",
    "full",
];
