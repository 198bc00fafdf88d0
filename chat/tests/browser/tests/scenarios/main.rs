//! Scenarios of the chat in a browser, one file for each area.

mod accessibility;
mod account;
mod back_button;
mod clock;
mod conversations;
mod faults;
mod history;
mod hostile_text;
mod jump;
mod keyboard;
mod languages;
mod last_member;
mod layout;
mod links;
mod lost_rooms;
mod messages;
mod network;
mod outbox;
mod page_faults;
mod previews;
mod restored_data;
mod rooms;
mod sessions;
mod text_direction;
mod untrusted_text;
