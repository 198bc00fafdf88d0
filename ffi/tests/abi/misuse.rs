//! Calls that cannot be done: each returns why, and changes nothing.

use std::{
    ffi::{CStr, CString},
    mem::MaybeUninit,
    ptr,
};

use switchboard_ffi::*;

use crate::support::*;

/// Each function with NULL wherever a pointer is taken.
#[test]
fn null_is_never_followed() {
    let (bytes, string) = (ptr::null(), ptr::null());
    switchboard_config_free(None);
    switchboard_request_free(None);
    switchboard_connection_free(None);
    let mut used = MaybeUninit::uninit();
    let mut event = MaybeUninit::uninit();
    let mut made = MaybeUninit::uninit();
    // SAFETY: all pointers are null.
    let rows = unsafe {
        [
            switchboard_config_set_max_message_bytes(None, 1),
            switchboard_config_set_max_frame_bytes(None, 1),
            switchboard_config_set_max_empty_frames(None, 1),
            switchboard_config_set_max_head_bytes(None, 1),
            switchboard_config_set_max_headers(None, 1),
            switchboard_config_set_deflate(None, true),
            switchboard_config_set_deflate_level(None, 1),
            switchboard_config_set_deflate_bytes(None, 1, 2),
            switchboard_config_set_deflate_memory(None, 1),
            switchboard_config_set_deflate_max_unfinished(None, 1),
            switchboard_request_set_origin(None, string),
            switchboard_request_add_subprotocol(None, string),
            switchboard_request_add_header(None, string, string),
            switchboard_request_set_origin(Some(&mut request("a", "/")), string),
            switchboard_connection_new_client(None, None, None),
            switchboard_connection_new_client(None, None, Some(&mut made)),
            switchboard_connection_receive(None, ptr::null_mut(), 0, None, None),
            switchboard_connection_receive(None, ptr::null_mut(), 0, Some(&mut used), Some(&mut event)),
            switchboard_connection_wrote(None, 0),
            switchboard_connection_add_header(None, string, string),
            switchboard_connection_accept(None, string),
            switchboard_connection_reject(None, 404, bytes, 0),
            switchboard_connection_send_text(None, bytes, 0),
            switchboard_connection_send_binary(None, bytes, 0),
            switchboard_connection_send_text_uncompressed(None, bytes, 0),
            switchboard_connection_send_binary_uncompressed(None, bytes, 0),
            switchboard_connection_send_text_fragment(None, bytes, 0, true),
            switchboard_connection_send_binary_fragment(None, bytes, 0, true),
            switchboard_connection_send_ping(None, bytes, 0),
            switchboard_connection_send_pong(None, bytes, 0),
            switchboard_connection_send_close(None, 1000, bytes, 0),
            switchboard_connection_fail(None, 1000, bytes, 0),
        ]
    };
    for (i, outcome) in rows.into_iter().enumerate() {
        assert_eq!(outcome, Outcome::NullPointer, "row {i}");
    }
    // SAFETY: it is written in any case.
    assert!(unsafe { made.assume_init() }.is_none());
    // SAFETY: all pointers are null.
    unsafe {
        assert!(switchboard_request_new(string, c"/".as_ptr()).is_none());
        assert!(switchboard_request_new(c"a".as_ptr(), string).is_none());
    }
    // SAFETY: all pointers are null.
    let header = unsafe { switchboard_connection_header(None, string, 0) };
    let texts = [
        switchboard_connection_target(None),
        switchboard_connection_path(None),
        switchboard_connection_query(None),
        switchboard_connection_host(None),
        switchboard_connection_origin(None),
        switchboard_connection_offered_subprotocol(None, 0),
        switchboard_connection_subprotocol(None),
        switchboard_connection_output(None),
        header,
    ];
    for (i, text) in texts.into_iter().enumerate() {
        assert_eq!(copy(text), None, "row {i}");
    }
    assert_eq!(switchboard_connection_state(None), State::Closed);
    assert_eq!(switchboard_connection_next(None), NextStep::End);
    assert!(!switchboard_connection_is_same_origin(None, false));
    assert!(!switchboard_connection_has_unfinished(None));
    assert_eq!(switchboard_connection_allocated_bytes(None), 0);
    // SAFETY: the text ends with a NUL.
    assert_eq!(unsafe { CStr::from_ptr(switchboard_connection_error_text(None)) }, c"");
}

#[test]
fn some_bytes_at_null_are_refused_and_none_are_allowed() {
    let mut server = open_server(None);
    // SAFETY: the pointers are null, which is allowed with any length.
    unsafe {
        assert_eq!(switchboard_connection_send_text(Some(&mut server), ptr::null(), 1), Outcome::NullPointer);
        assert_eq!(switchboard_connection_send_binary(Some(&mut server), ptr::null(), 1), Outcome::NullPointer);
        assert_eq!(switchboard_connection_output(Some(&server)).length, 0);
        let too_long = usize::MAX;
        assert_eq!(
            switchboard_connection_send_binary(Some(&mut server), ptr::null(), too_long),
            Outcome::InvalidArgument
        );
        assert_eq!(switchboard_connection_send_text(Some(&mut server), ptr::null(), 0), Outcome::Ok);
        let (mut used, mut event) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        let outcome =
            switchboard_connection_receive(Some(&mut server), ptr::null_mut(), 1, Some(&mut used), Some(&mut event));
        assert_eq!((outcome, used.assume_init()), (Outcome::NullPointer, 0));
        assert_eq!(event.assume_init().kind, EventKind::None);
    }
    assert_eq!(take_output(&mut server), [0x81, 0]);
}

#[test]
fn calls_before_the_handshake_is_done_are_refused() {
    let mut server = switchboard_connection_new_server(None);
    for outcome in [
        send_text(&mut server, b"early"),
        send_binary(&mut server, b"early"),
        send_close(&mut server, 1000, b""),
        accept(&mut server, None),
        reject(&mut server, 404, ""),
        add_header(&mut server, "A", "b"),
    ] {
        assert_eq!(outcome, Outcome::WrongState);
    }
    assert_eq!(switchboard_connection_output(Some(&server)).length, 0);
    // And it still goes on.
    assert_eq!(receive(&mut server, &mut REQUEST.to_vec()).kind, EventKind::Request);
    assert_eq!(send_text(&mut server, b"early"), Outcome::WrongState);
    assert_eq!(accept(&mut server, None), Outcome::Ok);
    assert_eq!(accept(&mut server, None), Outcome::WrongState);
    assert_eq!(send_text(&mut server, b"now"), Outcome::Ok);
}

#[test]
fn calls_after_the_end_are_refused() {
    let mut server = open_server(None);
    assert_eq!(send_close(&mut server, 1000, b"bye"), Outcome::Ok);
    let close = take_output(&mut server);
    assert_eq!(send_text(&mut server, b"late"), Outcome::WrongState);
    assert_eq!(send_close(&mut server, 1000, b""), Outcome::WrongState);
    assert_eq!(error_text(&server), "the Close frame is already sent");
    assert_eq!((switchboard_connection_output(Some(&server)).length, close[0]), (0, 0x88));

    let mut rejected = switchboard_connection_new_server(None);
    receive(&mut rejected, &mut REQUEST.to_vec());
    assert_eq!(reject(&mut rejected, 403, "no\n"), Outcome::Ok);
    assert_eq!(reject(&mut rejected, 403, "no\n"), Outcome::WrongState);
    assert_eq!(send_text(&mut rejected, b"late"), Outcome::WrongState);
    take_output(&mut rejected);
    assert_eq!(receive(&mut rejected, &mut [0x81]).outcome, Outcome::Ok, "what comes is dropped");
}

#[test]
fn values_that_are_not_allowed_are_refused() {
    let mut server = open_server(None);
    let long = [b'a'; 126];
    // SAFETY: pointers and lengths of slices.
    let long_ping = unsafe { switchboard_connection_send_ping(Some(&mut server), long.as_ptr(), long.len()) };
    // SAFETY: pointers and lengths of slices.
    let failed = unsafe { switchboard_connection_fail(Some(&mut server), 1006, ptr::null(), 0) };
    let rows = [
        ("text that is not UTF-8", send_text(&mut server, b"\xff")),
        ("a reason that is not UTF-8", send_close(&mut server, 1000, b"\xff")),
        ("a reason of 124 bytes", send_close(&mut server, 1000, &long[..124])),
        ("a reason without code", send_close(&mut server, 1005, b"why")),
        ("1006", send_close(&mut server, 1006, b"")),
        ("1010 from a server", send_close(&mut server, 1010, b"")),
        ("a Ping of 126 bytes", long_ping),
        ("failing with 1006", failed),
        ("more written than there is", switchboard_connection_wrote(Some(&mut server), 1)),
        ("a level of 10", switchboard_config_set_deflate_level(Some(&mut switchboard_config_new()), 10)),
        ("a level of 257", switchboard_config_set_deflate_level(Some(&mut switchboard_config_new()), 257)),
    ];
    for (name, outcome) in rows {
        assert_eq!(outcome, Outcome::InvalidArgument, "{name}");
    }
    assert_eq!(switchboard_connection_output(Some(&server)).length, 0);
    assert_eq!(switchboard_connection_state(Some(&server)), State::Open);
    assert_eq!(send_close(&mut server, 1000, &long[..123]), Outcome::Ok);
}

#[test]
fn a_response_that_must_not_be_written_becomes_500() {
    type Answer = fn(&mut Connection) -> Outcome;
    let rows: [(&str, Answer); 5] = [
        ("a subprotocol that is not offered", |server| accept(server, Some("mqtt"))),
        ("a field of the handshake", |server| {
            add_header(server, "Upgrade", "h2c");
            accept(server, None)
        }),
        ("a field that ends its line", |server| {
            add_header(server, "A", "b\r\nC: d");
            accept(server, None)
        }),
        ("a rejection with 101", |server| reject(server, 101, "")),
        ("a rejection with such a field", |server| {
            add_header(server, "A", "b\r\nC: d");
            reject(server, 404, "")
        }),
    ];
    for (name, answer) in rows {
        let mut server = switchboard_connection_new_server(None);
        receive(&mut server, &mut REQUEST.to_vec());
        assert_eq!(answer(&mut server), Outcome::InvalidArgument, "{name}");
        let response = String::from_utf8(take_output(&mut server)).unwrap();
        assert!(response.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{name}: {response}");
        assert!(!response.contains("C: d"), "{name}");
        assert_eq!(switchboard_connection_next(Some(&server)), NextStep::End, "{name}");
    }
}

#[test]
fn a_request_that_must_not_be_written_makes_no_client() {
    let refused = |host: &str, target: &str| client(None, &request(host, target)).map(|_| ()).unwrap_err();
    assert_eq!(refused("exa mple.com", "/"), Outcome::InvalidArgument);
    assert_eq!(refused("example.com", "chat"), Outcome::InvalidArgument);
    assert_eq!(refused("example.com", "/a\r\nX: y"), Outcome::InvalidArgument);
    let not_utf8 = CString::new(b"\xff".to_vec()).unwrap();
    // SAFETY: pointers of C strings.
    unsafe {
        assert!(switchboard_request_new(not_utf8.as_ptr(), c"/".as_ptr()).is_none());
        let mut asked = request("example.com", "/");
        let outcome = switchboard_request_add_subprotocol(Some(&mut asked), not_utf8.as_ptr());
        assert_eq!(outcome, Outcome::InvalidArgument);
        assert!(client(None, &asked).is_ok(), "the request has not changed");
    }
}

#[test]
fn each_result_has_a_text_and_the_version_is_the_packages() {
    let text = |pointer| {
        // SAFETY: the library's texts end with a NUL.
        unsafe { CStr::from_ptr(pointer) }.to_str().unwrap()
    };
    assert_eq!(text(switchboard_version()), env!("CARGO_PKG_VERSION"));
    assert_eq!(text(switchboard_result_text(0)), "no error");
    assert_eq!(
        text(switchboard_result_text(Outcome::WrongState as u32)),
        "the call is not allowed in this state of the \
        connection"
    );
    assert_eq!(text(switchboard_result_text(1000)), "not a result of this library");
}
