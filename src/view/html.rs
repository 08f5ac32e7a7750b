//! The status as a page for browsers: the text's headings and bullets as headings and lists.

use std::fmt::Write as _;

/// How the page is dressed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page<'a> {
    /// Its title.
    pub title: &'a str,
    /// Address of a style sheet beside the built-in one.
    pub stylesheet: Option<&'a str>,
    /// Seconds after which a browser shall load it again.
    pub refresh_s: Option<u64>,
    /// With the header that a web server wants of a CGI program.
    pub cgi: bool,
}

/// The page of a text as [`super::text::document`] makes it.
#[must_use]
pub fn document(text: &str, page: &Page<'_>) -> String {
    let mut out = String::new();
    if page.cgi {
        out.push_str("Content-Type: text/html\n\n");
    }
    out.push_str("<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n");
    if let Some(seconds) = page.refresh_s {
        let _ = writeln!(out, "<meta http-equiv=\"refresh\" content=\"{seconds}\">");
    }
    let _ = writeln!(out, "<title>{}</title>", escaped(page.title));
    let _ = writeln!(out, "<style>{STYLE}</style>");
    if let Some(address) = page.stylesheet {
        let _ = writeln!(
            out,
            "<link rel=\"stylesheet\" href=\"{}\">",
            escaped(address)
        );
    }
    out.push_str("</head>\n<body>\n");
    let mut depth = 0;
    for line in text.lines() {
        let spaces = line.len() - line.trim_start_matches(' ').len();
        match line.trim_start().strip_prefix("* ") {
            Some(item) => {
                go_to(&mut out, &mut depth, spaces / 2);
                let _ = writeln!(out, "<li{}>{}", class(item), escaped(item));
            }
            None => {
                go_to(&mut out, &mut depth, 0);
                push_plain(&mut out, line);
            }
        }
    }
    go_to(&mut out, &mut depth, 0);
    out.push_str("</body>\n</html>\n");
    out
}

fn push_plain(out: &mut String, line: &str) {
    if line.trim().is_empty() {
        return;
    }
    let _ = match line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
        Some(heading) => writeln!(out, "<h2>{}</h2>", escaped(heading)),
        None => writeln!(out, "<p class=\"maint\">{}</p>", escaped(line.trim())),
    };
}

/// Opens and closes lists until the depth is right. An item ends where the next one begins.
fn go_to(out: &mut String, depth: &mut usize, wanted: usize) {
    while *depth < wanted {
        out.push_str("<ul>\n");
        *depth += 1;
    }
    while *depth > wanted {
        out.push_str("</ul>\n");
        *depth -= 1;
    }
}

/// What a glance shall find.
fn class(item: &str) -> &'static str {
    let bad = [
        "OFFLINE",
        "UNCLEAN",
        "FAILED",
        "returned '",
        "could not be executed",
    ];
    let warn = [
        "standby",
        "maintenance",
        "(disabled)",
        "(unmanaged)",
        "Stopped",
    ];
    if bad.iter().any(|w| item.contains(w)) {
        return " class=\"bad\"";
    }
    match warn.iter().any(|w| item.contains(w)) {
        true => " class=\"warn\"",
        false => "",
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = ".bad { color: red; font-weight: bold } .warn { color: orange } .maint { color: blue; font-weight: bold }";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_and_bullets_become_headings_and_lists() {
        let text = "Node List:\n  * Online: [ a ]\n  * OFFLINE: [ b ]\n\nActive Resources:\n  * Resource Group: g:\n    * x\t(ocf:p:t):\t Started <a>\n";
        let page = Page {
            title: "A & B",
            refresh_s: Some(5),
            ..Page::default()
        };
        let html = document(text, &page);
        assert!(html.contains("<title>A &amp; B</title>"), "{html}");
        assert!(html.contains("content=\"5\""));
        assert!(
            html.contains("<h2>Node List</h2>\n<ul>\n<li>Online: [ a ]\n<li class=\"bad\">OFFLINE: [ b ]\n</ul>\n"),
            "{html}"
        );
        assert!(
            html.contains("<ul>\n<li>Resource Group: g:\n<ul>\n<li>x\t(ocf:p:t):\t Started &lt;a&gt;\n</ul>\n</ul>\n"),
            "{html}"
        );
        assert!(!html.starts_with("Content-Type"));
        assert!(
            document(
                "",
                &Page {
                    cgi: true,
                    ..Page::default()
                }
            )
            .starts_with("Content-Type: text/html\n\n<!DOCTYPE")
        );
    }
}
