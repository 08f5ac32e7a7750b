//! Whom a command asks: the local daemon, or a CIB in a file (`CIB_file`), which answers the same
//! requests as far as a file can.

mod daemon;
mod file;
mod lazy;
pub(crate) mod shadow;

pub(crate) use daemon::Daemon;
pub(crate) use file::CibFile;
pub(crate) use lazy::Lazy;

use super::exit::{Exit, Failure};
use crate::ipc::{Change, Edit, ErrorKind, Request, Response};
use crate::paths::Paths;
use crate::view::Status;
use cib::{Cib, Patch};

/// Answers requests.
pub(crate) trait Backend {
    /// Asks and waits for the answer; [`Response::Error`] is an answer.
    ///
    /// # Errors
    /// [`Failure`] with [`Exit::Disconnect`] when nobody answers.
    fn call(&mut self, request: &Request) -> Result<Response, Failure>;

    /// A running cluster, not a file.
    fn live(&self) -> bool;
}

/// The daemon, or what `CIB_shadow` or `CIB_file` names.
///
/// # Errors
/// [`Exit::Disconnect`] when the daemon is down, [`Exit::NoInput`] for an unreadable file,
/// [`Exit::NoSuch`] when there is no such shadow.
pub(crate) fn open() -> Result<Box<dyn Backend>, Failure> {
    match shadow::active() {
        Some(name) => Ok(Box::new(CibFile::open(shadow::existing(&name)?)?)),
        None => open_original(),
    }
}

/// As [`open`], but for shadows: what a shadow is made of, and what it is carried over to.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_original() -> Result<Box<dyn Backend>, Failure> {
    match std::env::var_os(CIB_FILE_ENV) {
        Some(path) if !path.is_empty() => Ok(Box::new(CibFile::open(path.into())?)),
        _ => Ok(Box::new(Daemon::connect(&Paths::from_env())?)),
    }
}

/// Asks; an error of the daemon is a failure.
///
/// # Errors
/// As [`Backend::call`], and every [`Response::Error`].
pub(crate) fn ask(backend: &mut dyn Backend, request: &Request) -> Result<Response, Failure> {
    match backend.call(request)? {
        Response::Error { kind, text } => Err(Failure::new(Exit::from(kind), text)),
        response => Ok(response),
    }
}

/// Asks for something that is answered with a sentence.
///
/// # Errors
/// As [`ask`].
pub(crate) fn ask_done(backend: &mut dyn Backend, request: &Request) -> Result<String, Failure> {
    match ask(backend, request)? {
        Response::Done { text } => Ok(text),
        _ => Err(unexpected()),
    }
}

/// The CIB, with or without its status.
///
/// # Errors
/// As [`ask`].
pub(crate) fn cib(backend: &mut dyn Backend, status: bool) -> Result<Cib, Failure> {
    Ok(Cib::parse(&cib_text(backend, status)?)?)
}

/// The CIB as text, formatted.
///
/// # Errors
/// As [`ask`].
pub(crate) fn cib_text(backend: &mut dyn Backend, status: bool) -> Result<String, Failure> {
    match ask(backend, &Request::Cib { status })? {
        Response::Cib { xml } => Ok(xml),
        _ => Err(unexpected()),
    }
}

/// The status.
///
/// # Errors
/// As [`ask`].
pub(crate) fn status(backend: &mut dyn Backend) -> Result<Status, Failure> {
    match ask(backend, &Request::Status)? {
        Response::Status(status) => Ok(*status),
        _ => Err(unexpected()),
    }
}

/// The scheduler's plan.
///
/// # Errors
/// As [`ask`].
pub(crate) fn plan(backend: &mut dyn Backend) -> Result<scheduler::Plan, Failure> {
    match ask(backend, &Request::Plan)? {
        Response::Plan(plan) => Ok(*plan),
        _ => Err(unexpected()),
    }
}

/// The local node's name.
///
/// # Errors
/// As [`ask`].
pub(crate) fn local_node(backend: &mut dyn Backend) -> Result<String, Failure> {
    if backend.live() {
        return Ok(status(backend)?.local_node);
    }
    Ok(host_name())
}

/// This machine's name, as `uname -n`.
#[must_use]
pub(crate) fn host_name() -> String {
    nix::sys::utsname::uname()
        .map(|u| u.nodename().to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// What a committed change had for an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Committed {
    /// Something really changed.
    pub changed: bool,
    /// The daemon's remarks.
    pub warnings: Vec<String>,
}

/// Changes the configuration by an edit function, which may be called again on a newer
/// configuration when somebody else was faster.
///
/// # Errors
/// The edit's own failure; otherwise as [`ask`].
pub(crate) fn edit<T>(
    backend: &mut dyn Backend,
    client: &str,
    mut change: impl FnMut(&mut Cib) -> Result<T, Failure>,
) -> Result<(T, Committed), Failure> {
    for attempt in 1.. {
        let old = cib(backend, false)?;
        let mut new = old.clone();
        let value = change(&mut new)?;
        match put(backend, client, &old, &new) {
            Err(failure) if failure.exit == Exit::Old && attempt < ATTEMPTS_MAX => {}
            Err(failure) => return Err(failure),
            Ok(mut committed) => {
                committed.warnings.extend(new_warnings(&old, &new));
                return Ok((value, committed));
            }
        }
    }
    Err(unexpected())
}

/// What the check has to say about a change that was made: what it brought, not what stood there.
fn new_warnings(old: &Cib, new: &Cib) -> Vec<String> {
    let brought = cib::check::added(old, cib::check::verify(new));
    brought.iter().map(ToString::to_string).collect()
}

/// Carries the difference of two configurations over to the cluster. Where somebody else was
/// faster, the same difference is applied to what they left.
///
/// # Errors
/// As [`ask`]; [`Exit::Old`] when the two changes do not fit together.
pub(crate) fn merge(
    backend: &mut dyn Backend,
    client: &str,
    old: &Cib,
    new: &Cib,
) -> Result<Committed, Failure> {
    let patch = Patch::between(old.root(), new.root())?;
    let (mut from, mut to) = (old.clone(), new.clone());
    for attempt in 1.. {
        match put(backend, client, &from, &to) {
            Err(failure) if failure.exit == Exit::Old && attempt < ATTEMPTS_MAX => {}
            result => return result,
        }
        from = cib(backend, false)?;
        let mut root = patch
            .apply_unversioned(from.root())
            .map_err(|e| met_another(&e, old, &from, new))?;
        cib::edit::join_twins(&mut root);
        to = Cib::from_element(root)?;
        cib::check::check_ids(to.root()).map_err(|e| met_another(&e, old, &from, new))?;
    }
    Err(unexpected())
}

/// What the others changed, and what was not changed: nobody has to remember either.
fn met_another(error: &cib::Error, base: &Cib, theirs: &Cib, ours: &Cib) -> Failure {
    let text = format!(
        "somebody else changed the configuration meanwhile, and both changes do not fit together: {error}; nothing was changed, look at it again and repeat yours"
    );
    Failure {
        cure: Some(format!(
            "What they changed:\n{}What you wanted:\n{}",
            difference(base, theirs),
            difference(base, ours)
        )),
        ..Failure::new(Exit::Old, text)
    }
}

/// Two configurations, compared as `crm configure show` prints them.
pub(crate) fn difference(old: &Cib, new: &Cib) -> String {
    let text = |cib: &Cib| super::crm::configuration_text(cib).unwrap_or_else(|_| cib.to_xml());
    super::diff::unified(&text(old), &text(new))
}

fn put(
    backend: &mut dyn Backend,
    client: &str,
    old: &Cib,
    new: &Cib,
) -> Result<Committed, Failure> {
    if old == new {
        return Ok(Committed::default());
    }
    let patch = Patch::between(old.root(), new.root())?;
    let version = old.version();
    let change = Change {
        op: operation_id()?,
        base: Some((version.admin_epoch, version.epoch)),
        edit: Edit::Patch(cib::xml::compact(&patch.to_xml())),
        client: client.to_owned(),
        user: user_name(),
    };
    match send(backend, change)? {
        Response::Changed { warnings, .. } => Ok(Committed {
            changed: true,
            warnings,
        }),
        Response::Error { kind, text } => Err(Failure::new(Exit::from(kind), text)),
        _ => Err(unexpected()),
    }
}

/// Sends a change; one whose answer is in doubt is asked for until it is known, or the patience
/// ends.
fn send(backend: &mut dyn Backend, change: Change) -> Result<Response, Failure> {
    let op = change.op;
    let mut last = backend.call(&Request::Change(change));
    for _ in 0..OUTCOME_QUESTIONS_MAX {
        match &last {
            Ok(Response::Error { kind, .. }) if *kind == ErrorKind::InDoubt => {}
            Err(failure) if failure.exit == Exit::Protocol => {}
            _ => break,
        }
        std::thread::sleep(OUTCOME_PAUSE);
        match backend.call(&Request::Outcome { op }) {
            Ok(Response::Error { .. }) | Err(_) => {}
            known => last = known,
        }
    }
    last
}

/// Sixteen random bytes that name a change.
fn operation_id() -> Result<[u8; 16], Failure> {
    let mut op = [0; 16];
    getrandom::fill(&mut op).map_err(|e| {
        Failure::new(
            Exit::Error,
            format!("the kernel gives no random bytes: {e}"),
        )
    })?;
    Ok(op)
}

/// The calling user's name, or number. Who may do everything may say for whom it is done
/// (`CIB_user`; Pacemaker lib/cib/cib_utils.c, `cib_common_callback`).
fn user_name() -> String {
    let uid = nix::unistd::geteuid();
    let own = match uid.is_root() {
        // To be told so takes as long as a tenth of the whole change.
        true => "root".to_owned(),
        false => match nix::unistd::User::from_uid(uid) {
            Ok(Some(user)) => user.name,
            _ => uid.to_string(),
        },
    };
    match std::env::var(CIB_USER_ENV) {
        Ok(user) if !user.is_empty() && (uid.is_root() || own == "hacluster") => user,
        _ => own,
    }
}

/// Seconds since the epoch.
pub(crate) fn now_s() -> i64 {
    file::now_s()
}

pub(crate) fn unexpected() -> Failure {
    Failure::new(
        Exit::Protocol,
        "the daemon answered something else than was asked: after an upgrade, restart mainstayd",
    )
}

/// Environment variable that names a CIB in a file to work on instead of the cluster.
pub(crate) const CIB_FILE_ENV: &str = "CIB_file";
/// Environment variable that names the user for whom root or hacluster changes something.
const CIB_USER_ENV: &str = "CIB_user";
/// How often a change is made again because somebody else was faster.
const ATTEMPTS_MAX: u32 = 8;
/// How often the outcome of a change in doubt is asked for.
const OUTCOME_QUESTIONS_MAX: u32 = 10;
/// Pause between two of these questions.
const OUTCOME_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use cib::edit::set_property;

    /// A CIB that somebody else changes just before each of our first changes.
    struct Racing {
        file: CibFile,
        races: u32,
        steal: fn(&mut Cib, u32),
    }

    impl Backend for Racing {
        fn call(&mut self, request: &Request) -> Result<Response, Failure> {
            if matches!(request, Request::Change(_)) && self.races > 0 {
                self.races -= 1;
                let old = cib(&mut self.file, false)?;
                let mut new = old.clone();
                (self.steal)(&mut new, self.races);
                put(&mut self.file, "other", &old, &new)?;
            }
            self.file.call(request)
        }

        fn live(&self) -> bool {
            false
        }
    }

    fn racing(races: u32, steal: fn(&mut Cib, u32)) -> Racing {
        Racing {
            file: CibFile::in_memory(Cib::empty()),
            races,
            steal,
        }
    }

    fn set_theirs(cib: &mut Cib, n: u32) {
        set_property(cib, &format!("theirs-{n}"), Some("1"));
    }

    fn names(backend: &Racing) -> Vec<String> {
        let config = cib::config::Config::new(backend.file.cib());
        config
            .properties()
            .keys()
            .map(|k| (*k).to_owned())
            .collect()
    }

    #[test]
    fn an_edit_is_made_again_on_what_others_left() {
        let mut backend = racing(2, set_theirs);
        let (changed, committed) = edit(&mut backend, "crm", |cib| {
            Ok(set_property(cib, "ours", Some("1")))
        })
        .unwrap();
        assert!(changed && committed.changed);
        assert_eq!(names(&backend), ["ours", "theirs-0", "theirs-1"]);
    }

    #[test]
    fn a_session_is_merged_with_what_others_left() {
        let mut backend = racing(1, set_theirs);
        let old = cib(&mut backend, false).unwrap();
        let mut new = old.clone();
        cib::edit::ensure_node(&mut new, "7", "node7");
        merge(&mut backend, "crm", &old, &new).unwrap();
        assert_eq!(names(&backend), ["theirs-0"]);
        assert!(
            cib::config::Config::new(backend.file.cib())
                .node("node7")
                .is_some()
        );
    }

    #[test]
    fn two_who_make_the_first_set_of_properties_have_both_theirs() {
        let mut backend = racing(1, set_theirs);
        let old = cib(&mut backend, false).unwrap();
        let mut new = old.clone();
        set_property(&mut new, "ours", Some("1"));
        merge(&mut backend, "crm", &old, &new).unwrap();
        assert_eq!(names(&backend), ["ours", "theirs-0"]);
        let mut again = racing(1, |cib, _| {
            set_property(cib, "ours", Some("2"));
        });
        let failure = merge(&mut again, "crm", &old, &new).unwrap_err();
        assert_eq!(failure.exit, Exit::Old, "two values of one name: {failure}");
    }

    #[test]
    fn two_changes_that_do_not_fit_are_told_apart() {
        let mut backend = racing(1, |cib, _| {
            cib::edit::ensure_node(cib, "7", "theirs");
        });
        let old = cib(&mut backend, false).unwrap();
        let mut new = old.clone();
        cib::edit::ensure_node(&mut new, "7", "ours");
        let failure = merge(&mut backend, "crm", &old, &new).unwrap_err();
        assert_eq!(failure.exit, Exit::Old);
        assert!(failure.text.contains("do not fit together"), "{failure}");
        let told = failure.cure.unwrap();
        assert!(
            told.contains("What they changed:\n+node 7: theirs\n"),
            "{told}"
        );
        assert!(told.contains("What you wanted:\n+node 7: ours\n"), "{told}");
        let node = cib::config::Config::new(backend.file.cib()).node("theirs");
        assert!(node.is_some(), "theirs stays");
    }

    #[test]
    fn patience_ends() {
        let mut backend = racing(u32::MAX, set_theirs);
        let failure = edit(&mut backend, "crm", |cib| {
            Ok(set_property(cib, "ours", Some("1")))
        })
        .unwrap_err();
        assert_eq!(failure.exit, Exit::Old);
    }

    #[test]
    fn what_holds_already_is_a_success_without_a_change() {
        let mut backend = racing(0, set_theirs);
        let set = |cib: &mut Cib| Ok(set_property(cib, "ours", Some("1")));
        edit(&mut backend, "crm", set).unwrap();
        let before = backend.file.cib().version();
        let (_, committed) = edit(&mut backend, "crm", set).unwrap();
        assert!(!committed.changed);
        assert_eq!(backend.file.cib().version(), before);
    }
}
