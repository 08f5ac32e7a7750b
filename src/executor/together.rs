//! Operations of a native agent that run together: what one turn of the daemon's loop hands in is
//! one round, and so is all that is handed in while a round runs. Nothing waits for company that
//! is not there yet. Their results come together, too, so that what follows from them does.

use super::api::OpRequest;
use super::{NativeAgent, ROUND_MAX, lock};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// A native agent's thread for operations that run together.
pub(super) struct Together {
    agent: Arc<dyn NativeAgent>,
    rounds: SyncSender<Round>,
    /// Handed in and not on its way yet.
    gathered: Arc<Mutex<Vec<Waiting>>>,
}

/// Exit code and reason; `None`: it has to run by itself.
type Answer = Option<(i32, String)>;

struct Waiting {
    request: OpRequest,
    answer: oneshot::Sender<Answer>,
}

struct Round {
    requests: Vec<OpRequest>,
    answers: oneshot::Sender<Vec<Answer>>,
}

impl Together {
    /// The thread ends when this is dropped; `None` where the system gives no thread.
    pub(super) fn start(agent: Arc<dyn NativeAgent>) -> Option<Self> {
        let (rounds, inbox) = sync_channel(ROUNDS_MAX);
        let for_thread = Arc::clone(&agent);
        let started = std::thread::Builder::new()
            .name("native-agent".to_owned())
            .spawn(move || serve(&*for_thread, &inbox));
        match started {
            Ok(_) => Some(Self {
                agent,
                rounds,
                gathered: Arc::default(),
            }),
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

    /// Hands an operation in; its answer is `None` when it has to run by itself. No receiver, or one
    /// that hears nothing: so does this one, at once. To be called on the runtime.
    pub(super) fn hand_in(&self, request: &OpRequest) -> Option<oneshot::Receiver<Answer>> {
        let (answer, receiver) = oneshot::channel();
        let mut gathered = lock(&self.gathered);
        if gathered.len() >= ROUND_MAX {
            return None;
        }
        gathered.push(Waiting {
            request: request.clone(),
            answer,
        });
        if gathered.len() == 1 {
            // It has its turn after every task that is ready now: they hand in before it goes.
            tokio::spawn(send(Arc::clone(&self.gathered), self.rounds.clone()));
        }
        Some(receiver)
    }
}

/// Sends what has been gathered on its way, and hands its answers out.
async fn send(gathered: Arc<Mutex<Vec<Waiting>>>, rounds: SyncSender<Round>) {
    let all = std::mem::take(&mut *lock(&gathered));
    let (requests, waiting): (Vec<_>, Vec<_>) =
        all.into_iter().map(|w| (w.request, w.answer)).unzip();
    let (answers, results) = oneshot::channel();
    let round = Round { requests, answers };
    // Where there is no room, or the agent has panicked there, each runs alone.
    let results = match rounds.try_send(round) {
        Ok(()) => results.await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let mut results = results.into_iter();
    for answer in waiting {
        // Whoever waited may have been cancelled.
        let _ = answer.send(results.next().flatten());
    }
}

fn serve(agent: &dyn NativeAgent, inbox: &Receiver<Round>) {
    if let Err(error) = netlink::make_thread_realtime(REALTIME_PRIORITY) {
        tracing::info!("native agents run without real-time priority: {error}");
    }
    while let Ok(first) = inbox.recv() {
        let mut rounds = vec![first];
        let mut requests = std::mem::take(&mut rounds[0].requests);
        let mut sizes = vec![requests.len()];
        while requests.len() < ROUND_MAX
            && let Ok(mut round) = inbox.try_recv()
        {
            sizes.push(round.requests.len());
            requests.append(&mut round.requests);
            rounds.push(round);
        }
        let mut results = agent.run_together(&requests).into_iter();
        for (round, size) in rounds.into_iter().zip(sizes) {
            let own = results.by_ref().take(size).collect();
            let _ = round.answers.send(own);
        }
    }
}

/// Rounds that may wait for the thread; more run without it.
const ROUNDS_MAX: usize = 256;
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
        let begun = Arc::clone(&rounds);
        tokio::task::spawn_blocking(move || begun.await_first())
            .await
            .unwrap();
        let later: Vec<_> = ["a", "odd", "b"]
            .iter()
            .map(|rsc| together.hand_in(&named(rsc)).unwrap())
            .collect();
        // They are on their way before the first round ends.
        tokio::task::yield_now().await;
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
