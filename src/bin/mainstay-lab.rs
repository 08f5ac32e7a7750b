//! mainstay-lab
fn main() {}
