//! A server listens on several addresses, of IPv4 and IPv6.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
};

use switchboard::{BindError, Message, Response, Server};
use switchboard_tests::server::{Raw, Service, TestServer, builder, config, expect_text, round_trip, serve_on};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Binds to these addresses, with a port that is free on all of them in place of `PORT`.
fn bind_to_one_port(texts: &[&str], workers: usize) -> Server {
    let mut config = config();
    config.workers = workers;
    for _ in 0..20 {
        let free = Server::bind("[::]:0".parse().unwrap(), config.clone()).unwrap().local_addr().port().to_string();
        let texts: Vec<_> = texts.iter().map(|text| text.replace("PORT", &free)).collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        match Server::bind_all(&addresses(&texts), config.clone()) {
            Ok(server) => return server,
            // Another program has taken the port in between.
            Err(BindError::Address(_, error)) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("{texts:?} cannot be bound to one port");
}

/// Serves, and sends the address of each client that asks for something.
fn serve_and_tell(server: Server) -> (TestServer, mpsc::Receiver<SocketAddr>) {
    let (requests, peers) = mpsc::channel();
    let handshakes = requests.clone();
    let service = Service::echo()
        .on_accept(move |handshake, verdict| {
            handshakes.send(handshake.peer).unwrap();
            verdict.accept(());
        })
        .on_request(move |request, responder| {
            requests.send(request.peer).unwrap();
            responder.send(Response::new(204));
        });
    (serve_on(server, service), peers)
}

#[test]
fn each_address_is_served_by_each_worker() {
    for workers in [1, 3] {
        let mut config = config();
        config.workers = workers;
        let server = Server::bind_all(&addresses(&["127.0.0.1:0", "[::1]:0", "127.0.0.1:0"]), config).unwrap();
        let bound = server.local_addrs().to_vec();
        assert_eq!((bound.len(), server.local_addr()), (3, bound[0]));
        assert!(bound.iter().all(|address| address.port() != 0) && bound[0] != bound[2], "{bound:?}");
        assert_eq!([bound[0].ip(), bound[1].ip(), bound[2].ip()], [V4, V6, V4]);
        let server = serve_on(server, Service::echo());
        for address in bound.iter().cycle().take(24) {
            round_trip(&mut builder().connect(&format!("ws://{address}/")).unwrap());
        }
        server.stop();
        server.join();
        for address in bound {
            assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused, "{address}");
        }
    }
}

#[test]
fn all_of_ipv6_takes_clients_of_both_families_and_names_them_as_they_are() {
    // With a listener of IPv4 beside it, or one of another port, or alone.
    let rows: [&[&str]; 4] =
        [&["[::]:PORT"], &["[::]:PORT", "0.0.0.0:PORT"], &["0.0.0.0:PORT", "[::]:PORT"], &["[::]:PORT", "127.0.0.1:0"]];
    for texts in rows {
        for workers in [1, 2] {
            let (server, peers) = serve_and_tell(bind_to_one_port(texts, workers));
            let port = server.address.port();
            for ip in [V4, V6, V4, V6] {
                let address = SocketAddr::new(ip, port);
                let mut raw = Raw::connect(address);
                raw.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
                assert_eq!(raw.head().status, 204, "{texts:?}");
                assert_eq!(peers.recv().unwrap().ip(), ip, "{texts:?}");
                round_trip(&mut builder().connect(&format!("ws://{address}/")).unwrap());
                assert_eq!(peers.recv().unwrap().ip(), ip, "{texts:?}");
            }
        }
    }
}

#[test]
fn all_of_ipv6_leaves_ipv4_to_a_listener_of_its_own() {
    let (server, peers) = serve_and_tell(bind_to_one_port(&["[::]:PORT", "127.0.0.1:PORT"], 1));
    let port = server.address.port();
    for (ip, expected) in [(V6, true), (V4, true), ([127, 0, 0, 2].into(), false)] {
        let connected = TcpStream::connect((ip, port));
        assert_eq!(connected.is_ok(), expected, "{ip}");
    }
    drop((server, peers));
}

#[test]
fn an_error_names_the_address() {
    let taken = Server::bind("127.0.0.1:0".parse().unwrap(), config()).unwrap();
    let free = "127.0.0.1:0".parse().unwrap();
    for workers in [1, 2] {
        let mut config = config();
        config.workers = workers;
        let bind = |all: &[SocketAddr]| match Server::bind_all(all, config.clone()) {
            Err(BindError::Address(address, error)) => (address, error.kind()),
            other => panic!("{other:?}"),
        };
        assert_eq!(bind(&[free, taken.local_addr()]), (taken.local_addr(), ErrorKind::AddrInUse));
        let foreign = "192.0.2.1:0".parse().unwrap();
        assert_eq!(bind(&[free, foreign]), (foreign, ErrorKind::AddrNotAvailable));
        let all = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), taken.local_addr().port());
        assert_eq!(bind(&[taken.local_addr(), all]), (all, ErrorKind::InvalidInput));
        assert!(matches!(Server::bind_all(&[], config.clone()), Err(BindError::Config(_))));
    }
}

#[test]
fn listeners_that_exist_are_shared_by_all_workers_with_one_set_of_topics() {
    for workers in [1, 3] {
        let listeners: Vec<_> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let bound: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        // A client that came before the server.
        let mut early = Raw::connect(bound[1]);
        let mut config = config();
        config.workers = workers;
        let server = Server::from_listeners(listeners, config).unwrap();
        assert_eq!(server.local_addrs(), bound);
        let service = Service::echo().on_opened(|context| context.subscribe("all"));
        let server = serve_on(server, service);
        early.handshake();
        let mut clients = Vec::new();
        for number in 0..16 {
            clients.push(builder().connect(&format!("ws://{}/", bound[number % 2])).unwrap());
            server.next_opened();
        }
        server.next_opened();
        server.remote.publish("all", Message::Text("to all"));
        for client in &mut clients {
            expect_text(client, "to all");
        }
        early.expect_frame(0x81, "to all");
    }
}

#[test]
fn a_listener_outlives_its_server_and_the_next_one_serves_who_came_in_between() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting: Option<Raw> = None;
    for _ in 0..3 {
        let server = Server::from_listeners(vec![listener.try_clone().unwrap()], config()).unwrap();
        let server = serve_on(server, Service::echo());
        if let Some(raw) = &mut waiting {
            raw.handshake();
            raw.text("in between");
            raw.expect_frame(0x81, "in between");
        }
        server.stop();
        server.join();
        waiting = Some(Raw::connect(address));
    }
}

#[test]
fn what_is_no_listener_of_tcp_is_refused() {
    let refused = |listeners| Server::from_listeners(listeners, config()).unwrap_err().kind();
    assert_eq!(refused(Vec::new()), ErrorKind::InvalidInput);
    #[cfg(unix)]
    {
        use std::os::{fd::OwnedFd, unix::net::UnixStream};
        let (unix, _other) = UnixStream::pair().unwrap();
        assert_eq!(refused(vec![TcpListener::from(OwnedFd::from(unix))]), ErrorKind::InvalidInput);
    }
}
