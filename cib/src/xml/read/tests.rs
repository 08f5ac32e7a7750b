use super::*;

#[test]
fn smoke() {
    let e = parse("<a b=\"c\"><d/>text</a>").unwrap();
    assert_eq!(e.text, "text");
}
