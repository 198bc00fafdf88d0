//! Settings: the options of `switchboard serve` by other means. A file gives them by the option's name, the environment
//! by `SWITCHBOARD_` and that name. The command line replaces the environment, and that the file.
//!
//! clap's declaration of an option is all that is needed: a setting becomes the default value of its option.

mod file;
mod keys;
mod print;
mod settings;
mod variables;

pub(crate) use self::{
    file::usual_file,
    keys::is_given,
    print::{print_defaults, print_settings, values},
    settings::{Settings, needs_restart},
};
