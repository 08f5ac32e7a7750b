//! What was recorded of format 1: every later release has to answer alike, or nodes of two releases
//! have two configurations.

use super::*;
use std::path::Path;

/// Where the answers are.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded/changes-v1.txt");

/// One paragraph of the file: words and what stands behind them.
struct Paragraph<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Paragraph<'a> {
    fn read(text: &'a str) -> Self {
        let lines = text.lines().filter(|l| !l.starts_with('#'));
        Self(
            lines
                .map(|l| l.split_once(' ').unwrap_or((l, "")))
                .collect(),
        )
    }

    fn get(&self, word: &str) -> Option<&'a str> {
        let mut lines = self.0.iter();
        lines
            .find(|(first, _)| *first == word)
            .map(|(_, rest)| *rest)
    }

    /// The change that people read.
    fn change(&self) -> LoggedChange {
        let edit = match (self.get("patch"), self.get("whole")) {
            (Some(xml), None) => Edit::Patch(xml.to_owned()),
            (None, Some(xml)) => Edit::Configuration(xml.to_owned()),
            _ => panic!("neither a patch nor a whole: {:?}", self.0),
        };
        let base = self.get("base").map(|base| {
            let (admin_epoch, epoch) = base.split_once('.').unwrap();
            (admin_epoch.parse().unwrap(), epoch.parse().unwrap())
        });
        LoggedChange {
            format: 1,
            at: 1_700_000_000,
            origin: "n1".to_owned(),
            client: "crm".to_owned(),
            user: "root".to_owned(),
            base,
            edit,
        }
    }
}

/// A node that has this configuration.
fn replica(cib: &str) -> Replica {
    Replica {
        cib: Cib::parse(cib).unwrap(),
        ballot: ballot(1),
        ..Replica::default()
    }
}

/// What an entry of the log makes of a configuration.
fn answer(cib: &str, record: &str) -> String {
    let digits = record.as_bytes().chunks(2);
    let byte = |d: &[u8]| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap();
    let mut replica = replica(cib);
    let applied = replica.apply(&app(1, 1, 1, digits.map(byte).collect()));
    let (_, outcome) = applied.outcome.unwrap();
    let now = replica.cib().to_compact();
    match outcome {
        Ok(version) => {
            assert_eq!(version, replica.cib().version());
            format!("gives {now}")
        }
        Err(rejection) => {
            assert_eq!(now, cib, "refused, and changed all the same: {rejection}");
            "refused".to_owned()
        }
    }
}

#[test]
fn a_change_of_format_1_is_applied_as_ever() {
    let text = std::fs::read_to_string(RECORDED).unwrap();
    let records_anew = std::env::var_os("MAINSTAY_BLESS").is_some();
    let (mut cib, mut cases, mut whole) = ("", 0, String::new());
    for text in text.split("\n\n") {
        let paragraph = Paragraph::read(text);
        let mut lacks = String::new();
        if let Some(given) = paragraph.get("configuration") {
            cib = given;
        } else if let Some(name) = paragraph.get("case") {
            cases += 1;
            let change = paragraph.change();
            let written: String = change.encode().iter().map(|b| format!("{b:02x}")).collect();
            let record = paragraph.get("record").unwrap_or(&written);
            assert_eq!(record, written, "{name}: what the record says");
            let now = answer(cib, record);
            let gives = paragraph.get("gives").map(|cib| format!("gives {cib}"));
            let refused = paragraph.get("refused").map(|_| "refused".to_owned());
            match gives.or(refused) {
                Some(then) => assert_eq!(now, then, "{name}"),
                None => lacks = format!("\nrecord {record}\n{now}"),
            }
            assert!(lacks.is_empty() || records_anew, "{name}: not recorded yet");
        }
        whole += &format!("{}{lacks}\n\n", text.trim_end());
    }
    assert!(cases > 0);
    if records_anew {
        std::fs::write(Path::new(RECORDED), whole.trim_end().to_owned() + "\n").unwrap();
    }
}

/// The reader's bounds decide what can be applied, so they are of the format, too.
#[test]
fn what_cannot_be_read_back_is_not_applied() {
    let nested = |depth: usize| {
        let inner = "<x>".repeat(depth) + &"</x>".repeat(depth);
        Edit::Configuration(format!("<configuration>{inner}</configuration>"))
    };
    // The root and the configuration are two more.
    let deep = |depth| LoggedChange::own(0, "n", nested(depth));
    let named = |bytes: usize| LoggedChange {
        client: "<".repeat(bytes / 4),
        ..deep(1)
    };
    let applied = |change: LoggedChange| {
        let mut replica = Replica::default();
        let applied = replica.apply(&app(1, 1, 1, change.encode()));
        (applied.outcome.unwrap().1, replica)
    };
    for (good, bad) in [(deep(62), deep(63)), (named(64 << 10), named(65 << 10))] {
        let (outcome, replica) = applied(good);
        assert!(outcome.is_ok(), "{outcome:?}");
        assert!(Replica::restore(&replica.snapshot().unwrap()).is_ok());
        let (outcome, _) = applied(bad);
        assert_eq!(outcome.unwrap_err().kind, RejectionKind::Invalid);
    }
}
