//! The local daemon as a backend.

use super::Backend;
use crate::cli::exit::{Exit, Failure};
use crate::ipc::{Client, Request, Response};
use crate::paths::Paths;

/// A connection to the local daemon, made again when it was lost.
#[derive(Debug)]
pub(crate) struct Daemon {
    paths: Paths,
    client: Option<Client>,
}

impl Daemon {
    /// Connects.
    ///
    /// # Errors
    /// [`Exit::Disconnect`] with the cure, when the daemon is down or not ours to use.
    pub(crate) fn connect(paths: &Paths) -> Result<Self, Failure> {
        let client = Some(connect(paths)?);
        let paths = paths.clone();
        Ok(Self { paths, client })
    }
}

impl Backend for Daemon {
    fn call(&mut self, request: &Request) -> Result<Response, Failure> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => connect(&self.paths)?,
        };
        match client.call(request) {
            Ok(response) => {
                self.client = Some(client);
                Ok(response)
            }
            // The connection is spent: the answer may still come, and would be taken for another's.
            Err(error) => Err(Failure::new(
                Exit::Protocol,
                format!("the daemon's answer did not arrive: {error}"),
            )),
        }
    }

    fn live(&self) -> bool {
        true
    }
}

fn connect(paths: &Paths) -> Result<Client, Failure> {
    Client::connect(paths).map_err(|error| Failure {
        exit: Exit::Disconnect,
        text: format!("Connection to cluster failed: {error}"),
        cure: Some(error.cure()),
    })
}
