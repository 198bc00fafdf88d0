//! The engine: wire bytes, transcripts and properties, without a socket.

mod both_handshakes;
mod both_roles;
mod client_handshake;
mod closing;
mod fragmentation;
mod frames;
mod heads;
mod pieces;
mod sending;
mod server_handshake;
mod text;
