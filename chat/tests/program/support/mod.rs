//! Support for these tests: the program as a child process, a folder for its data, and a user of the chat.

pub(crate) mod chat_user;
pub(crate) mod folder;
pub(crate) mod program;
pub(crate) mod tls;
