//! The program, still to be filled.

fn main() {}
