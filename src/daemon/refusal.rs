//! Why the daemon did not start.

/// An exit code and what to tell.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: u8,
    pub(super) text: String,
}

/// A refusal in words.
pub(super) fn refuse(code: u8, text: impl ToString) -> Refusal {
    Refusal {
        code,
        text: text.to_string(),
    }
}

// sysexits(3) as CRM_EX uses them.

/// The command line cannot be understood.
pub(super) const EX_USAGE: u8 = 64;
/// A port or another thing of the machine is taken.
pub(super) const EX_UNAVAILABLE: u8 = 69;
/// The system refused something.
pub(super) const EX_OSERR: u8 = 71;
/// A file cannot be made or written.
pub(super) const EX_CANTCREAT: u8 = 73;
/// The authkey cannot be read, or others can.
pub(super) const EX_NOPERM: u8 = 77;
/// corosync.conf is absent or wrong.
pub(super) const EX_CONFIG: u8 = 78;
