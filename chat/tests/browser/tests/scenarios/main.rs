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
mod lost_rooms;
mod messages;
mod network;
mod outbox;
mod reading;
mod restored_data;
mod rooms;
mod sessions;
mod untrusted_text;
