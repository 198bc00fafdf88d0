//! The chat's configuration: where its data is, who may sign in, and the limits for each user.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use switchboard::IpNet;

use super::{Data, Name, Origin, Rate};

/// The configuration of a chat.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChatConfig {
    /// Where accounts, sessions, rooms and messages are stored. Default: in memory.
    pub data: Data,
    /// Whether guests may sign in: users without an account, with any free name. Default: no.
    pub guests: bool,
    /// Whether users may register accounts themselves. Default: yes.
    pub registration: bool,
    /// The origin under which browsers reach the chat, such as `https://chat.example`. Default: none. Browsers can
    /// always use an IP address or `localhost` as well. With https, cookies are `Secure`.
    pub public_url: Option<Origin>,
    /// Origins of other web pages that may open a WebSocket. Their users sign in with a token: the cookie does not
    /// count there. Default: none.
    pub origins: Vec<Origin>,
    /// Networks of reverse proxies whose `X-Forwarded-For` is trusted to name the client's address. Default: none.
    pub trusted_proxies: Vec<IpNet>,
    /// Maximum time of a session without activity; reading does not count as activity. Default: 30 days. A guest's
    /// session lasts at most a day without activity.
    pub session_idle: Duration,
    /// Maximum time of a session, active or not. Default: 365 days.
    pub session_lifetime: Duration,
    /// Memory for events that the chat has not handled, of all connections, in bytes. Half of it is kept for short
    /// events of connections for which nothing else waits. Past it, events are refused as `overloaded`. Default: 128
    /// MiB.
    pub waiting_event_bytes: usize,
    /// The limits for each user, connection and room.
    pub limits: ChatLimits,
}

/// The configuration of a chat that runs, which may be replaced.
#[derive(Clone, Debug)]
pub(super) struct SharedConfig(Arc<ArcSwap<ChatConfig>>);

impl SharedConfig {
    pub(super) fn new(config: ChatConfig) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(config)))
    }

    pub(super) fn get(&self) -> Arc<ChatConfig> {
        self.0.load_full()
    }

    /// Replaces the configuration, but for what has been used already.
    pub(super) fn replace(&self, config: ChatConfig) -> Arc<ChatConfig> {
        let before = self.get();
        let config = Arc::new(ChatConfig {
            data: before.data.clone(),
            public_url: before.public_url.clone(),
            waiting_event_bytes: before.waiting_event_bytes,
            ..config
        });
        self.0.store(Arc::clone(&config));
        config
    }
}

/// The limits of a chat for each user, connection and room.
///
/// Any values are safe. 0 allows nothing, and the maximum of a type is no limit, except where the text says otherwise.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChatLimits {
    /// Maximum characters in a message. Default: 4,000.
    pub text_chars: usize,
    /// Maximum characters in a room's topic. Default: 200.
    pub topic_chars: usize,
    /// Maximum characters in a user's name. Default: 32. More than [`Name::HIGHEST_LIMIT`] counts as that many.
    pub name_chars: usize,
    /// Maximum characters in a room's name. Default: 40. More than [`Name::HIGHEST_LIMIT`] counts as that many.
    pub room_name_chars: usize,
    /// Rate of events on each connection. Default: 300 at once, then 20 per second.
    pub events: Rate,
    /// Rate of messages from each user, over all their connections. Default: 20 at once, then 5 per second.
    pub messages: Rate,
    /// Rate of rooms that each user enters or creates. Default: 60 at once, then one every 5 seconds.
    pub entries: Rate,
    /// Rate of conversations that each user begins: first messages to users who are not in the conversation. Default:
    /// 20 at once, then one per minute. Guests have a quarter of it.
    pub conversations: Rate,
    /// Rate of failed log-ins from each address (each /64 of IPv6). A /24 of IPv4 and a /48 of IPv6 have four times as
    /// many, a /56 twice as many; all strangers together have ten times as many at once for each account, and a device
    /// on which its user has signed in before has as many of its own. Default: 10 at once, then one every 6 seconds.
    pub sign_ins: Rate,
    /// Rate of new accounts, guests and log-ins together from each address (each /64 of IPv6), with multiples as for
    /// `sign_ins`. Default: 60 at once, then one every 2 seconds.
    pub sign_ups: Rate,
    /// Maximum rooms that a user is a member of. Default: 200.
    pub rooms: usize,
    /// Maximum rooms that a user has created and still owns. Default: 20.
    pub owned_rooms: usize,
    /// Maximum connections of each user. Default: 20.
    pub connections: usize,
    /// Number of messages to keep in each room; older ones are deleted. Default: 100,000. 0 counts as 1.
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
            waiting_event_bytes: 128 << 20,
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
            entries: Rate { at_once: 60, per_second: 0.2 },
            conversations: Rate { at_once: 20, per_second: 1.0 / 60.0 },
            sign_ins: Rate { at_once: 10, per_second: 1.0 / 6.0 },
            sign_ups: Rate { at_once: 60, per_second: 0.5 },
            rooms: 200,
            owned_rooms: 20,
            connections: 20,
            kept_messages: 100_000,
        }
    }
}

impl ChatLimits {
    /// Replaces the values that are out of range by the nearest ones in it.
    pub(super) fn clamp(&mut self) {
        self.name_chars = self.name_chars.min(Name::HIGHEST_LIMIT);
        self.room_name_chars = self.room_name_chars.min(Name::HIGHEST_LIMIT);
        self.kept_messages = self.kept_messages.max(1);
    }
}

const DAY: u64 = 24 * 60 * 60;
