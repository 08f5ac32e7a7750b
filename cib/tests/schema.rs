//! The grammar of configurations against Pacemaker's own schemas, where they are installed with
//! something that reads them: what theirs refuse, ours refuses, and nothing else.
//!
//! `PCMK_schema_directory` names the directory, `MAINSTAY_SCHEMA_MUTANTS` how many damaged
//! configurations are compared.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use cib::check::{Finding, Severity, conforms, verify};
use cib::{Cib, Element};

const WHOLE: &str = include_str!("schema/whole.xml");

#[test]
fn a_configuration_with_everything_conforms() {
    assert_eq!(conforms(&Cib::parse(WHOLE).unwrap()), []);
}

#[test]
fn damaged_configurations_are_refused_as_pacemakers_schemas_refuse_them() {
    let directory = std::env::var_os("PCMK_schema_directory")
        .map_or_else(|| PathBuf::from("/usr/share/pacemaker"), PathBuf::from);
    let schema = directory.join("pacemaker-3.9.rng");
    if !schema.exists() || Command::new("xmllint").arg("--version").output().is_err() {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: there are no schemas of Pacemaker, or no xmllint"
        );
        return;
    }
    let count = std::env::var("MAINSTAY_SCHEMA_MUTANTS").ok();
    let count = count.and_then(|n| n.parse().ok()).unwrap_or(600);
    let directory = std::env::temp_dir().join(format!("mainstay-schema-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let whole = Cib::parse(WHOLE).unwrap();
    let words = Words::of(whole.root());
    let mut differ = Vec::new();
    for first in (0..count).step_by(BATCH) {
        let batch: Vec<u64> = (first..count.min(first + BATCH as u64)).collect();
        let texts: Vec<String> = batch
            .iter()
            .map(|seed| damaged(&whole, &words, *seed).to_xml())
            .collect();
        let valid = validated(&schema, &directory, &texts);
        for ((seed, text), valid) in batch.iter().zip(&texts).zip(valid) {
            let cib = Cib::parse(text).unwrap();
            // What refers to nothing, and ids that repeat, are refused by theirs too, and by other
            // checks here. Those look further than a schema can.
            let (shape, all) = (errors(conforms(&cib)), errors(verify(&cib)));
            if (valid && !shape.is_empty()) || (!valid && all.is_empty()) {
                let changed = change(&whole.to_xml(), text);
                differ.push(format!(
                    "seed {seed}: theirs {valid}, ours {shape:?}\n{changed}"
                ));
            }
        }
    }
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(
        differ.is_empty(),
        "{} of {count} differ:\n{}",
        differ.len(),
        differ.join("\n")
    );
}

fn errors(findings: Vec<Finding>) -> Vec<String> {
    let errors = findings
        .into_iter()
        .filter(|f| f.severity == Severity::Error);
    errors.map(|f| f.to_string()).collect()
}

/// Which of these texts the schema takes.
fn validated(schema: &Path, directory: &Path, texts: &[String]) -> Vec<bool> {
    let files: Vec<PathBuf> = (0..texts.len())
        .map(|i| directory.join(format!("{i}.xml")))
        .collect();
    for (file, text) in files.iter().zip(texts) {
        std::fs::write(file, text).unwrap();
    }
    let mut command = Command::new("xmllint");
    command.arg("--noout").arg("--relaxng").arg(schema);
    let output = command.args(&files).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let valid = |file: &PathBuf| {
        let line = |verdict: &str| said.contains(&format!("{} {verdict}\n", file.display()));
        assert!(line("validates") || line("fails to validate"), "{said}");
        line("validates")
    };
    files.iter().map(valid).collect()
}

/// Lines that are in one text only.
fn change(a: &str, b: &str) -> String {
    let only = |sign: char, a: &str, b: &str| -> String {
        let b: Vec<&str> = b.lines().collect();
        let lines = a.lines().filter(|line| !b.contains(line));
        lines.map(|line| format!("{sign}{line}\n")).collect()
    };
    only('-', a, b) + &only('+', b, a)
}

/// What a damaged configuration is made of: everything that some element has, somewhere.
struct Words {
    names: Vec<String>,
    values: Vec<String>,
    elements: Vec<Element>,
}

impl Words {
    fn of(root: &Element) -> Self {
        let mut words = Self {
            names: vec!["colour".to_owned()],
            values: [
                "", "1st", "a b", "Master", "yes", "-7", "infinity", "0", "é", "a:b",
            ]
            .map(str::to_owned)
            .to_vec(),
            elements: vec![Element::new("box")],
        };
        words.collect(root);
        words
    }

    fn collect(&mut self, element: &Element) {
        for (name, value) in &element.attrs {
            self.names.push(name.to_string());
            self.values.push(value.to_string());
        }
        for child in &element.children {
            self.elements.push(child.clone());
            self.collect(child);
        }
    }
}

/// A configuration with one to three faults, the same for the same seed.
fn damaged(whole: &Cib, words: &Words, seed: u64) -> Cib {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut root = whole.root().clone();
    for _ in 0..=dice.below(3) {
        let configuration = root.first_mut("configuration").unwrap();
        let sections = configuration.children.len();
        let section = &mut configuration.children[dice.below(sections)];
        let count = size(section);
        let mut at = dice.below(count);
        damage(nth(section, &mut at).unwrap(), words, &mut dice);
    }
    Cib::from_element(root).unwrap()
}

fn damage(element: &mut Element, words: &Words, dice: &mut Dice) {
    let attrs = element.attrs.len();
    let children = element.children.len();
    match dice.below(6) {
        0 if attrs > 0 => drop(element.attrs.remove(dice.below(attrs))),
        1 if attrs > 0 => {
            let name = element.attrs[dice.below(attrs)].0.clone();
            element.set(&name, &words.values[dice.below(words.values.len())]);
        }
        2 => {
            let name = &words.names[dice.below(words.names.len())];
            element.set(name, &words.values[dice.below(words.values.len())]);
        }
        3 if children > 0 => drop(element.children.remove(dice.below(children))),
        4 if children > 0 => {
            let child = element.children[dice.below(children)].clone();
            element.children.push(child);
        }
        _ => {
            let child = words.elements[dice.below(words.elements.len())].clone();
            element.children.push(child);
        }
    }
}

fn size(element: &Element) -> usize {
    1 + element.children.iter().map(size).sum::<usize>()
}

fn nth<'a>(element: &'a mut Element, at: &mut usize) -> Option<&'a mut Element> {
    if *at == 0 {
        return Some(element);
    }
    *at -= 1;
    for child in &mut element.children {
        let below = size(child);
        if *at < below {
            return nth(child, at);
        }
        *at -= below;
    }
    None
}

/// Numbers that look drawn (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }
}

/// Files for one call of xmllint.
const BATCH: usize = 100;
