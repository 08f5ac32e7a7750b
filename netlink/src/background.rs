//! A thread that works beside its owner until that ends it: probes and watches.

use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// The running thread; ends when told to or dropped, and is waited for.
#[derive(Debug)]
pub(crate) struct Background {
    over: Over,
    thread: Option<JoinHandle<()>>,
}

/// Whether the thread is to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Over(Arc<AtomicBool>);

impl Over {
    pub(crate) fn is_said(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Background {
    /// Starts a thread of this name; `what` says in an error what failed.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(
        name: &str,
        what: &str,
        work: impl FnOnce(&Over) + Send + 'static,
    ) -> Result<Self> {
        let over = Over::default();
        let told = over.clone();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(&told))
            .map_err(|source| Error::io(what, source))?;
        Ok(Self {
            over,
            thread: Some(thread),
        })
    }

    /// Ends the thread and waits for it.
    pub(crate) fn end(&mut self) {
        self.over.0.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // These threads have no way to panic; if one did, what it found so far still stands.
            drop(thread.join());
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.end();
    }
}
