//! XML text to element tree and back.
//!
//! The accepted language is the part of XML 1.0 that a CIB needs: elements, attributes, character
//! data, CDATA, comments (dropped), the XML declaration. DOCTYPE, entities other than the five
//! predefined ones, and processing instructions are refused, and everything is bounded.

mod bounds;
mod read;
mod write;

pub use bounds::check_bounds;
pub use read::{
    ATTR_VALUE_MAX_BYTES, ATTRS_MAX, DEPTH_MAX, DOCUMENT_MAX_BYTES, ELEMENTS_MAX,
    FILE_ELEMENTS_MAX, FILE_MAX_BYTES, TEXT_MAX_BYTES, parse, parse_bytes, parse_file,
};
pub use write::{compact, escape_attr, format, format_at};
