//! The options of `switchboard connect`.
#![allow(rustdoc::bare_urls, reason = "the doc comments here are help texts of a terminal")]

use std::{fs, path::PathBuf, time::Duration};

use clap::Args;
use switchboard::client::{Client, ClientBuilder};

use super::super::values;

/// Options that curl has as well have its names.
#[derive(Args, Debug)]
pub(crate) struct ConnectOptions {
    /// Address of the server, such as ws://localhost:8080/ or wss://chat.example/ws
    pub(crate) url: String,
    /// Send lines as binary messages, written in hexadecimal
    #[arg(short, long)]
    pub(crate) binary: bool,
    /// Print one JSON object for each event: {"opcode": "text", "text": ...}, {"opcode": "binary", "base64": ...},
    /// {"opcode": "close", "code": ..., "reason": ...}, and {"state": ...} for "open", "waiting" and "failed"
    #[arg(long)]
    pub(crate) json: bool,
    /// How long the server must be silent after the end of the input before the connection is closed, or "forever"
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = wait)]
    pub(crate) wait: Wait,
    /// Close the connection after the first message of the server
    #[arg(short = '1', long)]
    pub(crate) one_message: bool,
    /// Connect again after a loss, with longer and longer pauses; up to 1,000 messages wait meanwhile
    #[arg(long)]
    pub(crate) reconnect: bool,
    /// Send a Ping after this silence of the server, and give it up after twice as long
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::time)]
    pub(crate) ping: Duration,
    /// Offer compression (permessage-deflate)
    #[arg(long)]
    pub(crate) compress: bool,
    /// Write the messages of both ends to this file, a JSON object in each line: {"time": SECONDS, "from": "client",
    /// "opcode": "text", "text": ...} or {..., "opcode": "binary", "base64": ...}; what the file held is lost
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Send what the client has sent in this recording, at the same pace, instead of standard input
    #[arg(long, value_name = "FILE", conflicts_with = "binary")]
    pub(crate) replay: Option<PathBuf>,
    /// Replay as fast as the server takes it
    #[arg(long, requires = "replay")]
    pub(crate) fast: bool,
    /// Print nothing on standard error except errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    request: RequestOptions,
    #[command(flatten)]
    way: WayOptions,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Request")]
struct RequestOptions {
    /// Add a header field to the request, such as "Authorization: Bearer abc"; repeatable
    #[arg(short = 'H', long, value_name = "NAME:VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// Offer this subprotocol; repeatable, the best first
    #[arg(long, value_name = "NAME")]
    subprotocol: Vec<String>,
    /// Origin to send, as a browser does
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// Follow redirects, up to 10
    #[arg(short = 'L', long)]
    location: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Connection")]
struct WayOptions {
    /// Proxy: http://, socks5:// or socks5h:// [default: the environment's, such as https_proxy]
    #[arg(short = 'x', long, value_name = "URL")]
    proxy: Option<String>,
    /// Time for the connection and the opening handshake
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::time)]
    connect_timeout: Duration,
    /// Trust these authorities, or this server's own certificate, and no others, in PEM; repeatable [default: those of
    /// the system]
    #[arg(long, value_name = "FILE")]
    cacert: Vec<PathBuf>,
    /// Certificate to present to the server, in PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

/// How long the server must be silent after the end of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    For(Duration),
    Forever,
}

impl ConnectOptions {
    /// Returns the options of the client.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn builder(&self) -> Result<ClientBuilder, String> {
        let read = |file: &PathBuf| fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()));
        // A reader of the output that pauses stops the server as well, and then the input: that must not end the
        // connection. A server that is gone is silent, and given up for that.
        let mut builder = Client::builder().connect_timeout(self.way.connect_timeout).write_timeout(None);
        for (name, value) in &self.request.header {
            builder = builder.header(name, value);
        }
        for name in &self.request.subprotocol {
            builder = builder.subprotocol(name);
        }
        if let Some(origin) = &self.request.origin {
            builder = builder.origin(origin);
        }
        if self.request.location {
            builder = builder.redirects(MAX_REDIRECTS);
        }
        if !self.compress {
            builder = builder.deflate(None);
        }
        builder = match &self.way.proxy {
            Some(proxy) => builder.proxy(proxy),
            None => builder.proxy_from_env(),
        };
        for file in &self.way.cacert {
            builder = builder.roots(read(file)?);
        }
        if let (Some(cert), Some(key)) = (&self.way.cert, &self.way.key) {
            builder = builder.client_certificate(read(cert)?, read(key)?);
        }
        Ok(builder)
    }
}

/// Parses a header field. White space around its value is not part of it.
fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.trim_ascii().to_owned())),
        _ => Err("expected a name and a value, such as \"Authorization: Bearer abc\"".to_owned()),
    }
}

fn wait(text: &str) -> Result<Wait, String> {
    match text {
        "forever" => Ok(Wait::Forever),
        _ => {
            values::time_or_zero(text).map(Wait::For).map_err(|_| "expected a time such as 5s, 0 or forever".to_owned())
        }
    }
}

/// How many redirects are followed.
const MAX_REDIRECTS: u32 = 10;
