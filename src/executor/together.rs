//! Operations of a native agent that run together: what is handed in while one round runs, is the
//! next round. Nothing waits for company: the first one goes alone and at once.

use super::api::OpRequest;
use super::{NativeAgent, ROUND_MAX};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use tokio::sync::oneshot;

/// A native agent's thread for operations that run together.
pub(super) struct Together {
    agent: Arc<dyn NativeAgent>,
    waiting: SyncSender<Waiting>,
}

struct Waiting {
    request: OpRequest,
    answer: oneshot::Sender<Option<(i32, String)>>,
}

impl Together {
    /// The thread ends when this is dropped; `None` where the system gives no thread.
    pub(super) fn start(agent: Arc<dyn NativeAgent>) -> Option<Self> {
        let (waiting, inbox) = sync_channel(ROUND_MAX);
        let for_thread = Arc::clone(&agent);
        let started = std::thread::Builder::new()
            .name("native-agent".to_owned())
            .spawn(move || serve(&*for_thread, &inbox));
        match started {
            Ok(_) => Some(Self { agent, waiting }),
            Err(error) => {
                tracing::warn!(%error, "operations of native agents run one by one");
                None
            }
        }
    }

    /// This is the thread of that agent.
    pub(super) fn is_of(&self, agent: &Arc<dyn NativeAgent>) -> bool {
        Arc::ptr_eq(&self.agent, agent)
    }

    /// Hands an operation in; its answer is `None` when it has to run by itself. No receiver: so
    /// does this one, at once.
    pub(super) fn hand_in(
        &self,
        request: &OpRequest,
    ) -> Option<oneshot::Receiver<Option<(i32, String)>>> {
        let (answer, receiver) = oneshot::channel();
        let request = request.clone();
        match self.waiting.try_send(Waiting { request, answer }) {
            Ok(()) => Some(receiver),
            // Full, or the agent has panicked there: both end well alone.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => None,
        }
    }
}

fn serve(agent: &dyn NativeAgent, inbox: &Receiver<Waiting>) {
    if let Err(error) = netlink::make_thread_realtime(REALTIME_PRIORITY) {
        tracing::info!("native agents run without real-time priority: {error}");
    }
    while let Ok(first) = inbox.recv() {
        let others = inbox.try_iter().take(ROUND_MAX - 1);
        let (requests, answers): (Vec<_>, Vec<_>) = std::iter::once(first)
            .chain(others)
            .map(|w| (w.request, w.answer))
            .unzip();
        let mut results = agent.run_together(&requests).into_iter();
        for answer in answers {
            // Whoever waited may have been cancelled.
            let _ = answer.send(results.next().flatten());
        }
    }
}

/// Below those of heartbeats and leases, above everything ordinary: on a busy machine an address
/// that has been decided upon must not wait for whoever else computes.
const REALTIME_PRIORITY: i32 = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Condvar, Mutex};

    /// Notes how many came together; the first round waits until it is let go.
    #[derive(Default)]
    struct Rounds {
        sizes: Mutex<Vec<usize>>,
        go: Mutex<bool>,
        changed: Condvar,
    }

    impl Rounds {
        fn await_first(&self) {
            let sizes = self.sizes.lock().unwrap();
            let begun = self.changed.wait_while(sizes, |sizes| sizes.is_empty());
            drop(begun.unwrap());
        }
    }

    impl NativeAgent for Rounds {
        fn handles(&self, _: &OpRequest) -> Result<bool, String> {
            Ok(true)
        }

        fn run(&self, _: &OpRequest) -> (i32, String) {
            (0, "alone".to_owned())
        }

        fn run_together(&self, requests: &[OpRequest]) -> Vec<Option<(i32, String)>> {
            self.sizes.lock().unwrap().push(requests.len());
            self.changed.notify_all();
            let mut go = self.go.lock().unwrap();
            while !*go {
                go = self.changed.wait(go).unwrap();
            }
            let result = |r: &OpRequest| (r.rsc != "odd").then(|| (0, r.rsc.clone()));
            requests.iter().map(result).collect()
        }
    }

    #[tokio::test]
    async fn what_comes_during_a_round_is_the_next_round() {
        let rounds = Arc::new(Rounds::default());
        let together = Together::start(rounds.clone()).unwrap();
        let named = |rsc: &str| OpRequest {
            rsc: rsc.to_owned(),
            ..OpRequest::default()
        };
        let first = together.hand_in(&named("first")).unwrap();
        rounds.await_first();
        let later: Vec<_> = ["a", "odd", "b"]
            .iter()
            .map(|rsc| together.hand_in(&named(rsc)).unwrap())
            .collect();
        *rounds.go.lock().unwrap() = true;
        rounds.changed.notify_all();
        assert_eq!(first.await.unwrap(), Some((0, "first".to_owned())));
        let mut results = Vec::new();
        for receiver in later {
            results.push(receiver.await.unwrap());
        }
        let is = |rsc: &str| Some((0, rsc.to_owned()));
        assert_eq!(results, [is("a"), None, is("b")]);
        assert_eq!(*rounds.sizes.lock().unwrap(), [1, 3]);
    }
}
