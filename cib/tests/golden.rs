//! The formatted form, byte for byte: what people see in files, diffs and `cibadmin --query`.

use cib::{Cib, check, digest, xml};

const FORMATTED: &str = include_str!("golden/two-nodes.xml");
const COMPACT: &str = include_str!("golden/two-nodes.compact.xml");

#[test]
fn a_cib_prints_as_it_always_did() {
    let from_compact = xml::parse(COMPACT).unwrap();
    assert_eq!(xml::format(&from_compact), FORMATTED);
    let from_formatted = xml::parse(FORMATTED).unwrap();
    assert_eq!(format!("{}\n", xml::compact(&from_formatted)), COMPACT);
}

#[test]
fn its_digests_stay() {
    let tree = xml::parse(FORMATTED).unwrap();
    assert_eq!(digest::on_disk(&tree), "db21642ca67569df3e6ac6a8c50834f9");
    assert_eq!(digest::full(&tree), "f8f8fac85ed6dc571f6f81b47ec50ac4");
    assert_eq!(digest::cib(&tree), "2e5766b01d1090db47a9e67f8032c0b1");
}

#[test]
fn it_is_sound() {
    assert_eq!(check::verify(&Cib::parse(FORMATTED).unwrap()), []);
}
