//! A backend that is opened when the first question is asked: many commands need no cluster.

use super::{Backend, CIB_FILE_ENV, CibFile, open, shadow};
use crate::cli::exit::Failure;
use crate::ipc::{Request, Response};

/// Asks nobody before there is a question; a daemon that was down is tried again with the next.
pub(crate) struct Lazy {
    file: Option<String>,
    opened: Option<Box<dyn Backend>>,
}

impl Lazy {
    /// A CIB in a file, or what [`open`] opens.
    pub(crate) const fn new(file: Option<String>) -> Self {
        Self { file, opened: None }
    }

    /// Opens it now.
    ///
    /// # Errors
    /// As [`open`].
    pub(crate) fn open(&mut self) -> Result<&mut dyn Backend, Failure> {
        let backend = match self.opened.take() {
            Some(backend) => backend,
            None => match &self.file {
                Some(path) => Box::new(CibFile::open(path.into())?),
                None => open()?,
            },
        };
        Ok(self.opened.insert(backend).as_mut())
    }
}

impl Backend for Lazy {
    fn call(&mut self, request: &Request) -> Result<Response, Failure> {
        self.open()?.call(request)
    }

    fn live(&self) -> bool {
        let by_environment = std::env::var_os(CIB_FILE_ENV).is_some_and(|f| !f.is_empty());
        self.file.is_none() && !by_environment && shadow::active().is_none()
    }
}
