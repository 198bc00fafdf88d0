//! Managing a chat that runs: `switchboard stop`, `reload` and `infos`. The chat listens on a Unix socket in its folder
//! of data, which only its owner can reach. A request is a line of JSON, and so is the answer.

mod client;
mod infos;
mod listener;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use self::{
    client::{print_infos, reload, stop},
    infos::{Infos, Process},
    listener::Listener,
};

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Request {
    /// Stop. The connection ends with the process.
    Stop,
    /// Use the settings anew.
    Reload,
    Infos,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Answer {
    Done(String),
    Infos(Box<Infos>),
    Failed(String),
}

/// Returns the socket of the chat whose data is in this folder.
fn socket_in(folder: &Path) -> PathBuf {
    folder.join("control.sock")
}
