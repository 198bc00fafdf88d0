//! How a connection over TLS ends: by the closing handshake, close_notify and FIN, or without some of them.

use std::io::{ErrorKind, Read, Write};

use switchboard::{
    CloseCode, CloseFrame, OwnedCloseFrame,
    client::{ClientError, Message, TlsErrorKind},
};

use super::{Setting, TLS12, TLS13, kind_of, secure_url};
use crate::{
    assert_closed,
    peer::{Peer, Wire},
};

/// A way in which a server ends its side: with close_notify or without.
type End = fn(&mut Peer);

#[test]
fn an_end_without_a_close_frame_is_disconnected_with_close_notify_or_without() {
    let ends: [(&str, End); 2] = [("close_notify", Peer::end), ("only FIN", Peer::truncate)];
    for versions in [TLS12, TLS13] {
        for (name, end) in ends {
            for started in [b"".as_slice(), b"\x81", b"\x81\x05Hel", b"\x01\x05Hello"] {
                let setting = Setting::with_versions(versions);
                let server = setting.serve(move |mut peer| {
                    peer.open();
                    peer.write(started);
                    end(&mut peer);
                });
                let mut client = setting.connect(&server);
                let error = client.receive().unwrap_err();
                assert!(matches!(error, ClientError::Disconnected), "{name} after {started:?}: {error:?}");
                assert_closed(&mut client);
                server.finish();
            }
        }
    }
}

#[test]
fn after_the_closing_handshake_the_server_may_leave_close_notify_out() {
    let ends: [(&str, End); 2] = [("close_notify", Peer::end), ("only FIN", Peer::truncate)];
    for (name, end) in ends {
        let setting = Setting::new();
        let server = setting.serve(move |mut peer| {
            peer.open();
            assert!(matches!(peer.next(), Message::Close(_)));
            peer.close(Some(CloseFrame { code: CloseCode::NORMAL_CLOSURE, reason: "bye" }));
            end(&mut peer);
        });
        let mut client = setting.connect(&server);
        let answer = client.close(CloseCode::NORMAL_CLOSURE, "");
        assert_eq!(answer.unwrap(), Some(OwnedCloseFrame::new(CloseCode::NORMAL_CLOSURE, "bye")), "{name}");
        assert_closed(&mut client);
        server.finish();
    }
}

#[test]
fn the_client_sends_close_notify_after_its_close_frame_and_lets_the_server_end_tcp_first() {
    for versions in [TLS12, TLS13] {
        let setting = Setting::with_versions(versions);
        let server = setting.serve(|mut peer| {
            peer.open();
            peer.close(Some(CloseFrame { code: CloseCode::GOING_AWAY, reason: "" }));
            assert!(matches!(peer.next(), Message::Close(_)));
            // Without close_notify this is an error, and without the end of TLS there is nothing to read.
            assert_eq!(peer.stream.read(&mut [0]).unwrap(), 0);
            // TCP goes on: its end would be a read of nothing too.
            let Wire::Tls(stream) = &mut peer.stream else { panic!("the connection is not secure") };
            stream.sock.tcp.set_read_timeout(Some(crate::SHORT)).unwrap();
            let read = stream.sock.tcp.read(&mut [0]);
            assert!(read.as_ref().is_err_and(|error| crate::peer::is_timeout(error.kind())), "{read:?}");
            peer.end();
        });
        let mut client = setting.connect(&server);
        assert_eq!(client.receive().unwrap(), Message::Close(Some(OwnedCloseFrame::new(CloseCode::GOING_AWAY, ""))));
        assert_closed(&mut client);
        server.finish();
    }
}

#[test]
fn a_protocol_error_is_answered_by_a_close_frame_and_close_notify() {
    let setting = Setting::new();
    let server = setting.serve(|mut peer| {
        peer.open();
        peer.write(b"\x83\x00");
        peer.write(&[0; 40_000]);
        assert!(matches!(peer.next(), Message::Close(Some(OwnedCloseFrame { code: CloseCode::PROTOCOL_ERROR, .. }))));
        assert_eq!(peer.stream.read(&mut [0]).unwrap(), 0);
        peer.end();
    });
    let mut client = setting.connect(&server);
    let error = client.receive().unwrap_err();
    assert!(matches!(error, ClientError::Protocol(_)), "{error:?}");
    assert_closed(&mut client);
    server.finish();
}

#[test]
fn messages_before_a_broken_record_are_received() {
    let setting = Setting::new();
    let server = setting.serve(|mut peer| {
        peer.open();
        let mut wire = Vec::new();
        peer.tls().writer().write_all(b"\x81\x02hi").unwrap();
        while peer.tls().wants_write() {
            peer.tls().write_tls(&mut wire).unwrap();
        }
        wire.extend_from_slice(b"\x17\x03\x03\x00\x20rubbish that nobody has encrypted.");
        peer.stream.tcp().write_all(&wire).unwrap();
        let error = peer.stream.read(&mut [0]).unwrap_err();
        let alert = error.get_ref().and_then(|error| error.downcast_ref());
        assert_eq!(alert, Some(&rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac)));
    });
    let mut client = setting.connect(&server);
    assert_eq!(client.receive().unwrap(), Message::Text("hi".into()));
    assert_eq!(kind_of(client.receive()), TlsErrorKind::Protocol);
    assert_closed(&mut client);
    server.finish();
}

#[test]
fn a_client_that_is_dropped_ends_tcp_without_close_notify() {
    let setting = Setting::new();
    let server = setting.serve(|mut peer| {
        peer.open();
        assert_eq!(peer.stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    });
    drop(setting.connect(&server));
    server.finish();
}

#[test]
fn a_refusal_comes_with_its_head_and_body() {
    let setting = Setting::new();
    let server = setting.serve(|mut peer| {
        peer.request();
        peer.write_and_end(b"HTTP/1.1 403 Forbidden\r\n\r\nno way");
    });
    match setting.builder.connect(&secure_url(&server)) {
        Err(ClientError::Refused { response, body }) => assert_eq!((response.status(), &*body), (403, &b"no way"[..])),
        other => panic!("{other:?}"),
    }
    server.finish();
}
