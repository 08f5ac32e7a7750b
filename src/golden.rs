//! Expected texts in files; `MAINSTAY_BLESS=1` writes them anew: look at them.

use std::path::Path;

/// Compares a text with the file's, line by line.
pub(crate) fn compare(path: &Path, found: &str) {
    if std::env::var_os("MAINSTAY_BLESS").is_some() {
        std::fs::write(path, found).unwrap();
    }
    let expected =
        std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "{}, line {}", path.display(), number + 1);
    }
    let counts = (found.lines().count(), expected.lines().count());
    assert_eq!(counts.0, counts.1, "lines of {}", path.display());
}
