//! A driver finds the events that the two halves find, and sends what they send with the loop that the engine's
//! contract asks for: however the input is cut, and if replies go to another task.
//!
//! Input: role and deflate; limits; cuts; whether messages are echoed; the bytes from the peer.
#![no_main]

use switchboard::{
    Connection, Deflate, DeflateParams, Delivery, Driver, Event, Masking, MaskingKey, Next, OwnedReply, ProtocolError,
    Role, State,
};
use switchboard_fuzz::{Cuts, Input, shared_deflate, with_deflate};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let ((role, deflate), limits, cuts) = (input.role_and_deflate(), input.limits(), input.cuts());
    let echoes = input.byte() & 1 != 0;
    let wire = input.rest();
    match role {
        Role::Server => agree(|| Connection::server(limits, Delivery::Messages), deflate, wire, cuts, echoes),
        Role::Client => {
            let keys = || MaskingKey([1, 2, 3, 4]);
            agree(|| Connection::client(keys, limits, Delivery::Messages), deflate, wire, cuts, echoes);
        }
    }
});

/// What a connection has done.
#[derive(Debug, Default, PartialEq)]
struct Done {
    events: Vec<String>,
    failure: Option<ProtocolError>,
    out: Vec<u8>,
    state: Option<State>,
}

fn agree<M: Masking>(
    new: impl Fn() -> Connection<M>,
    deflate: Option<DeflateParams>,
    wire: &[u8],
    cuts: Cuts<'_>,
    echoes: bool,
) {
    let shared: Deflate = shared_deflate();
    let new = || with_deflate(new(), &shared, deflate);
    let mut whole = halves(new(), wire, echoes, false);
    let owned = halves(new(), wire, echoes, true);
    assert_eq!(owned, whole, "replies of another task");

    let mut driver = Driver::new(new(), Vec::new());
    let mut done = Done::default();
    for piece in cuts.of(wire) {
        let mut piece = piece.to_vec();
        let (mut events, mut outgoing) = driver.receive(&mut piece);
        loop {
            match events.next_event(&mut outgoing) {
                Ok(Some(event)) => {
                    done.events.push(format!("{event:?}"));
                    match event {
                        Event::Text(text) if echoes => drop(outgoing.text(text)),
                        Event::Binary(payload) if echoes => drop(outgoing.binary(payload)),
                        _ => {}
                    }
                }
                Ok(None) => break,
                Err(error) => assert_eq!(done.failure.replace(error), None, "one failure"),
            }
        }
        // Half of it is written.
        let count = driver.output().len().div_ceil(2);
        done.out.extend_from_slice(&driver.output()[..count]);
        driver.wrote(count);
    }
    done.out.extend_from_slice(driver.output());
    driver.wrote(driver.output().len());
    done.state = Some(driver.state());
    assert_eq!(driver.next(), if driver.state() == State::Closed { Next::End } else { Next::Read });
    // A limit may be found earlier, with another lower bound, if the bytes arrive in other pieces.
    if let (Some(one), Some(other)) = (done.failure, whole.failure) {
        assert!(switchboard_fuzz::same_violation(Some(one), Some(other)), "{one:?}, {other:?}");
        done.failure = None;
        whole.failure = None;
    }
    assert_eq!(done, whole, "the driver");
}

/// The loop over the two halves.
fn halves<M: Masking>(connection: Connection<M>, wire: &[u8], echoes: bool, is_owned: bool) -> Done {
    let Connection { mut receiver, mut sender } = connection;
    let (mut done, mut wire) = (Done::default(), wire.to_vec());
    let mut events = receiver.receive(&mut wire);
    loop {
        let owned = match events.next_event() {
            Ok(Some(event)) => {
                done.events.push(format!("{event:?}"));
                if let Some(reply) = event.reply().filter(|_| !is_owned) {
                    sender.reply(reply, &mut done.out).expect("a Vec has room");
                }
                let owned = OwnedReply::to(&event);
                assert_eq!(owned.is_some(), event.reply().is_some());
                match event {
                    Event::Text(text) if echoes => drop(sender.text(text, &mut done.out)),
                    Event::Binary(payload) if echoes => drop(sender.binary(payload, &mut done.out)),
                    _ => {}
                }
                owned
            }
            Ok(None) => break,
            Err(error) => {
                assert_eq!(done.failure.replace(error), None, "one failure");
                if !is_owned {
                    sender.fail(&error, &mut done.out).expect("a Vec has room");
                }
                Some(OwnedReply::from(error))
            }
        };
        if let Some(reply) = owned.filter(|_| is_owned) {
            sender.owned_reply(&reply, &mut done.out).expect("a Vec has room");
        }
    }
    done.state = Some(Connection { receiver, sender }.state());
    done
}
