//! The module for pages, `events.js`, and the module of its connection, which the chat's client uses too.

use crate::StaticFiles;

pub(super) fn scripts() -> StaticFiles {
    StaticFiles::new()
        .file("/events.js", include_str!("page/events.js"))
        .file("/connection.js", include_str!("page/connection.js"))
}
