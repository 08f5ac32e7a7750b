//! A history of commits in which the n-th is known from n alone, so that whatever comes back from
//! a crash can be compared with what must be there.

use std::path::Path;

use store::{Batch, CibVersion, Health, Mirror, Op, Recovered, Store, Trouble, VERSIONS_MAX};

/// How much a commit may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum History {
    /// Far less than one segment of the engine.
    Small,
    /// Every fifth commit replaces a snapshot of more than a segment, so that the engine frees and
    /// reuses segments within one commit.
    Large,
    /// Nothing but what goes beside the engine: it gets it when one step of it is full.
    Beside,
}

impl History {
    /// Every how many commits replace the snapshot.
    fn snapshot_every(self) -> u64 {
        match self {
            Self::Small => 17,
            Self::Large => 5,
            Self::Beside => u64::MAX,
        }
    }

    /// Every how many commits replace the log's end.
    fn replaced_every(self) -> u64 {
        match self {
            Self::Small | Self::Large => 11,
            Self::Beside => u64::MAX,
        }
    }

    /// Every how many commits keep a version.
    fn version_every(self) -> u64 {
        match self {
            Self::Small | Self::Large => 7,
            Self::Beside => u64::MAX,
        }
    }

    fn snapshot(self, n: u64) -> (u64, Vec<u8>) {
        let len = match self {
            Self::Small | Self::Beside => (n as usize * 977) % 9_000,
            Self::Large => 600_000 + (n as usize * 97_777) % 600_000,
        };
        (n - 4, noise(n + 3_000_000, len))
    }

    /// What a child process is told.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
            Self::Beside => "beside",
        }
    }

    pub(crate) fn named(name: &str) -> Self {
        let all = [Self::Small, Self::Large, Self::Beside];
        let named = all.into_iter().find(|history| history.name() == name);
        named.unwrap_or(Self::Small)
    }
}

/// The n-th commit, from 1; the log then ends at n.
pub(crate) fn batch(history: History, n: u64) -> Batch {
    let mut ops = Vec::new();
    if n.is_multiple_of(history.replaced_every()) {
        // A new coordinator replaces the tail.
        let record = replaced(n - 1);
        ops.push(Op::TruncateLog { seq: n - 1 });
        ops.push(Op::AppendLog { seq: n - 1, record });
    }
    ops.push(Op::AppendLog {
        seq: n,
        record: record(n),
    });
    if n.is_multiple_of(3) {
        ops.push(Op::Safety(safety(n)));
    }
    if n.is_multiple_of(5) {
        ops.push(Op::CommitHint { seq: n - 2 });
    }
    if n.is_multiple_of(history.version_every()) {
        ops.push(Op::CibVersion(version(n)));
    }
    if n.is_multiple_of(history.snapshot_every()) {
        let (seq, state) = history.snapshot(n);
        ops.push(Op::Snapshot { seq, state });
    }
    Batch { ops }
}

/// The mirror written after the n-th commit.
pub(crate) fn mirror(n: u64) -> Option<Mirror> {
    let xml = format!("<cib epoch=\"{n}\">{}</cib>", "y".repeat(n as usize % 900));
    n.is_multiple_of(13).then_some(Mirror { seq: n, xml })
}

/// `Err` says what is wrong with the store that came back after `acked` commits were acknowledged.
/// One commit more may be there: it was on its way.
pub(crate) fn check(
    history: History,
    store: &mut Store,
    state: &Recovered,
    acked: u64,
) -> Result<u64, String> {
    if state.health != Health::Sound {
        return Err(format!("after {acked} commits: {:?}", state.health));
    }
    let n = store.last_seq();
    if n < acked || n > acked + 1 {
        return Err(format!("{acked} commits acknowledged, {n} came back"));
    }
    let at = |what: &str| format!("{what} is not that of commit {n}");
    let last = |step: u64| n / step * step;
    let known_safety = |n: u64| (n >= 3).then(|| safety(n / 3 * 3));
    if state.safety != known_safety(n) && state.safety != known_safety(acked + 1) {
        return Err(at("safety record"));
    }
    if state.commit_hint != last(5).saturating_sub(2) {
        return Err(at("commit hint"));
    }
    let every = history.snapshot_every();
    let expected = (n >= every).then(|| history.snapshot(last(every)));
    let start = expected.as_ref().map_or(0, |(seq, _)| *seq) + 1;
    if state.snapshot != expected {
        return Err(at("snapshot"));
    }
    let log: Vec<_> = (start..=n)
        .map(|seq| (seq, record_at(history, seq, n)))
        .collect();
    if state.log != log {
        return Err(at("log"));
    }
    check_versions(history, store, n)?;
    let report = store.verify().map_err(|e| e.to_string())?;
    let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    if problems.is_empty() {
        Ok(n)
    } else {
        Err(problems.join("; "))
    }
}

fn check_versions(history: History, store: &Store, n: u64) -> Result<(), String> {
    let every = history.version_every();
    let all: Vec<u64> = (1..=n / every).map(|k| k * every).collect();
    let expected = &all[all.len().saturating_sub(VERSIONS_MAX)..];
    let infos = store.versions().map_err(|e| e.to_string())?;
    let kept: Vec<u64> = infos.iter().map(|info| info.seq).collect();
    if kept != expected {
        return Err(format!("versions {kept:?} instead of {expected:?}"));
    }
    for seq in kept {
        let found = store.version(seq).map_err(|e| e.to_string())?;
        if found != Some(version(seq)) {
            return Err(format!("version {seq} differs"));
        }
    }
    Ok(())
}

/// Commits until `commits` are there or the process is killed; says each on standard output.
pub(crate) fn run(
    history: History,
    dir: &Path,
    commits: u64,
    skip_barrier: bool,
) -> Result<(), store::OpenError> {
    let options = store::OpenOptions {
        skip_barrier,
        ..Default::default()
    };
    let mut store = Store::open(dir, &options)?.store;
    // As the daemon does: what a commit inside a failed engine cannot tell, its watch does.
    let watched = store.watch(|trouble| {
        match trouble {
            Trouble::Failed(error) => say(&format!("watch error {error} | {}", error.cure())),
            Trouble::Hangs { text } => say(&format!("watch hangs {text}")),
            _ => {}
        }
        // A sound disk may be slow, on a machine with other things to do.
        if std::env::var_os("STORE_SHIM_FAULT").is_some() {
            std::process::exit(0);
        }
    });
    watched.expect("a thread");
    say(&format!("ack {}", store.last_seq()));
    while store.last_seq() < commits {
        let n = store.last_seq() + 1;
        if let Err(error) = store.commit(&batch(history, n)) {
            // Not even the next one, whatever the disk says by then (S6).
            match store.commit(&batch(history, n)) {
                Err(store::StoreError::Poisoned { .. }) => say("poisoned"),
                other => say(&format!("error not poisoned: {other:?}")),
            }
            return Err(error.into());
        }
        say(&format!("ack {n}"));
        if let Some(mirror) = mirror(n) {
            store.mirror(&mirror)?;
        }
    }
    Ok(())
}

/// One line on standard output by one write(2), past what the test harness may capture.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    // A reader that is gone has killed us already.
    let _ = out.write_all(format!("\n{line}\n").as_bytes());
    let _ = out.flush();
}

fn record_at(history: History, seq: u64, n: u64) -> Vec<u8> {
    let was_replaced = (seq + 1).is_multiple_of(history.replaced_every()) && seq < n;
    if was_replaced {
        replaced(seq)
    } else {
        record(seq)
    }
}

fn record(n: u64) -> Vec<u8> {
    noise(n, (n as usize * 397) % 2_600)
}

fn replaced(n: u64) -> Vec<u8> {
    noise(n + 1_000_000, (n as usize * 211) % 1_900)
}

fn safety(n: u64) -> Vec<u8> {
    noise(n + 2_000_000, 40 + n as usize % 300)
}

fn version(n: u64) -> CibVersion {
    CibVersion {
        seq: n,
        xml: "<x/>".repeat((n as usize * 131) % 2_000),
        author: "root".to_owned(),
        client: "crm configure".to_owned(),
        origin: "node1".to_owned(),
        time_us: n,
        diff: format!("+ epoch={n}"),
    }
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut random = crate::random::Random(seed);
    (0..len).map(|_| random.next() as u8).collect()
}
