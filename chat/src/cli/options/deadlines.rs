//! The times for which the server waits for a client.

use std::time::Duration;

use clap::Args;
use switchboard::Config;

use super::super::values;

#[derive(Args, Debug)]
#[command(next_help_heading = "Deadlines")]
pub(crate) struct Deadlines {
    /// Time for a whole request or opening handshake, from the start of the connection, with the handshake of TLS
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::time)]
    handshake_timeout: Duration,
    /// Keep a connection open this long for its next HTTP request, such as 75s; 0 closes it after each response
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = values::time_or_zero)]
    keep_alive: Duration,
    /// Send a Ping to a client that has sent nothing for this long. Choose less than what proxies between allow
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::time)]
    ping_after: Duration,
    /// Close the connection of a client that has sent nothing for this long, not even a Pong; more than --ping-after
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = values::time)]
    idle_timeout: Duration,
    /// Time for a client to go on with a message that it has begun, by a thirty-second part of what is there
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::time)]
    message_timeout: Duration,
    /// Time for a client to take a thirty-second part of the bytes that wait for it
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::time)]
    write_timeout: Duration,
    /// Time for a client to answer a Close
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::time)]
    close_timeout: Duration,
    /// Time for a client to end TCP after the server has ended its side
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = values::time)]
    linger_timeout: Duration,
    /// Time that a stop takes at most; then all remaining connections are cut
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::time)]
    stop_timeout: Duration,
}

impl Deadlines {
    /// Returns what is wrong with the deadlines together.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.idle_timeout > self.ping_after {
            return Ok(());
        }
        let (idle, ping) = (self.idle_timeout, self.ping_after);
        Err(format!("--idle-timeout {idle:?} must be longer than --ping-after {ping:?}: a client needs time to answer"))
    }

    /// Sets the deadlines of a server.
    pub(super) fn set(&self, config: &mut Config) {
        let Self { handshake_timeout, keep_alive, ping_after, idle_timeout, message_timeout, .. } = *self;
        let Self { write_timeout, close_timeout, linger_timeout, stop_timeout, .. } = *self;
        config.handshake_timeout = handshake_timeout;
        config.keep_alive_timeout = keep_alive;
        config.ping_after = ping_after;
        config.idle_timeout = idle_timeout;
        config.message_timeout = message_timeout;
        config.write_timeout = write_timeout;
        config.close_timeout = close_timeout;
        config.linger_timeout = linger_timeout;
        config.stop_timeout = stop_timeout;
    }
}
