//! The C ABI: its header, its functions with right and wrong arguments, and a program in C.

mod header;
mod misuse;
#[cfg(unix)]
mod program;
mod roles;
mod support;
