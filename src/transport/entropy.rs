//! The kernel's random source.

use wire::Entropy;

/// getrandom(2).
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, buf: &mut [u8]) {
        // After boot getrandom(2) cannot fail; going on with predictable keys would be worse than
        // ending.
        getrandom::fill(buf).expect("the kernel gives random bytes");
    }
}

impl OsEntropy {
    /// An array of random bytes.
    #[must_use]
    pub fn array<const N: usize>() -> [u8; N] {
        let mut bytes = [0; N];
        Self.fill(&mut bytes);
        bytes
    }
}
