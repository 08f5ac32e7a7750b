//! What is wanted and what is: XML tree, versions, patchsets, digests, XPath, typed view. Pure.

mod tree;

pub use tree::Element;
