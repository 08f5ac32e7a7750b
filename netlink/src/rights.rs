//! Rights for tests: without root, a test runs once more in a user namespace of its own.

use std::process::{Command, Stdio};

/// Runs the calling test in a user namespace, or prints why it is skipped; the caller then ends.
///
/// # Panics
/// When the test fails in there.
pub(crate) fn elsewhere(test: &str, why: &str) {
    let skip = |reason: &str| println!("SKIPPED {test}: {why}; {reason}");
    if std::env::var_os(INSIDE).is_some() {
        return skip("a user namespace does not help");
    }
    let thread = std::thread::current();
    let Some(path) = thread.name().filter(|name| name.contains("::")) else {
        return skip("no user namespace is tried with a single test thread");
    };
    let within = |program: &std::ffi::OsStr| {
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--net"])
            .arg(program)
            .stdin(Stdio::null());
        command
    };
    let probe = within("true".as_ref()).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        return skip("unshare(1) is absent or this kernel refuses user namespaces");
    }
    let program = std::env::current_exe().expect("a test program has a path");
    let output = within(program.as_os_str())
        .args([path, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare(1) was there a moment ago");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "in a user namespace:\n{text}\n{errors}"
    );
    assert!(text.contains("1 passed"), "{path} was not found:\n{text}");
    print!("{text}");
}

/// Set for the test inside.
const INSIDE: &str = "MAINSTAY_TEST_IN_USER_NAMESPACE";
