//! The chat as people meet it, one file for each side of it.

mod complaints;
mod hostile;
mod languages;
mod leaving;
mod looks;
mod network;
mod reading;
mod rooms;
mod sessions;
mod talking;
