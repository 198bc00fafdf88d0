//! Acknowledgements in both directions: now, later, twice, never.

use std::{
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use switchboard::events::{Ack, JsonArrays, NotAcknowledged, Router};
use switchboard_tests::server::LONG;

use super::{ask, next, serve};

#[test]
fn an_acknowledgement_may_be_given_later_by_another_thread() {
    let (sender, slow) = mpsc::channel::<(u32, Ack<JsonArrays>)>();
    let sender = Mutex::new(sender);
    let worker = thread::spawn(move || {
        for (number, ack) in slow {
            match number {
                0 => ack.fail("division by zero"),
                1 => drop(ack),
                number => ack.send(&(100 / number)),
            }
        }
    });
    let router = Router::new(JsonArrays)
        .on_with_ack("divide", move |_, number: u32, ack| sender.lock().unwrap().send((number, ack)).unwrap());
    let served = serve(router);
    let mut client = served.client().0;
    for (event, answer) in [
        (r#"["divide",4,1]"#, "[null,25,1]"),
        (r#"["divide",0,2]"#, r#"[null,null,2,"division by zero"]"#),
        (r#"["divide",1,3]"#, r#"[null,null,3,"no answer"]"#),
        (r#"["divide","x",4]"#, r#"[null,null,4,"invalid type: string \"x\", expected u32 at line 1 column 3"]"#),
        // The same number again is the peer's affair.
        (r#"["divide",5,1]"#, "[null,20,1]"),
    ] {
        assert_eq!(ask(&mut client, event), answer, "{event}");
    }
    // Nobody wants these.
    for event in [r#"["divide",4]"#, r#"["divide",0]"#, r#"["divide",1]"#] {
        client.send_text(event).unwrap();
    }
    assert_eq!(ask(&mut client, r#"["divide",2,9]"#), "[null,50,9]");
    // Too late.
    client.send_text(r#"["divide",4,1]"#).unwrap();
    drop(client);
    drop(served);
    worker.join().unwrap();
}

/// Asks a client how old it is, and tells what came of it.
fn curious(timeout: Duration) -> (Router, mpsc::Receiver<Result<u8, NotAcknowledged>>) {
    let (sender, answers) = mpsc::channel();
    let sender = Mutex::new(sender);
    let router = Router::new(JsonArrays).on("ask me", move |socket, (): ()| {
        let sender = sender.lock().unwrap().clone();
        let asked = socket.emit_with_ack("how old?", "you", timeout, move |socket, answer| {
            sender.send(answer).unwrap();
            socket.emit("thanks", &());
        });
        asked.is_ok()
    });
    (router, answers)
}

const ASK: &str = r#"["ask me",null,1]"#;

#[test]
fn a_peer_acknowledges_once_in_any_order() {
    let (router, answers) = curious(LONG);
    let served = serve(router);
    let mut client = served.client().0;
    for id in 1..=8 {
        assert_eq!(ask(&mut client, ASK), format!(r#"["how old?","you",{id}]"#));
        assert_eq!(next(&mut client), "[null,true,1]");
    }
    // Eight may wait.
    assert_eq!(ask(&mut client, ASK), "[null,false,1]");
    for (answer, outcome) in [
        ("[null,30,3]", Ok(30)),
        (r#"[null,null,1,"none of your business"]"#, Err(NotAcknowledged::Failed("none of your business".into()))),
        ("[null,31,8]", Ok(31)),
    ] {
        assert_eq!(ask(&mut client, answer), r#"["thanks",null]"#);
        assert_eq!(answers.recv_timeout(LONG).unwrap(), outcome, "{answer}");
    }
    assert_eq!(ask(&mut client, r#"[null,"old",2]"#), r#"["thanks",null]"#);
    assert!(matches!(answers.recv_timeout(LONG).unwrap(), Err(NotAcknowledged::Malformed(_))));
    // Twice, and for what was never sent.
    for answer in ["[null,30,3]", "[null,30,9]", "[null,30,0]", "[null,30,18446744073709551615]"] {
        client.send_text(answer).unwrap();
    }
    assert_eq!(ask(&mut client, ASK), r#"["how old?","you",9]"#);
    assert!(answers.try_recv().is_err());
    // What waits when the connection ends is dropped, and with it the sender.
    drop(client);
    drop(served);
    assert_eq!(answers.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn a_peer_that_never_acknowledges_is_not_waited_for() {
    let (router, answers) = curious(Duration::from_millis(30));
    let served = serve(router);
    let (mut client, id) = served.client();
    assert_eq!(ask(&mut client, ASK), r#"["how old?","you",1]"#);
    assert_eq!(next(&mut client), "[null,true,1]");
    assert_eq!(next(&mut client), r#"["thanks",null]"#);
    assert_eq!(answers.recv_timeout(LONG).unwrap(), Err(NotAcknowledged::TimedOut));
    // Too late.
    client.send_text("[null,30,1]").unwrap();
    assert_eq!(ask(&mut client, ASK), r#"["how old?","you",2]"#);
    assert_eq!(next(&mut client), "[null,true,1]");
    assert_eq!(ask(&mut client, "[null,40,2]"), r#"["thanks",null]"#);
    assert_eq!(answers.recv_timeout(LONG).unwrap(), Ok(40));
    // Its timer is not due any more.
    let (sender, told) = mpsc::channel();
    served.emitter.with(id, move |socket| {
        socket.set_timer(0, Duration::from_millis(60)).unwrap();
        sender.send(()).unwrap();
    });
    told.recv_timeout(LONG).unwrap();
    assert!(answers.recv_timeout(Duration::from_millis(100)).is_err());
}
