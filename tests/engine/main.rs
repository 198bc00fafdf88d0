//! The engine without a socket: wire bytes, transcripts of connections, and properties under random input.
//!
//! | file | subject |
//! |---|---|
//! | `heads` | the head of an HTTP request |
//! | `bodies` | the body of an HTTP request |
//! | `server_handshake` | the server's side of the opening handshake |
//! | `extended_connect` | the server's side of the opening handshake in HTTP/2 |
//! | `client_handshake` | the client's side of the opening handshake |
//! | `both_handshakes` | both sides of the opening handshake against each other |
//! | `frames` | frame headers and their limits |
//! | `fragmentation` | messages in several frames |
//! | `text` | UTF-8 in text messages |
//! | `pieces` | messages that are delivered in pieces |
//! | `closing` | the closing handshake |
//! | `sending` | the sending half |
//! | `errors` | what errors say |
//! | `rooms` | messages that are read into their own buffers |
//! | `read_limit` | how much the next read should take |
//! | `spare` | the buffer of a large message, kept for the next |
//! | `both_roles` | a client and a server against each other |

mod bodies;
mod both_handshakes;
mod both_roles;
mod client_handshake;
mod closing;
mod driver;
mod errors;
mod extended_connect;
mod fragmentation;
mod frames;
mod heads;
mod pieces;
mod read_limit;
mod rooms;
mod sending;
mod server_handshake;
mod spare;
mod text;
