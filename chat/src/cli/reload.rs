//! Using the settings anew while the chat runs: at SIGHUP, if there is a file of them.

use std::sync::Arc;

use switchboard::Remote;
use switchboard_chat::ChatService;

use super::{
    config::needs_restart,
    options::{Cli, ServeOptions},
    tls::reload::Source,
};
use crate::set_log_level;

/// The chat, and the options in force.
#[derive(Debug)]
pub(crate) struct Reload {
    chat: Arc<ChatService>,
    options: ServeOptions,
}

impl Reload {
    pub(crate) fn new(chat: Arc<ChatService>, options: ServeOptions) -> Self {
        Self { chat, options }
    }

    /// Reads the settings, and uses those that can be replaced. If anything is wrong, nothing is replaced. Returns a
    /// line that says what was replaced and what needs a restart, and where the certificates are from now on, if there
    /// are any.
    pub(crate) fn run(&mut self, remote: &Remote) -> (String, Option<Source>) {
        self.try_run(remote).unwrap_or_else(|why| (format!("nothing is reloaded: {why}"), None))
    }

    fn try_run(&mut self, remote: &Remote) -> Result<(String, Option<Source>), String> {
        let mut new = Cli::serve_options_again().map_err(|error| error.line())?;
        let (changed, fixed): (Vec<_>, Vec<_>) =
            self.options.changed(&new).into_iter().partition(|key| !needs_restart(key));
        new.keep_fixed(&self.options)?;
        let (chat, server) = (new.config()?, new.server_config());
        remote.set_config(&server).map_err(|error| error.to_string())?;
        self.chat.set_config(chat);
        set_log_level(&new.options);
        // The program's own certificate stays as it is.
        let certificates = new.certificates().filter(|source| matches!(source, Source::Files(_)));
        self.options = new;
        Ok((answer(&changed, &fixed), certificates))
    }
}

/// Returns the line that says what is in force now, and what is not.
fn answer(changed: &[String], fixed: &[String]) -> String {
    let reloaded = match changed {
        [] if fixed.is_empty() => "reloaded, no setting has changed".to_owned(),
        [] => "nothing is reloaded".to_owned(),
        changed => format!("reloaded: {}", changed.join(", ")),
    };
    match fixed {
        [] => reloaded,
        fixed => format!("{reloaded}; restart it for the new {}", fixed.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_names_all_that_has_changed() {
        let list = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect::<Vec<_>>();
        for (changed, fixed, expected) in [
            (&[][..], &[][..], "reloaded, no setting has changed"),
            (&["origin", "verbose"], &[], "reloaded: origin, verbose"),
            (&["origin"], &["data", "listen"], "reloaded: origin; restart it for the new data, listen"),
            (&[], &["data"], "nothing is reloaded; restart it for the new data"),
        ] {
            assert_eq!(answer(&list(changed), &list(fixed)), expected);
        }
    }
}
