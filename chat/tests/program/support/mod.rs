//! What these tests share: the program as a child process, a folder for its data, and a person who uses the chat.

pub(crate) mod chat_user;
pub(crate) mod folder;
pub(crate) mod program;
