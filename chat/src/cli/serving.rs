//! Serving: binds the servers, prints their addresses, and runs them until a signal stops them.

use std::{
    convert::Infallible,
    io::{self, ErrorKind},
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::SystemTime,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use switchboard::{App, BindError, Config, Remote, Running, Server, Stopper, exit_on_panic, raise_descriptor_limit};

use super::{
    control::{self, Answer, Process, Request},
    hsts::{Hsts, Policy},
    options::Options,
    redirect::Redirect,
    removed_file::RemovedFile,
    systemd,
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
    /// The action of SIGHUP, if it is not only to load the certificates.
    pub(crate) reload: Option<Reload>,
    /// The file for the number of the process.
    pub(crate) pid_file: Option<PathBuf>,
    /// The file of settings.
    pub(crate) settings: Option<PathBuf>,
    /// The folder of the data, where other commands reach the service.
    pub(crate) data: Option<PathBuf>,
}

/// Uses the settings anew. Returns what to say about it, and where the certificates are.
type Reload = Box<dyn FnMut(&Remote) -> (String, Option<Source>) + Send>;

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
            pid_file: None,
            settings: None,
            data: None,
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
        let Self { name, listen, notes, redirect, tls, hsts, reload, pid_file, settings, data } = self;
        // With nothing to reload SIGHUP ends the program, as it ends others when their terminal is closed.
        let reloads = tls.is_some() || reload.is_some() || systemd::is_there();
        let handled = if reloads { &[SIGINT, SIGTERM, SIGHUP][..] } else { &[SIGINT, SIGTERM] };
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
        let control = data.as_deref().and_then(|data| {
            let warn = |error: &io::Error| log::warn!("infos, reload and stop cannot reach this chat: {error}");
            control::Listener::bind(data).inspect_err(warn).ok()
        });
        let mut lines = greetings(name, server.local_addrs(), tls.is_some());
        let mut addresses = server.local_addrs().to_vec();
        let make_app = move |remote: &Remote| Hsts { app: make_app(remote), policy: hsts.clone() };
        let server = start(server, make_app)?;
        let (wishes, received) = mpsc::channel();
        let certificates = tls.as_ref().map(Reloader::lines);
        if let Some(tls) = tls {
            let remote = server.remote().clone();
            let run = move || exit_on_panic("the reloading of certificates", || tls.run(&received, &remote));
            let thread = thread::Builder::new().name("switchboard-tls".to_owned());
            thread.spawn(run).map_err(|error| format!("cannot start a thread: {error}"))?;
        }
        let mut servers = vec![server];
        if let Some((server, redirect)) = redirect {
            lines.extend(redirect_greetings(&redirect, server.local_addrs()));
            addresses.extend(server.local_addrs());
            servers.push(start(server, move |_| redirect.clone())?);
        }
        let manager = Arc::new(Mutex::new(Manager {
            stoppers: servers.iter().map(Running::stopper).collect(),
            remote: servers[0].remote().clone(),
            reload,
            wishes,
            certificates,
            process: Process::new(addresses, data.unwrap_or_default(), settings),
        }));
        handle_signals(signals, Arc::clone(&manager));
        // The socket is removed when the servers have ended.
        let _socket = match control {
            Some(control) => {
                let started = control.start(move |request| lock(&manager).answer(request));
                Some(started.map_err(|error| format!("cannot start a thread: {error}"))?)
            }
            None => None,
        };
        let _pid_file = pid_file.map(RemovedFile::with_pid).transpose()?;
        lines.extend(notes);
        lines.push("Ctrl-C stops it".to_owned());
        print_line(io::stdout(), &lines.join("\n"));
        systemd::ready();
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

/// Stops and reloads what runs, and knows about it.
struct Manager {
    stoppers: Vec<Stopper>,
    remote: Remote,
    reload: Option<Reload>,
    /// To the thread that loads the certificates, if there are any.
    wishes: mpsc::Sender<Option<Source>>,
    /// The certificates in use.
    certificates: Option<Arc<Mutex<Vec<String>>>>,
    process: Process,
}

impl Manager {
    fn stop(&self) {
        systemd::stopping();
        self.stoppers.iter().for_each(Stopper::stop);
    }

    /// Uses the settings and the certificates anew. Returns what was replaced.
    fn reload(&mut self) -> String {
        systemd::reloading();
        let reloaded = self.reload.as_mut().map(|reload| reload(&self.remote));
        let (answer, source) = match (reloaded, &self.certificates) {
            (Some(reloaded), _) => reloaded,
            (None, Some(_)) => ("the certificates are loaded; the log says if they cannot be used".to_owned(), None),
            (None, None) => ("there is neither a file of settings nor a certificate to reload".to_owned(), None),
        };
        // Nobody receives it without certificates, or once the server has stopped.
        let _ = self.wishes.send(source);
        self.process.reloaded(answer.clone());
        systemd::ready();
        answer
    }

    fn answer(&mut self, request: Request) -> Answer {
        match request {
            Request::Stop => {
                self.stop();
                Answer::Done("stopping".to_owned())
            }
            Request::Reload => Answer::Done(self.reload()),
            Request::Infos => {
                let certificates = self.certificates.as_ref().map(|lines| lock(lines).clone());
                Answer::Infos(Box::new(self.process.infos(&self.remote, certificates.unwrap_or_default())))
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stops all servers at the first signal, and ends the process at the second. SIGHUP reloads.
fn handle_signals(mut signals: Signals, manager: Arc<Mutex<Manager>>) {
    thread::spawn(move || {
        let mut is_stopping = false;
        for signal in signals.forever() {
            if signal == SIGHUP {
                let answer = lock(&manager).reload();
                print_line(io::stderr(), &format!("switchboard: {answer}"));
            } else if is_stopping {
                // The shell's exit status for a program that a signal ended.
                std::process::exit(128 + signal);
            } else {
                is_stopping = true;
                lock(&manager).stop();
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
