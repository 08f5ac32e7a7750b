//! MD5, as operation digests use it.

use md5::{Digest, Md5};
use std::fmt::Write as _;

/// Lower-case hexadecimal MD5.
pub(crate) fn md5_hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(32);
    for byte in Md5::digest(bytes) {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
