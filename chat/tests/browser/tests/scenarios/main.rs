//! Scenarios of the chat in a browser, one file for each area.

mod accessibility;
mod account;
mod back_button;
mod clock;
mod conversations;
mod faults;
mod history;
mod jump;
mod keyboard;
mod languages;
mod last_member;
mod layout;
mod lost_rooms;
mod messages;
mod network;
mod outbox;
mod previews;
mod restored_data;
mod rooms;
mod sessions;
mod untrusted_text;
