//! What is wanted and what is: XML tree, versions, patchsets, digests, XPath, typed view. Pure.

pub mod check;
pub mod config;
pub mod date;
pub mod digest;
pub mod document;
pub mod edit;
pub mod error;
pub mod patch;
mod serial;
mod tree;
pub mod update;
pub mod value;
pub mod version;
pub mod xml;
pub mod xpath;

pub use document::{Cib, Section};
pub use error::{Error, Result};
pub use patch::Patch;
pub use tree::{Element, Text};
pub use version::Version;
pub use xpath::XPath;
