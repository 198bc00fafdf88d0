//! The options of the chat.
#![allow(rustdoc::bare_urls, reason = "the doc comments here are help texts of a terminal")]

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use switchboard::{Config, IpNet, Limits};
use switchboard_chat::{ChatConfig, ChatService, Data, Origin, Rate};

use super::{
    super::{config::needs_restart, hsts::Policy, redirect::Redirect, tls::reload::Source, values},
    data::DataOption,
    server::Options,
};

/// The options of `switchboard serve`.
#[derive(Args, Debug)]
pub(crate) struct ServeOptions {
    /// File of settings, in TOML; see switchboard config --help [default: switchboard/switchboard.toml in the user's
    /// folder of configuration, if that exists]
    #[arg(id = "config", long = "config", value_name = "FILE")]
    _config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(flatten)]
    pub(crate) chat: ChatOptions,
    #[command(flatten)]
    plain: RedirectOptions,
    #[command(flatten)]
    limits: LimitOptions,
    /// All settings, as TOML.
    #[arg(skip)]
    pub(super) values: Vec<(String, Option<String>)>,
    /// The file of settings, if there is one.
    #[arg(skip)]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Chat")]
pub(crate) struct ChatOptions {
    /// Folder for accounts, rooms and messages, or :memory: to keep nothing after the program ends [default: the folder
    /// switchboard in the user's data directory]
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// File to write the number of the process to, once the chat listens; removed when it ends
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Public URL of the chat, such as https://chat.example; with https, its cookies are Secure [default: none;
    /// browsers can use localhost or an IP address]
    #[arg(long, value_name = "ORIGIN", value_parser = values::public_url)]
    public_url: Option<Origin>,
    /// IP address or network of reverse proxies, such as 10.0.0.0/8, whose X-Forwarded-For header is trusted;
    /// repeatable. Without this option, all users behind a proxy share the limits of one address, on sign-in attempts
    /// and on connections
    #[arg(long, value_name = "ADDR", value_parser = values::network)]
    trusted_proxy: Vec<IpNet>,
    /// Allow guests, users without an account [default if each --listen is a loopback address and there is no
    /// --public-url]
    #[arg(long, overrides_with = "no_guests")]
    guests: bool,
    /// Require an account [default otherwise]
    #[arg(long, overrides_with = "guests")]
    no_guests: bool,
    /// Disable registration; only switchboard user add creates accounts
    #[arg(long)]
    no_registration: bool,
    /// Sign users out after this time without activity, such as 15m; reading does not count as activity
    #[arg(long, value_name = "TIME", default_value = "30days", value_parser = values::time)]
    session_idle: Duration,
    /// Sign users out this long after they have signed in, active or not
    #[arg(long, value_name = "TIME", default_value = "365days", value_parser = values::time)]
    session_lifetime: Duration,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Plain HTTP beside https")]
struct RedirectOptions {
    /// Address and port to redirect plain HTTP from, to the --public-url, which must be of https; repeatable
    #[arg(long, value_name = "ADDR:PORT", value_parser = values::address_and_port)]
    http_listen: Vec<SocketAddr>,
    /// Folder in which an ACME client such as certbot puts its challenges, below .well-known/acme-challenge; they are
    /// served at --http-listen
    #[arg(long, value_name = "DIR")]
    acme_webroot: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Limits of the chat")]
struct LimitOptions {
    /// Maximum characters in a message
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = values::at_least_one)]
    max_text_chars: usize,
    /// Maximum characters in a room's topic
    #[arg(long, value_name = "N", default_value_t = 200)]
    max_topic_chars: usize,
    /// Maximum characters in a user's name
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = values::name_chars)]
    max_name_chars: usize,
    /// Maximum characters in a room's name
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = values::name_chars)]
    max_room_name_chars: usize,
    /// Rate of events on each connection: 300+20/s allows 300 at once, then 20 per second
    #[arg(long, value_name = "RATE", default_value = "300+20/s")]
    event_rate: Rate,
    /// Rate of messages, and of other actions that other users see, from each user
    #[arg(long, value_name = "RATE", default_value = "20+5/s")]
    message_rate: Rate,
    /// Rate of rooms that each user enters or creates
    #[arg(long, value_name = "RATE", default_value = "60+12/m")]
    entry_rate: Rate,
    /// Rate of conversations that each user begins with other users; guests have a quarter of it
    #[arg(long, value_name = "RATE", default_value = "20+1/m")]
    conversation_rate: Rate,
    /// Rate of failed log-ins from each IP address, and to each account
    #[arg(long, value_name = "RATE", default_value = "10+10/m")]
    sign_in_rate: Rate,
    /// Rate of new accounts, guests and log-ins together from each IP address
    #[arg(long, value_name = "RATE", default_value = "60+30/m")]
    sign_up_rate: Rate,
    /// Maximum rooms that each user is a member of
    #[arg(long, value_name = "N", default_value_t = 200)]
    max_rooms: usize,
    /// Maximum rooms that each user has created and owns
    #[arg(long, value_name = "N", default_value_t = 20)]
    max_owned_rooms: usize,
    /// Maximum connections of each user
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = values::at_least_one)]
    max_connections_each: usize,
    /// Number of messages to keep in each room; older ones are deleted
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    keep_messages: u64,
}

impl ServeOptions {
    /// Returns the configuration of the server.
    pub(crate) fn server_config(&self) -> Config {
        let mut config = self.options.server_config();
        let text = u64::try_from(self.limits.max_text_chars).unwrap_or(u64::MAX);
        // The longest text must fit, and a character may take 12 bytes as JSON.
        let message_bytes = text.saturating_mul(16).clamp(64 << 10, 1 << 30);
        config.limits = Limits::of_bytes(self.options.max_message_bytes.unwrap_or(message_bytes));
        config.max_body_bytes = ChatService::MAX_BODY_BYTES;
        config.max_worker_bytes -= config.max_worker_bytes / EVENT_SHARE;
        config.uncounted_networks = self.chat.trusted_proxy.clone();
        config
    }

    /// Returns the keys of the settings that are others in `new`.
    pub(crate) fn changed(&self, new: &Self) -> Vec<String> {
        let both = self.values.iter().zip(&new.values);
        both.filter(|(old, new)| old != new).map(|(_, (key, _))| key.clone()).collect()
    }

    /// Takes from `old` what cannot be replaced while the chat runs.
    ///
    /// # Errors
    /// TLS would begin or end.
    pub(crate) fn keep_fixed(&mut self, old: &Self) -> Result<(), String> {
        if self.options.tls.is_on() != old.options.tls.is_on() {
            return Err("TLS begins or ends only with a restart".to_owned());
        }
        self.options.listen.clone_from(&old.options.listen);
        self.options.workers = old.options.workers;
        self.options.max_memory = old.options.max_memory;
        self.chat.data.clone_from(&old.chat.data);
        self.chat.public_url.clone_from(&old.chat.public_url);
        for ((key, value), (_, old)) in self.values.iter_mut().zip(&old.values) {
            if needs_restart(key) {
                value.clone_from(old);
            }
        }
        Ok(())
    }

    /// Returns where the certificates are, if there are any. The program's own one is in the folder of the data.
    pub(crate) fn certificates(&self) -> Option<Source> {
        let kept = match DataOption::in_folder(self.chat.data.clone()).location() {
            Ok(Data::Folder(folder)) => Some(folder.join(SELF_SIGNED_FILE)),
            Ok(Data::Memory) | Err(_) => None,
        };
        self.options.tls.source(&self.options.listen, kept)
    }

    /// Returns what is wrong with the options together.
    pub(super) fn check(&self) -> Result<(), String> {
        self.options.check_common()?;
        let url = self.chat.public_url.as_ref();
        let is_https = url.is_some_and(Origin::is_https);
        if self.options.tls.is_on() && url.is_some() && !is_https {
            return Err("with TLS the public URL is of https, such as --public-url https://chat.example".to_owned());
        }
        if self.options.tls.hsts.is_some() && !is_https {
            return Err("--hsts needs a public URL of https, such as --public-url https://chat.example".to_owned());
        }
        if !self.plain.http_listen.is_empty() && !is_https {
            return Err(
                "--http-listen redirects to the public URL; give it, such as --public-url https://chat.example"
                    .to_owned(),
            );
        }
        if self.plain.acme_webroot.is_some() && self.plain.http_listen.is_empty() {
            return Err("--acme-webroot needs --http-listen, such as --http-listen 0.0.0.0:80".to_owned());
        }
        Ok(())
    }

    /// Returns when to send Strict-Transport-Security: for the public name.
    pub(crate) fn hsts_policy(&self) -> Option<Policy> {
        let seconds = self.options.tls.hsts?;
        Some(Policy { seconds, url: self.chat.public_url.clone() })
    }

    /// Returns the server for plain HTTP, if there is one.
    pub(crate) fn redirect(&self) -> Result<Option<Redirect>, String> {
        let RedirectOptions { http_listen, acme_webroot } = &self.plain;
        let (Some(target), false) = (&self.chat.public_url, http_listen.is_empty()) else { return Ok(None) };
        if let Some(folder) = acme_webroot.as_ref().filter(|folder| !folder.is_dir()) {
            let folder = folder.display();
            return Err(format!("{folder} is not a folder; create it, or choose another with --acme-webroot DIR"));
        }
        Ok(Some(Redirect {
            listen: http_listen.clone(),
            target: target.clone(),
            webroot: acme_webroot.clone(),
            proxies: self.chat.trusted_proxy.clone(),
        }))
    }

    /// Returns the chat's configuration.
    pub(crate) fn config(&self) -> Result<ChatConfig, String> {
        let Self { options, chat, limits, .. } = self;
        let mut config = ChatConfig::default();
        config.data = DataOption::in_folder(chat.data.clone()).location()?;
        config.guests = match (chat.guests, chat.no_guests) {
            (true, _) => true,
            (_, true) => false,
            // A public URL on a loopback address means a reverse proxy, behind which anybody may connect.
            _ => options.is_local() && chat.public_url.is_none(),
        };
        config.registration = !chat.no_registration;
        config.public_url = chat.public_url.clone();
        config.origins = options.origin.clone();
        config.trusted_proxies = chat.trusted_proxy.clone();
        config.session_idle = chat.session_idle;
        config.session_lifetime = chat.session_lifetime;
        config.waiting_event_bytes = options.memory_bytes() / EVENT_SHARE;
        config.limits.text_chars = limits.max_text_chars;
        config.limits.topic_chars = limits.max_topic_chars;
        config.limits.name_chars = limits.max_name_chars;
        config.limits.room_name_chars = limits.max_room_name_chars;
        config.limits.events = limits.event_rate;
        config.limits.messages = limits.message_rate;
        config.limits.entries = limits.entry_rate;
        config.limits.conversations = limits.conversation_rate;
        config.limits.sign_ins = limits.sign_in_rate;
        config.limits.sign_ups = limits.sign_up_rate;
        config.limits.rooms = limits.max_rooms;
        config.limits.owned_rooms = limits.max_owned_rooms;
        config.limits.connections = limits.max_connections_each;
        config.limits.kept_messages = limits.keep_messages;
        Ok(config)
    }
}

/// The file in the data folder for the certificate of `--tls-self-signed`.
const SELF_SIGNED_FILE: &str = "self-signed.pem";
/// One of so many bytes of the memory for clients is for events that the chat has not handled.
const EVENT_SHARE: usize = 4;
