//! The chat as users meet it, one file for each side of it.

mod faults;
mod history;
mod languages;
mod layout;
mod lost_rooms;
mod messages;
mod network;
mod rooms;
mod sessions;
mod untrusted_text;
