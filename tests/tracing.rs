//! Records of the server's log reach a subscriber of `tracing`, in the span of its worker.

use std::{
    cell::RefCell,
    fmt::Debug,
    sync::{Arc, Mutex, mpsc},
};

use switchboard_tests::server::{LONG, OPENING, Raw, Service, config, serve};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

thread_local! {
    /// The spans that this thread has entered.
    static SPANS: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

struct Recorder {
    /// The name and the fields of each span.
    spans: Arc<Mutex<Vec<String>>>,
    events: Mutex<mpsc::Sender<(String, String)>>,
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let label = if field.name() == "message" { String::new() } else { format!("{}=", field.name()) };
        self.0 += &format!("{label}{value:?}");
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("switchboard")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut text = Text(format!("{} ", attributes.metadata().name()));
        attributes.record(&mut text);
        let mut spans = self.spans.lock().unwrap();
        spans.push(text.0);
        Id::from_u64(spans.len() as u64)
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(format!("{} ", event.metadata().level()));
        event.record(&mut text);
        let span = SPANS.with_borrow(|entered| {
            entered.last().map_or(String::new(), |&id| self.spans.lock().unwrap()[id as usize - 1].clone())
        });
        // The test has ended when nobody receives.
        let _ = self.events.lock().unwrap().send((span, text.0));
    }

    fn enter(&self, span: &Id) {
        SPANS.with_borrow_mut(|entered| entered.push(span.into_u64()));
    }

    fn exit(&self, _: &Id) {
        SPANS.with_borrow_mut(|entered| entered.pop());
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}
}

#[test]
fn what_a_worker_logs_is_an_event_in_the_span_of_the_worker() {
    let (events, heard) = mpsc::channel();
    let recorder = Recorder { spans: Arc::default(), events: Mutex::new(events) };
    tracing::subscriber::set_global_default(recorder).unwrap();
    let server = serve(config(), Service::echo());
    let mut raw = Raw::connect(server.address);
    raw.write(OPENING);
    raw.head();
    let opened = format!("DEBUG {}: opened, from {}", server.next_opened(), raw.stream.local_addr().unwrap());
    loop {
        let (span, event) = heard.recv_timeout(LONG).unwrap();
        if event == opened {
            assert_eq!(span, "worker number=0");
            break;
        }
    }
}
