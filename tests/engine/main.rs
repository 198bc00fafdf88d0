//! The engine: wire bytes, transcripts and properties, without a socket.

mod client_handshake;
mod closing;
mod fragmentation;
mod frames;
mod handshake;
mod heads;
mod opening;
mod pieces;
mod roles;
mod sending;
mod text;
