//! Everything that can go wrong between a person's XML and the CIB.

use crate::version::Version;

/// Why a document, value, patch or query was refused. Every variant names the thing and, where a
/// person can act, the cure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not XML this program accepts.
    #[error("line {line}, column {column}: {what}; {cure}")]
    Xml {
        /// 1-based.
        line: usize,
        /// 1-based, in characters.
        column: usize,
        /// What was found.
        what: String,
        /// What to do about it.
        cure: String,
    },
    /// The root element is not the expected one.
    #[error(
        "the document is a <{found}>, not a <{expected}>; give the whole CIB as `cibadmin --query` prints it"
    )]
    Root {
        /// Wanted tag.
        expected: &'static str,
        /// Tag found.
        found: String,
    },
    /// A version attribute is not a number.
    #[error(
        "attribute {attribute}=\"{value}\" of <{element}> is not a number from 0 to 18446744073709551615; correct or remove it"
    )]
    VersionNumber {
        /// Tag that carries it.
        element: String,
        /// Attribute name.
        attribute: &'static str,
        /// Its value.
        value: String,
    },
    /// The same id appears twice.
    #[error(
        "id \"{id}\" is used by <{first}> and again by <{second}>; ids must be unique in the configuration, rename one"
    )]
    DuplicateId {
        /// The id.
        id: String,
        /// Tag of the first user.
        first: String,
        /// Tag of the second user.
        second: String,
    },
    /// A patch starts from a newer CIB than ours.
    #[error(
        "the patch starts from version {source_version}, this CIB is only at {current}; fetch the whole CIB instead"
    )]
    PatchAhead {
        /// Version the patch was made from.
        source_version: Version,
        /// Version of the CIB.
        current: Version,
    },
    /// A patch starts from an older CIB than ours.
    #[error(
        "the patch was made from version {source_version}, this CIB is already at {current}; make the change again from the current CIB"
    )]
    PatchStale {
        /// Version the patch was made from.
        source_version: Version,
        /// Version of the CIB.
        current: Version,
    },
    /// A patch does not move the version forward.
    #[error(
        "the patch leads from version {source_version} to {target_version}, which is not newer"
    )]
    PatchNotForward {
        /// Version the patch was made from.
        source_version: Version,
        /// Version it leads to.
        target_version: Version,
    },
    /// The patch document itself is wrong.
    #[error("the patch cannot be read: {0}")]
    PatchSyntax(String),
    /// A change of the patch names an element that is not there.
    #[error("the patch wants to {operation} {path}, which does not exist in this CIB")]
    PatchTarget {
        /// create, modify, move.
        operation: &'static str,
        /// The element's path.
        path: String,
    },
    /// The result of the patch is not what its author had.
    #[error(
        "the patched CIB has digest {found}, the patch promises {expected}; fetch the whole CIB instead"
    )]
    PatchDigest {
        /// Digest in the patch.
        expected: String,
        /// Digest of the result.
        found: String,
    },
    /// No patch can lead from one root element to another.
    #[error("no patch leads from a <{old}> to a <{new}>")]
    PatchRoots {
        /// Old root's tag.
        old: String,
        /// New root's tag.
        new: String,
    },
    /// The tree is beyond what a document may be, so it could be written and never read again.
    #[error("{what}, more than the limit of {limit}; shorten or split it")]
    Bounds {
        /// What is too big, and where.
        what: String,
        /// The bound.
        limit: usize,
    },
    /// The XPath expression cannot be used.
    #[error("xpath, character {at}: {what}; {cure}")]
    XPath {
        /// 1-based character of the expression.
        at: usize,
        /// What was found.
        what: String,
        /// What to write instead.
        cure: String,
    },
    /// The query would cost too much.
    #[error("the xpath query visits more than {limit} elements; make it more specific")]
    XPathWork {
        /// The bound, in element visits.
        limit: usize,
    },
    /// A value is not what its option takes.
    #[error("\"{value}\" is not {expected}; {cure}")]
    Value {
        /// The value given.
        value: String,
        /// What is expected, with its article: "a score".
        expected: &'static str,
        /// Examples.
        cure: &'static str,
    },
    /// The named object is not in the configuration.
    #[error("{kind} \"{id}\" does not exist; {cure}")]
    Unknown {
        /// resource, node …
        kind: &'static str,
        /// Name looked for.
        id: String,
        /// How to find the right one.
        cure: &'static str,
    },
    /// The id is taken already.
    #[error("id \"{id}\" is already used by a <{by}>; choose another id or delete that one first")]
    Exists {
        /// The id.
        id: String,
        /// Tag of its user.
        by: String,
    },
    /// The object cannot be removed as things are.
    #[error("{what}; {cure}")]
    Refused {
        /// What was asked and why it is refused.
        what: String,
        /// What to do instead.
        cure: String,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
