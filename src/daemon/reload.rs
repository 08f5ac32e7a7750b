//! SIGHUP and `mainstay reload`: what changes while the daemon runs, and what needs a restart.

use super::app::App;
use super::prepare::{read_conf, timing_of};
use crate::conf::Strictness;

impl App {
    /// Reads corosync.conf again. `logging{}` applies at once; everything else that changed is
    /// named. An error keeps the running configuration (ruling 25).
    pub(super) fn reload(&mut self) -> Result<String, String> {
        super::notify::notify("RELOADING=1");
        let result = self.try_reload();
        super::notify::notify("READY=1");
        match &result {
            Ok(text) => tracing::info!("reload: {text}"),
            Err(text) => {
                let text = format!("the running configuration stays as it is: {text}");
                self.notice("reload-refused", text);
            }
        }
        result
    }

    fn try_reload(&mut self) -> Result<String, String> {
        let strictness = if self.lenient {
            Strictness::Lenient
        } else {
            Strictness::Strict
        };
        let new = read_conf(&self.paths, strictness).map_err(|r| r.text)?;
        timing_of(&new).map_err(|r| r.text)?;
        let problems = self.log.apply(&new.logging, self.paths.root(), "mainstayd");
        for problem in problems {
            self.notice("logging", problem);
        }
        let mut later = Vec::new();
        if new.nodes != self.conf.nodes || new.links != self.conf.links {
            later.push("nodelist and interface");
        }
        if new.token_ms != self.conf.token_ms {
            later.push("token");
        }
        let quorum_changed = new.quorum != self.conf.quorum;
        if new.quorum.witness != self.conf.quorum.witness {
            later.push("quorum.device");
        }
        if new.cluster_name != self.conf.cluster_name {
            later.push("cluster_name");
        }
        self.conf.logging = new.logging;
        if quorum_changed && later.is_empty() {
            // What decides is the log: the coordinator of this file takes the step, and says so where
            // it cannot.
            self.conf.quorum = new.quorum;
            if let Some(votes) = self.replica.directory().expected_votes() {
                self.conf.quorum.expected_votes = Some(votes);
            }
            self.tell_digest()?;
            self.adapt_voters();
            return Ok("logging is as corosync.conf says; the coordinator takes the change of quorum{} to the cluster as one step (reload on every node)".to_owned());
        }
        Ok(match later.as_slice() {
            [] => "logging is as corosync.conf says; nothing else changed".to_owned(),
            changed => format!(
                "logging is as corosync.conf says; {} changed in the file and need a restart of mainstayd (one node after the other)",
                changed.join(", ")
            ),
        })
    }
}
