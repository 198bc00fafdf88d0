//! What the parts of an opening handshake say of their memory: as much as the allocator gave them.

use switchboard::{BodyReader, ExtensionOffer, HeadLimits, Rejection, RequestReader, ServerHandshake};
use switchboard_tests::counting::{cost, live};

const REQUEST: &str = "GET /chat HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Origin: http://example.com\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\
    Sec-WebSocket-Extensions: a; one; two=2, longer-name; three=\"333\", c\r\n\
    Sec-WebSocket-Version: 13\r\n\
    \r\n";

#[test]
fn the_memory_of_a_head_and_of_its_handshake_is_told_exactly() {
    for request in [REQUEST, &REQUEST.replace("Origin", "X-Origin"), &REQUEST.replace("Sec-WebSocket-Ext", "X-Ext")] {
        let before = live();
        let mut reader = RequestReader::new(HeadLimits::default());
        let (start, rest) = request.as_bytes().split_at(100);
        assert!(reader.receive(start).expect("a valid start").is_none());
        assert_eq!(live() - before, reader.allocated_bytes() as isize, "a part of a head");
        let (head, _) = reader.receive(rest).expect("a valid head").expect("a whole head");
        drop(reader);
        assert_eq!(live() - before, head.allocated_bytes() as isize, "a head");

        let before = live();
        let handshake = ServerHandshake::from_request(&head).expect("a valid request");
        assert_eq!(live() - before, handshake.allocated_bytes() as isize, "a handshake: {handshake:?}");
    }
}

#[test]
fn the_memory_of_a_part_of_a_head_doubles_up_to_its_limit() {
    let mut limits = HeadLimits::default();
    limits.max_bytes = 10_000;
    let head = format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(9_900));
    for read in [1, 100, 3000] {
        let mut reader = RequestReader::new(limits);
        let mut arrived = 0;
        let used = cost(|| {
            for part in head.as_bytes().chunks(read) {
                assert!(reader.receive(part).expect("a valid start").is_none());
                arrived += part.len();
                let max = (2 * arrived).clamp(512, limits.max_bytes);
                assert!(reader.allocated_bytes() <= max, "{} of {arrived}", reader.allocated_bytes());
            }
        });
        assert!(used.calls <= 6, "reads of {read}: {used:?}");
    }
}

#[test]
fn the_memory_of_a_part_of_a_body_is_told_exactly() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n";
    let (head, _) = RequestReader::new(HeadLimits::default()).receive(head).expect("valid").expect("whole");
    let before = live();
    let mut reader = BodyReader::new(&head, 10_000, HeadLimits::default()).expect("valid");
    for part in [1, 500, 2000] {
        assert!(reader.receive(&vec![b'x'; part]).expect("valid").is_none());
        assert_eq!(live() - before, reader.allocated_bytes() as isize);
    }
}

#[test]
fn the_memory_of_a_rejection_is_about_that_of_its_texts() {
    let before = live();
    let rejection = Rejection::text(403, "x".repeat(1000)).header("y".repeat(300), "z".repeat(5000));
    let told = rejection.allocated_bytes() as isize;
    assert!((told..told + 300).contains(&(live() - before)), "{told} of {}", live() - before);
}

#[test]
fn a_list_of_extensions_takes_at_most_50_times_the_memory_of_its_value() {
    for element in ["a", "a,", "a;b,", "a;b;c;d;e,", "a;b=c,", "a;b=\"c\",", "name;param,"] {
        for count in [1, 2, 3, 5, 100, 1000] {
            let value = element.repeat(count);
            let before = live();
            let list = ExtensionOffer::parse_list(value.as_bytes()).expect("a valid list");
            let taken = live() - before;
            assert!(taken as usize <= 50 * value.len(), "{element:?} {count} times: {taken} of {}", value.len());
            drop(list);
        }
    }
}
