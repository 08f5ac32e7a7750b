//! Whom the levels ask: the cluster (or the file in its place), or the shadow that `cib use` names.

use crate::cli::backend::{Backend, CibFile, shadow};
use crate::cli::exit::Failure;
use crate::ipc::{Request, Response};

/// The cluster, and the shadow worked on in its place.
pub(crate) struct Switch<'a> {
    cluster: &'a mut dyn Backend,
    shadow: Option<(String, CibFile)>,
}

impl<'a> Switch<'a> {
    /// The cluster.
    pub(super) const fn new(cluster: &'a mut dyn Backend) -> Self {
        Self {
            cluster,
            shadow: None,
        }
    }

    /// From now on a shadow is worked on.
    ///
    /// # Errors
    /// There is none of that name, or it is no CIB.
    pub(super) fn work_on(&mut self, name: &str) -> Result<(), Failure> {
        let file = CibFile::open(shadow::existing(name)?)?;
        self.shadow = Some((name.to_owned(), file));
        Ok(())
    }

    /// Back to the cluster.
    pub(super) fn back(&mut self) {
        self.shadow = None;
    }

    /// The shadow that is worked on.
    #[must_use]
    pub(super) fn shadow(&self) -> Option<&str> {
        self.shadow.as_ref().map(|(name, _)| name.as_str())
    }

    /// The cluster, whatever is worked on.
    pub(super) fn cluster(&mut self) -> &mut dyn Backend {
        self.cluster
    }
}

impl Backend for Switch<'_> {
    fn call(&mut self, request: &Request) -> Result<Response, Failure> {
        match &mut self.shadow {
            Some((_, file)) => file.call(request),
            None => self.cluster.call(request),
        }
    }

    fn live(&self) -> bool {
        self.shadow.is_none() && self.cluster.live()
    }
}
