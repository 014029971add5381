//! The `muster-sensor` program.
fn main() {}
