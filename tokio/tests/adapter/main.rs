//! Connections over streams in memory, which cut the bytes anywhere, and over a clock that stands still unless all
//! tasks wait.

mod accepting;
mod cancelling;
mod closing;
mod config;
mod connecting;
mod messages;
mod reconnecting;
mod scripted;
mod splitting;
mod streams;
mod support;
mod waiting;
