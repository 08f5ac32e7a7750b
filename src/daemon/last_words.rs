//! Why the process before this one ended, told by itself: the new one has it in `status`, where
//! people look, and not only in a log that may lie on the disk that hangs.

use super::log;
use crate::paths::Paths;
use crate::transport::OnHang;
use std::path::PathBuf;
use std::time::Duration;

/// Ends the process from the protocol thread, which must not wait for anything that the main loop
/// may hold. Its parent starts another one, as after a kill: what runs here goes on, and is probed.
pub(super) fn on_hang(paths: &Paths) -> OnHang {
    let file = file(paths);
    Box::new(move |why| {
        // In memory, as everything below /run. If even that fails, the log has it.
        let _ = std::fs::write(file, why);
        tracing::error!("{why}");
        log::flush(LOG_WAIT_MAX);
        std::process::abort()
    })
}

/// What the process before this one had to say, once.
pub(super) fn take(paths: &Paths) -> Option<String> {
    let file = file(paths);
    let words = std::fs::read_to_string(&file).ok()?;
    let _ = std::fs::remove_file(&file);
    Some(words)
}

fn file(paths: &Paths) -> PathBuf {
    paths.run_dir().join("last-words")
}

/// Longest wait for a log that may itself hang.
const LOG_WAIT_MAX: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_heard_once() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below(dir.path());
        std::fs::create_dir_all(paths.run_dir()).unwrap();
        assert_eq!(take(&paths), None);
        std::fs::write(file(&paths), "it hung").unwrap();
        assert_eq!(take(&paths), Some("it hung".to_owned()));
        assert_eq!(take(&paths), None);
    }
}
