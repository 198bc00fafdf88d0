//! Which client a command comes from.

use std::fmt;

use switchboard::ConnectionId;

/// The connection of a client: to which run of which program, and its number there. Two runs never mean the same
/// connection, also if one follows the other on the same machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ClientId {
    run: RunId,
    connection: ConnectionId,
}

/// A run of the program, by a random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RunId(u64);

impl RunId {
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the id of a client that is connected to this run.
    pub(crate) fn client(self, connection: ConnectionId) -> ClientId {
        ClientId { run: self, connection }
    }
}

impl ClientId {
    /// Returns the connection if it is one to this run.
    pub(crate) fn connection_to(self, run: RunId) -> Option<ConnectionId> {
        (self.run == run).then_some(self.connection)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connection.fmt(f)
    }
}
