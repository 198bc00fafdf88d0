//! Where the chat's data is.
#![allow(rustdoc::bare_urls, reason = "the doc comments here are help texts of a terminal")]

use std::path::PathBuf;

use clap::Args;
use switchboard_chat::Data;

/// The option `--data` of the commands that need a folder.
#[derive(Args, Debug)]
pub(crate) struct DataOption {
    /// Folder of the chat's data [default: the folder switchboard in the user's data directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// File of settings, of which data counts [default: the one that serve reads]
    #[arg(id = "config", long = "config", value_name = "FILE")]
    _config: Option<PathBuf>,
}

impl DataOption {
    pub(crate) fn in_folder(data: Option<PathBuf>) -> Self {
        Self { data, _config: None }
    }

    /// Returns where the data is: by default, in the user's data directory.
    pub(crate) fn location(&self) -> Result<Data, String> {
        use etcetera::BaseStrategy as _;
        match &self.data {
            Some(folder) if folder.as_os_str() == ":memory:" => Ok(Data::Memory),
            Some(folder) => Ok(Data::Folder(folder.clone())),
            None => match etcetera::choose_base_strategy() {
                Ok(folders) => Ok(Data::Folder(folders.data_dir().join("switchboard"))),
                Err(_) => Err("cannot find a home folder for the data; choose a folder with --data DIR".to_owned()),
            },
        }
    }
}
