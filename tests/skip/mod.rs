//! What a test says that cannot run here; shared by every test program.

/// Says that a test does not run here. Where `MAINSTAY_NO_SKIP` is set to anything, as in CI, that
/// is a failure.
pub(crate) fn skip(test: &str, why: &str) {
    let must_run = std::env::var_os("MAINSTAY_NO_SKIP").is_some_and(|v| !v.is_empty());
    assert!(
        !must_run,
        "{test} may not be skipped (MAINSTAY_NO_SKIP is set), but {why}"
    );
    eprintln!("{test}: skipped, {why}");
}
