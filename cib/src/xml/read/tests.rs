use super::*;
use crate::xml::compact;

fn refusal(text: &str) -> (usize, usize, String) {
    match parse(text) {
        Err(Error::Xml {
            line, column, what, ..
        }) => (line, column, what),
        other => panic!("{text:.80}: {other:?}"),
    }
}

#[test]
fn what_is_accepted() {
    let table = [
        ("<a/>", "<a/>"),
        ("<a></a>", "<a/>"),
        ("\u{feff}<a/>", "<a/>"),
        ("<?xml version=\"1.0\"?>\n<a/>\n", "<a/>"),
        (
            "<?xml version='1.0' encoding='UTF-8' standalone='yes'?><a/>",
            "<a/>",
        ),
        (
            "<!-- x --><a><!-- -- <b> --><c/></a><!-- y -->",
            "<a><c/></a>",
        ),
        ("<a b='1'\n\tc = \"2\" />", "<a b=\"1\" c=\"2\"/>"),
        (
            "<a b=\"&lt;&gt;&amp;&quot;&apos;&#65;&#x42;\"/>",
            "<a b=\"&lt;&gt;&amp;&quot;'AB\"/>",
        ),
        ("<a b='&#10;&#9;&#xd;'/>", "<a b=\"&#x0A;&#x09;&#x0D;\"/>"),
        ("<a b='x\ny\tz\r\nw'/>", "<a b=\"x y z w\"/>"),
        ("<a>x &amp; <![CDATA[<y>]]></a>", "<a>x &amp; &lt;y&gt;</a>"),
        ("<a> <b/> \n </a>", "<a><b/></a>"),
        ("<a>x\r\ny</a>", "<a>x\ny</a>"),
        ("<rsc:a_b-c.d x:y='1'/>", "<rsc:a_b-c.d x:y=\"1\"/>"),
        ("<é ü='ß'/>", "<é ü=\"ß\"/>"),
    ];
    for (text, expected) in table {
        assert_eq!(
            parse(text).map(|e| compact(&e)),
            Ok(expected.to_owned()),
            "{text}"
        );
    }
}

#[test]
fn what_is_refused_and_where() {
    let table = [
        ("", 1, 1, "no element at all"),
        ("  \n ", 2, 2, "no element at all"),
        ("hello", 1, 1, "text outside the root element"),
        ("<a/>\nhello", 1, 5, "text outside the root element"),
        ("<a/><b/>", 1, 5, "a second root element"),
        ("<a>\n <b>\n</a>", 3, 1, "expected `</b>`"),
        ("<a>\n <b>", 2, 5, "the document ends inside <b>"),
        ("</a>", 1, 1, "does not match any open tag"),
        ("<a b=\"1\" b=\"2\"/>", 1, 1, "given twice"),
        ("<a b/>", 1, 1, "has no ="),
        ("<a b=1/>", 1, 1, "not quoted"),
        ("<a b=\"1/>", 1, 1, "not closed"),
        (
            "<a b=\"1\"c=\"2\"/>",
            1,
            1,
            "no space between two attributes",
        ),
        ("<a b='<'/>", 1, 1, "a bare < in attribute b of <a>"),
        ("<a b='x & y'/>", 1, 1, "a bare & in attribute b of <a>"),
        ("<a>x & y</a>", 1, 6, "reference not closed"),
        ("<a b='&nbsp;'/>", 1, 1, "entity &nbsp; is not defined"),
        ("<a>\n&xxe;</a>", 2, 1, "entity &xxe; is not defined"),
        (
            "<a b='&#0;'/>",
            1,
            1,
            "&#0; is not a character that XML allows",
        ),
        ("<a b='&#xD800;'/>", 1, 1, "&#xD800; is not a character"),
        ("<a b='&#+65;'/>", 1, 1, "&#+65; is not a character"),
        ("<a b='&#;'/>", 1, 1, "&#; is not a character"),
        ("<a b='&#99999999999;'/>", 1, 1, "is not a character"),
        ("<a>\u{1}</a>", 1, 4, "character U+0001 is not allowed"),
        ("<a>\u{ffff}</a>", 1, 4, "character U+FFFF is not allowed"),
        ("<?php x?><a/>", 1, 1, "a processing instruction"),
        ("<a><?x y?></a>", 1, 4, "a processing instruction"),
        (
            "<a><?xml version='1.0'?></a>",
            1,
            4,
            "an XML declaration that is not at the very start",
        ),
        (
            " <?xml version='1.0'?><a/>",
            1,
            2,
            "an XML declaration that is not at the very start",
        ),
        (
            "<?xml version='1.1'?><a/>",
            1,
            1,
            "an XML version other than 1.0",
        ),
        (
            "<?xml version='1.0' encoding='latin1'?><a/>",
            1,
            1,
            "an encoding other than UTF-8",
        ),
        ("<!DOCTYPE cib><a/>", 1, 1, "a DOCTYPE"),
        ("<1a/>", 1, 1, "<1a> is not an element name"),
        (
            "<a 1b='x'/>",
            1,
            1,
            "\"1b\" in <a> is not an attribute name",
        ),
        ("< a/>", 1, 1, "is not an element name"),
        ("<![CDATA[x]]><a/>", 1, 1, "CDATA outside the root element"),
        ("<é><ü></é>", 1, 7, "expected `</ü>`"),
    ];
    for (text, line, column, part) in table {
        let found = refusal(text);
        assert_eq!((found.0, found.1), (line, column), "{text}: {}", found.2);
        assert!(found.2.contains(part), "{text}: {}", found.2);
    }
}

#[test]
fn every_refusal_has_place_and_cure() {
    let text = parse("<cib>\n  <a x='&bad;'/>\n</cib>")
        .unwrap_err()
        .to_string();
    assert_eq!(
        text,
        "line 2, column 3: entity &bad; is not defined; only &lt; &gt; &amp; &quot; &apos; and \
         &#NUMBER; exist; write a literal & as &amp;"
    );
}

#[test]
fn billion_laughs_stops_at_the_doctype() {
    let mut text = "<!DOCTYPE lolz [<!ENTITY lol \"lol\">".to_owned();
    for i in 1..10 {
        let inner = format!("&lol{};", i - 1).repeat(10);
        text.push_str(&format!("<!ENTITY lol{i} \"{inner}\">"));
    }
    text.push_str("]><cib>&lol9;</cib>");
    assert_eq!(refusal(&text).2, "a DOCTYPE");
    let external = "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/shadow\">]><a>&x;</a>";
    assert_eq!(refusal(external).2, "a DOCTYPE");
}

#[test]
fn depth_is_bounded() {
    let nested = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
    assert!(parse(&nested(DEPTH_MAX)).is_ok());
    assert_eq!(
        refusal(&nested(DEPTH_MAX + 1)).2,
        "elements nested deeper than 64"
    );
    assert_eq!(
        refusal(&"<a>".repeat(1_000_000)).2,
        "elements nested deeper than 64"
    );
}

#[test]
fn sizes_are_bounded() {
    let value = |n: usize| format!("<a b=\"{}\"/>", "x".repeat(n));
    assert!(parse(&value(ATTR_VALUE_MAX_BYTES)).is_ok());
    assert!(
        refusal(&value(ATTR_VALUE_MAX_BYTES + 1))
            .2
            .contains("longer than 65536 bytes")
    );

    let attrs = |n: usize| {
        let list: String = (0..n).map(|i| format!(" a{i}='1'")).collect();
        format!("<a{list}/>")
    };
    assert!(parse(&attrs(ATTRS_MAX)).is_ok());
    assert!(
        refusal(&attrs(ATTRS_MAX + 1))
            .2
            .contains("more than 256 attributes")
    );

    let elements = |n: usize| format!("<a>{}</a>", "<b/>".repeat(n - 1));
    assert!(parse(&elements(ELEMENTS_MAX)).is_ok());
    assert!(
        refusal(&elements(ELEMENTS_MAX + 1))
            .2
            .contains("more than 200000 elements")
    );

    let text = |n: usize| format!("<a>{}</a>", "x".repeat(n));
    assert!(parse(&text(TEXT_MAX_BYTES)).is_ok());
    assert!(
        refusal(&text(TEXT_MAX_BYTES + 1))
            .2
            .contains("longer than 1048576 bytes")
    );

    let name = format!("<{}/>", "a".repeat(2000));
    assert!(refusal(&name).2.contains("is not an element name"));
    let long = format!("<a>{}</a>", " ".repeat(DOCUMENT_MAX_BYTES));
    assert!(refusal(&long).2.contains("longer than 10485760 bytes"));
}

#[test]
fn bytes_must_be_utf8() {
    assert_eq!(parse_bytes(b"\xef\xbb\xbf<a/>"), Ok(Element::new("a")));
    let Err(Error::Xml {
        line, column, what, ..
    }) = parse_bytes(b"<a>\n\xc3\xa9\xff</a>")
    else {
        panic!("accepted");
    };
    assert_eq!(
        (line, column, what.as_str()),
        (2, 2, "a byte that is not UTF-8")
    );
    assert!(parse_bytes(b"\xff\xfe<\0a\0/\0>\0").is_err());
}

#[test]
fn a_long_wrong_name_is_not_repeated_in_full() {
    let text = parse(&format!("<a b='&{};'/>", "x".repeat(5000)))
        .unwrap_err()
        .to_string();
    assert!(text.len() < 300, "{}", text.len());
    let text = parse(&format!("<1{}/>", "x".repeat(5000)))
        .unwrap_err()
        .to_string();
    assert!(text.len() < 300, "{}", text.len());
    let text = parse(&format!("<{}></b>", "x".repeat(1000)))
        .unwrap_err()
        .to_string();
    assert!(text.len() < 400, "{}", text.len());
}

/// Documents as programs write them, with one change: either reader says the same.
#[test]
fn plain_documents_are_read_alike() {
    let document = "<?xml version=\"1.0\"?>\n<cib a=\"1\" b-c=\"x &lt; &#65; y\">\n <d e=\"\"/><f:g \
                    h=\"'ü'\" ><i/>\n\t</f:g>\r\n<!-- j --><k>l</k></cib> \n";
    let plain = document.replace("<!-- j --><k>l</k>", "");
    assert!(plain::parse(&plain, 100).is_some());
    assert!(plain::parse(document, 100).is_none());
    let pieces = [
        "",
        "<",
        ">",
        "/",
        "\"",
        "'",
        "&",
        ";",
        "=",
        " ",
        "\n",
        "a",
        "1",
        "-",
        "<a/>",
        "</a>",
        "&#0;",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<?",
        "?>",
        "&amp;",
        "x=\"1\"",
        "é",
    ];
    for at in (0..plain.len()).filter(|at| plain.is_char_boundary(*at)) {
        for piece in pieces {
            for skip in [0, 1, 2] {
                let Some(rest) = plain.get(at + skip..) else {
                    continue;
                };
                let text = format!("{}{piece}{rest}", &plain[..at]);
                if let Some(root) = plain::parse(&text, 100) {
                    assert_eq!(Parser::new(&text, 100).run(), Ok(root), "{text}");
                }
            }
        }
    }
}

#[test]
fn plain_documents_have_the_same_bounds() {
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    let wide = |count: usize| format!("<a>{}</a>", "<b/>".repeat(count - 1));
    let attrs = |count: usize| {
        let attrs: String = (0..count).map(|n| format!(" a{n}=\"\"")).collect();
        format!("<a{attrs}/>")
    };
    let long = |bytes: usize| format!("<a b=\"{}\"/>", "x".repeat(bytes));
    for text in [
        nested(DEPTH_MAX - 1),
        wide(100),
        attrs(ATTRS_MAX),
        long(ATTR_VALUE_MAX_BYTES),
    ] {
        let full = Parser::new(&text, 100).run();
        assert_eq!(plain::parse(&text, 100), full.ok());
    }
    for text in [
        nested(DEPTH_MAX + 1),
        wide(101),
        attrs(ATTRS_MAX + 1),
        long(ATTR_VALUE_MAX_BYTES + 1),
        format!("<{}/>", "a".repeat(NAME_MAX_BYTES + 1)),
    ] {
        assert_eq!(plain::parse(&text, 100), None);
        assert!(Parser::new(&text, 100).run().is_err());
    }
}
