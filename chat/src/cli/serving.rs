//! Serving: binds the servers, prints their addresses, and runs them until a signal stops them.

use std::{
    convert::Infallible,
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::mpsc,
    thread,
    time::SystemTime,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use switchboard::{App, BindError, Config, Remote, Running, Server, Stopper, exit_on_panic, raise_descriptor_limit};

use super::{
    hsts::{Hsts, Policy},
    options::Options,
    redirect::Redirect,
    tls::reload::{Reloader, Source},
};
use crate::print_line;

/// A service, and where it is served.
pub(crate) struct Service {
    /// The name in the output.
    name: &'static str,
    /// Addresses to listen on.
    listen: Vec<SocketAddr>,
    /// Lines to print after the addresses.
    pub(crate) notes: Vec<String>,
    /// The server for plain HTTP beside it.
    pub(crate) redirect: Option<Redirect>,
    /// The certificates with which it is encrypted.
    tls: Option<Reloader>,
    /// When to send Strict-Transport-Security.
    pub(crate) hsts: Option<Policy>,
    /// What SIGHUP does, if not only to load the certificates.
    pub(crate) reload: Option<Reload>,
}

/// Uses the settings anew, and returns where the certificates are.
type Reload = Box<dyn FnMut(&Remote) -> Option<Source> + Send>;

impl Service {
    /// Loads the certificates.
    ///
    /// # Errors
    /// A line that says what is wrong.
    pub(crate) fn new(name: &'static str, options: &Options, certificates: Option<Source>) -> Result<Self, String> {
        let mut notes = Vec::new();
        let tls = match certificates {
            Some(source) => {
                let is_own = matches!(source, Source::SelfSigned(_));
                let reloader = source.load_first(SystemTime::now())?;
                if let Some((_, certificate)) = reloader.in_use().certificates.first().filter(|_| is_own) {
                    notes.push(format!("self-signed certificate, SHA-256 {}", certificate.fingerprint()));
                    notes.push(
                        "browsers warn about it: compare the SHA-256 in their view of the certificate, then go on"
                            .to_owned(),
                    );
                }
                reloader.log_certificates();
                Some(reloader)
            }
            None => None,
        };
        Ok(Self {
            name,
            listen: options.listen.clone(),
            notes,
            redirect: None,
            tls,
            hsts: options.hsts_policy(),
            reload: None,
        })
    }

    /// Binds the servers, prints their URLs and the notes, and runs them until a signal stops them. A second signal
    /// ends the process at once.
    ///
    /// # Errors
    /// A line that says what is wrong and what to do.
    pub(crate) fn run<A: App<Told = Infallible>>(
        self,
        mut config: Config,
        make_app: impl Fn(&Remote) -> A + Send + Sync + 'static,
    ) -> Result<(), String> {
        if let Err(error) = raise_descriptor_limit() {
            log::warn!("the limit of open files cannot be raised: {error}");
        }
        let Self { name, listen, notes, redirect, tls, hsts, mut reload } = self;
        // With nothing to reload SIGHUP ends the program, as it ends others when their terminal is closed.
        let handled =
            if tls.is_some() || reload.is_some() { &[SIGINT, SIGTERM, SIGHUP][..] } else { &[SIGINT, SIGTERM] };
        let signals = Signals::new(handled).map_err(|error| format!("cannot install signal handlers: {error}"))?;
        config.tls = tls.as_ref().map(|tls| tls.in_use().config.clone());
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
        let mut lines = greetings(name, server.local_addrs(), tls.is_some());
        let make_app = move |remote: &Remote| Hsts { app: make_app(remote), policy: hsts.clone() };
        let server = start(server, make_app)?;
        let (certificates, reloads) = mpsc::channel();
        if let Some(tls) = tls {
            let remote = server.remote().clone();
            let run = move || exit_on_panic("the reloading of certificates", || tls.run(&reloads, &remote));
            let thread = thread::Builder::new().name("switchboard-tls".to_owned());
            thread.spawn(run).map_err(|error| format!("cannot start a thread: {error}"))?;
        }
        let mut servers = vec![server];
        if let Some((server, redirect)) = redirect {
            lines.extend(redirect_greetings(&redirect, server.local_addrs()));
            servers.push(start(server, move |_| redirect.clone())?);
        }
        let remote = servers[0].remote().clone();
        let reload = move || {
            let source = reload.as_mut().and_then(|reload| reload(&remote));
            // Nobody receives it without certificates, or once the server has stopped.
            let _ = certificates.send(source);
        };
        handle_signals(signals, servers.iter().map(Running::stopper).collect(), reload);
        lines.extend(notes);
        lines.push("Ctrl-C stops it".to_owned());
        print_line(io::stdout(), &lines.join("\n"));
        for server in servers {
            server.join().map_err(|error| format!("the server failed: {error}"))?;
        }
        Ok(())
    }
}

fn start<A: App<Told = Infallible>>(
    server: Server,
    make_app: impl Fn(&Remote) -> A + Send + Sync + 'static,
) -> Result<Running, String> {
    server.start(make_app).map_err(|error| format!("cannot start the server: {error}"))
}

/// Stops all servers at the first signal, and ends the process at the second. SIGHUP reloads.
fn handle_signals(mut signals: Signals, stoppers: Vec<Stopper>, mut reload: impl FnMut() + Send + 'static) {
    thread::spawn(move || {
        let mut is_stopping = false;
        for signal in signals.forever() {
            if signal == SIGHUP {
                reload();
            } else if is_stopping {
                // The shell's exit status for a program that a signal ended.
                std::process::exit(128 + signal);
            } else {
                is_stopping = true;
                stoppers.iter().for_each(Stopper::stop);
                print_line(io::stderr(), "switchboard: stopping; send the signal again to stop at once");
            }
        }
    });
}

/// Returns the first lines of output, one for each address. The last word of a line is a URL of the service.
fn greetings(name: &str, addresses: &[SocketAddr], is_tls: bool) -> Vec<String> {
    let (http, ws) = if is_tls { ("https", "wss") } else { ("http", "ws") };
    let mut lines: Vec<_> = addresses
        .iter()
        .map(|&address| {
            let (place, authority) = place_of(address);
            match name {
                "chat" => format!("{name} {place} {http}://{authority}/"),
                _ => format!("{name} {place} {http}://{authority}/ (page) and {ws}://{authority}/"),
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
            format!("{address} is in use; choose another port with {option} {}", with_port(address))
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
            assert_eq!(greetings("chat", &addresses, false), expected);
            let encrypted: Vec<_> = expected.iter().map(|line| line.replace("http:", "https:")).collect();
            assert_eq!(greetings("chat", &addresses, true), encrypted);
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
