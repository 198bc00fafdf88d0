//! Deadlines that are replaced while the server runs: each starts again, so that a shorter one ends no connection that
//! had more time.

use std::time::Duration;

use switchboard::OriginPolicy;
use switchboard::{
    CloseCode, Config, Limits,
    apps::Echo,
    testing::{TestClient, TestServer},
};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A server, and a client that has been silent, or unfinished, for 25 of 30 seconds when all deadlines become 10.
fn after_a_while(begin: impl FnOnce(&mut TestClient)) -> (TestServer<Echo>, TestClient) {
    let config = Config::default().limits(Limits::of_bytes(1 << 20)).ping_after(seconds(30)).idle_timeout(seconds(60));
    let server = TestServer::new(config.clone(), |_| Echo::new(OriginPolicy::Any));
    let mut client = server.connect("/");
    begin(&mut client);
    server.advance(seconds(25));
    let shorter = config
        .ping_after(seconds(10))
        .idle_timeout(seconds(20))
        .message_timeout(seconds(10))
        .write_timeout(seconds(10))
        .close_timeout(seconds(10));
    server.remote().set_config(&shorter).expect("it makes sense");
    (server, client)
}

#[test]
fn of_a_silent_peer() {
    let (server, mut client) = after_a_while(|_| {});
    server.advance(seconds(9));
    client.text("not silent");
    client.expect_text("not silent");
    server.advance(seconds(9));
    client.text("and no Ping yet");
    client.expect_text("and no Ping yet");
    client.vanish();
    server.advance(seconds(9));
    assert_eq!(server.remote().connections(), 1);
    server.advance(seconds(14));
    assert_eq!(server.remote().connections(), 0);
}

#[test]
fn of_an_unfinished_message() {
    let (server, mut client) = after_a_while(|client| client.write(&[0x82, 0x85, 0, 0, 0, 0, 1]));
    server.advance(seconds(9));
    client.write(&[2, 3, 4, 5]);
    client.expect_binary(&[1, 2, 3, 4, 5]);
    let (server, mut client) = after_a_while(|client| client.write(&[0x82, 0x85, 0, 0, 0, 0, 1]));
    server.advance(seconds(12));
    client.expect_close(CloseCode::POLICY_VIOLATION);
}

#[test]
fn of_a_peer_that_takes_no_bytes() {
    let payload = vec![7; 1 << 20];
    let begin = |client: &mut TestClient| {
        client.stop_reading();
        client.binary(&payload);
    };
    let (server, mut client) = after_a_while(begin);
    server.advance(seconds(9));
    client.read_on();
    client.expect_binary(&payload);
    let (server, _client) = after_a_while(begin);
    server.advance(seconds(12));
    assert_eq!(server.remote().connections(), 0);
}
