//! muster: hold an order for every endpoint until that endpoint can carry it out.
fn main() {}
