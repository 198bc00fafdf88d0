//! Scenarios of the chat in a browser, one file for each area.

mod accessibility;
mod account;
mod clock;
mod conversations;
mod faults;
mod history;
mod keyboard;
mod languages;
mod layout;
mod limits;
mod lost_rooms;
mod messages;
mod names;
mod network;
mod outbox;
mod restored_data;
mod rooms;
mod sessions;
mod untrusted_text;
