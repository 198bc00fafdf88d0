//! How a chat is run: where it keeps what it knows, who may come in, and how much of everything one may have.

use std::{net::IpAddr, time::Duration};

use super::{Data, Rate};

/// How a chat is run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChatConfig {
    /// Where accounts, sessions and rooms are kept. Default: in memory.
    pub data: Data,
    /// Whether anybody may come in under a name that nobody has, without an account. Default: no.
    pub guests: bool,
    /// Whether anybody may make an account. Default: yes.
    pub registration: bool,
    /// The origin under which browsers reach the chat, such as `https://chat.example`. Default: that of the request's
    /// Host, which then must be an address or `localhost`. With https, cookies are `Secure`.
    pub public_url: Option<String>,
    /// Origins of other pages that may open a WebSocket; the cookie does not count for them. Default: none.
    pub origins: Vec<String>,
    /// Proxies in front of us: who asks through them is known by their `X-Forwarded-For`. Default: none.
    pub trusted_proxies: Vec<IpAddr>,
    /// How long a session lives in which nothing is done. Default 30 days; a guest's ends after a day at the latest.
    pub session_idle: Duration,
    /// How long a session lives whatever is done in it. Default 365 days.
    pub session_lifetime: Duration,
    /// How much of everything one may have.
    pub limits: ChatLimits,
}

/// How much of everything one may have, in a chat.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChatLimits {
    /// Characters of a message. Default 4,000.
    pub text_chars: usize,
    /// Characters of a room's topic. Default 200.
    pub topic_chars: usize,
    /// Characters of a person's name. Default 32.
    pub name_chars: usize,
    /// Characters of a room's name. Default 40.
    pub room_name_chars: usize,
    /// Events of one connection. Default 300 at once, 20 a second.
    pub events: Rate,
    /// Messages of one person, over all their connections. Default 20 at once, 5 a second.
    pub messages: Rate,
    /// Attempts to register, log in or enter as a guest from one address (of IPv6, one /64). Default 10 at once, one
    /// every 6 seconds.
    pub sign_ins: Rate,
    /// Rooms that a person is in. Default 200.
    pub rooms: usize,
    /// Rooms that a person owns. Default 20.
    pub owned_rooms: usize,
    /// Connections of a person. Default 20.
    pub connections: usize,
    /// Messages that are kept of each room. Default 100,000.
    pub kept_messages: u64,
}

impl Default for ChatConfig {
    fn default() -> Self {
        Self {
            data: Data::Memory,
            guests: false,
            registration: true,
            public_url: None,
            origins: Vec::new(),
            trusted_proxies: Vec::new(),
            session_idle: Duration::from_secs(30 * DAY),
            session_lifetime: Duration::from_secs(365 * DAY),
            limits: ChatLimits::default(),
        }
    }
}

impl Default for ChatLimits {
    fn default() -> Self {
        Self {
            text_chars: 4000,
            topic_chars: 200,
            name_chars: 32,
            room_name_chars: 40,
            events: Rate { at_once: 300, per_second: 20.0 },
            messages: Rate { at_once: 20, per_second: 5.0 },
            sign_ins: Rate { at_once: 10, per_second: 1.0 / 6.0 },
            rooms: 200,
            owned_rooms: 20,
            connections: 20,
            kept_messages: 100_000,
        }
    }
}

const DAY: u64 = 24 * 60 * 60;
