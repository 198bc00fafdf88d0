//! Serving: binds the servers, prints their addresses, and runs them until a signal stops them.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use switchboard::{App, BindError, Config, Remote, Running, Server, Stopper, raise_descriptor_limit};

use super::{options::Options, redirect::Redirect};
use crate::print_line;

/// A service, and where it is served.
#[derive(Debug)]
pub(crate) struct Service {
    /// The name in the output.
    name: &'static str,
    /// Addresses to listen on.
    listen: Vec<SocketAddr>,
    /// Lines to print after the addresses.
    pub(crate) notes: Vec<String>,
    /// The server for plain HTTP beside it.
    pub(crate) redirect: Option<Redirect>,
}

impl Service {
    pub(crate) fn new(name: &'static str, options: &Options) -> Self {
        Self { name, listen: options.listen.clone(), notes: Vec::new(), redirect: None }
    }

    /// Binds the servers, prints their URLs and the notes, and runs them until a signal stops them. A second signal ends
    /// the process at once.
    ///
    /// # Errors
    /// A line that says what is wrong and what to do.
    pub(crate) fn run<A: App>(
        self,
        mut config: Config,
        make_app: impl Fn(&Remote) -> A + Send + Sync + 'static,
    ) -> Result<(), String> {
        if let Err(error) = raise_descriptor_limit() {
            log::warn!("the limit of open files cannot be raised: {error}");
        }
        let signals =
            Signals::new([SIGINT, SIGTERM]).map_err(|error| format!("cannot install signal handlers: {error}"))?;
        let Self { name, listen, notes, redirect } = self;
        if redirect.is_some() {
            config.reserved_descriptors += Redirect::DESCRIPTORS;
        }
        let server = Server::bind_all(&listen, config).map_err(|error| cannot_bind(&error, "--listen"))?;
        // Both are bound before either runs, so that an error ends the program before anybody is served.
        let redirect = match redirect {
            Some(redirect) => {
                let server = Server::bind_all(&redirect.listen, redirect.server_config());
                Some((server.map_err(|error| cannot_bind(&error, "--http-listen"))?, redirect))
            }
            None => None,
        };
        let mut lines = greetings(name, server.addresses());
        let mut servers = vec![start(server, make_app)?];
        if let Some((server, redirect)) = redirect {
            lines.extend(redirect_greetings(&redirect, server.addresses()));
            servers.push(start(server, move |_| redirect.clone())?);
        }
        stop_at_signal(signals, servers.iter().map(Running::stopper).collect());
        lines.extend(notes);
        lines.push("Ctrl-C stops it".to_owned());
        print_line(io::stdout(), &lines.join("\n"));
        for server in servers {
            server.join().map_err(|error| format!("the server failed: {error}"))?;
        }
        Ok(())
    }
}

fn start<A: App>(server: Server, make_app: impl Fn(&Remote) -> A + Send + Sync + 'static) -> Result<Running, String> {
    server.start(make_app).map_err(|error| format!("cannot start the server: {error}"))
}

/// Stops all servers at the first signal, and ends the process at the second.
fn stop_at_signal(mut signals: Signals, stoppers: Vec<Stopper>) {
    std::thread::spawn(move || {
        let mut signals = signals.forever();
        if signals.next().is_some() {
            stoppers.iter().for_each(Stopper::stop);
            print_line(io::stderr(), "switchboard: stopping; send the signal again to stop at once");
        }
        if let Some(signal) = signals.next() {
            // The shell's exit status for a program that a signal ended.
            std::process::exit(128 + signal);
        }
    });
}

/// Returns the first lines of output, one for each address. The last word of a line is a URL of the service.
fn greetings(name: &str, addresses: &[SocketAddr]) -> Vec<String> {
    let mut lines: Vec<_> = addresses
        .iter()
        .map(|&address| {
            let (place, authority) = place_of(address);
            match name {
                "chat" => format!("{name} {place} http://{authority}/"),
                _ => format!("{name} {place} http://{authority}/ (page) and ws://{authority}/"),
            }
        })
        .collect();
    // All addresses of IPv4 and all of IPv6 have one line.
    lines.dedup();
    lines
}

/// Returns the lines of output about the server for plain HTTP.
fn redirect_greetings(redirect: &Redirect, addresses: &[SocketAddr]) -> Vec<String> {
    let target = &redirect.target;
    let mut lines: Vec<_> =
        addresses.iter().map(|address| format!("http://{}/ redirects to {target}/", place_of(*address).1)).collect();
    lines.dedup();
    lines.extend(redirect.webroot.as_ref().map(|webroot| format!("challenges of ACME in {}", webroot.display())));
    lines
}

/// Returns where a service is, for people, and the host and port of its URL.
fn place_of(address: SocketAddr) -> (String, String) {
    if address.ip().is_unspecified() {
        (format!("on all addresses, port {}:", address.port()), format!("localhost:{}", address.port()))
    } else {
        ("at".to_owned(), address.to_string())
    }
}

/// Returns an error message of one line that names the fix. `option` has the addresses.
fn cannot_bind(error: &BindError, option: &str) -> String {
    let BindError::Address(address, error) = error else { return format!("cannot start the server: {error}") };
    let address = *address;
    match error.kind() {
        ErrorKind::AddrInUse => {
            format!("{address} is in use by another program; choose another port with {option} {}", with_port(address))
        }
        ErrorKind::AddrNotAvailable => {
            format!("{address} is not an address of this machine; choose another with {option} ADDR:PORT")
        }
        ErrorKind::PermissionDenied => {
            format!("permission denied for {address}; choose a port from 1024 up with {option} {}", with_port(address))
        }
        _ => format!("cannot listen on {address}: {error}; choose another address with {option} ADDR:PORT"),
    }
}

/// Returns an address with the word PORT for its port.
fn with_port(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => format!("{}:PORT", address.ip()),
        SocketAddr::V6(address) => format!("[{}]:PORT", address.ip()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_printed_and_all_addresses_once() {
        let rows: [(&[&str], &[&str]); 5] = [
            (&["127.0.0.1:80"], &["chat at http://127.0.0.1:80/"]),
            (&["127.0.0.1:80", "[::1]:81"], &["chat at http://127.0.0.1:80/", "chat at http://[::1]:81/"]),
            (&["0.0.0.0:80"], &["chat on all addresses, port 80: http://localhost:80/"]),
            (&["[::]:80", "0.0.0.0:80"], &["chat on all addresses, port 80: http://localhost:80/"]),
            (
                &["[::]:80", "127.0.0.1:81"],
                &["chat on all addresses, port 80: http://localhost:80/", "chat at http://127.0.0.1:81/"],
            ),
        ];
        for (addresses, expected) in rows {
            let addresses: Vec<_> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            assert_eq!(greetings("chat", &addresses), expected);
        }
    }

    #[test]
    fn an_error_names_the_address_and_the_option() {
        let address = "[::1]:80".parse().unwrap();
        for (kind, expected) in [
            (ErrorKind::AddrInUse, "choose another port with --listen [::1]:PORT"),
            (ErrorKind::AddrNotAvailable, "choose another with --listen ADDR:PORT"),
            (ErrorKind::PermissionDenied, "choose a port from 1024 up with --listen [::1]:PORT"),
            (ErrorKind::Other, "choose another address with --listen ADDR:PORT"),
        ] {
            let message = cannot_bind(&BindError::Address(address, kind.into()), "--listen");
            assert!(message.contains("[::1]:80") && message.ends_with(expected), "{message}");
        }
    }
}
