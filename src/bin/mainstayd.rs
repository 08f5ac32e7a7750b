//! mainstayd
fn main() {}
