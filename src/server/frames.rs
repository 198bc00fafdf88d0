//! Frames that have arrived: from bytes to events of the engine, to the app, and to the end if there is one.

use super::{
    App, Context, End,
    hub::{Disposition, Hub},
    inbound::{Input, Unfinished},
    state::State,
    worker::Worker,
};
use crate::{CloseFrame, Event, Message, reactor::Key};

impl<A: App> Worker<A> {
    /// Handles frames until the input, the budget or the connection ends. Returns how many bytes were used.
    pub(super) fn frames(&mut self, key: Key, bytes: &mut [u8]) -> usize {
        let length = bytes.len();
        let Self { app, hub, inbound, spare, .. } = self;
        let Input::Frames { receiver, peer } = &mut inbound[Self::slot(key)].input else { return length };
        let mut is_open = match hub.links.state(key) {
            Some(State::Open) => true,
            Some(State::Closing) => false,
            // The connection has given way; `handle_ended` tells the app.
            Some(State::Evicted | State::Truncated) => return length,
            // There are no frames.
            Some(State::Securing | State::Request | State::AwaitingResponse | State::AwaitingVerdict) => return length,
            Some(State::Draining | State::Lingering) | None => return length,
        };
        let mut events = receiver.receive(bytes).with_inflate_budget(INFLATED_PER_TURN).with_spare(spare);
        let mut end = None;
        let mut completed = false;
        for _ in 0..EVENTS_PER_TURN {
            let event = match events.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => {
                    end = Some(End::Failed(error));
                    break;
                }
            };
            let message = match event {
                Event::Text(text) => Message::Text(text),
                Event::Binary(bytes) => Message::Binary(bytes),
                Event::Pong(payload) => {
                    if is_open {
                        app.pong(peer, payload, &mut Context::new(hub, key));
                    }
                    match hub.after_event(key) {
                        Disposition::Deliver => is_open = true,
                        Disposition::Drop => is_open = false,
                        Disposition::Stop => break,
                    }
                    continue;
                }
                Event::Piece(piece) => {
                    // Nothing of it is kept, so each piece is as good as a message.
                    completed |= piece.last || !piece.payload.is_empty();
                    if is_open {
                        app.piece(peer, piece, &mut Context::new(hub, key));
                    }
                    match hub.after_event(key) {
                        Disposition::Deliver => is_open = true,
                        Disposition::Drop => is_open = false,
                        Disposition::Stop => break,
                    }
                    continue;
                }
                Event::Ping(_) | Event::Close(_) => {
                    if let Some(reply) = event.reply() {
                        hub.reply(key, reply);
                        if hub.is_over(key) {
                            break; // evicted by pending publications, which come first; `handle_ended` tells the app
                        }
                    }
                    if let Event::Close(frame) = event {
                        end = Some(close_end(hub, key, frame));
                        break;
                    }
                    continue;
                }
            };
            completed = true;
            if is_open {
                app.message(peer, message, &mut Context::new(hub, key));
            }
            match hub.after_event(key) {
                Disposition::Deliver => is_open = true,
                Disposition::Drop => is_open = false,
                Disposition::Stop => break,
            }
        }
        let used = length - events.unread();
        match end {
            Some(end) => self.end(key, &end),
            None => self.note_unfinished(key, completed),
        }
        used
    }

    /// Updates the progress of this connection's unfinished message. `completed` says whether a message was completed
    /// since the last call, so that the unfinished one is new.
    pub(super) fn note_unfinished(&mut self, key: Key, completed: bool) {
        let inbound = &mut self.inbound[Self::slot(key)];
        if inbound.is_at_rest() {
            return;
        }
        let Input::Frames { receiver, .. } = &inbound.input else { return };
        let incomplete = inbound.incomplete();
        let (buffered, now) = (receiver.buffered_bytes() + incomplete as u64, self.hub.now);
        let unfinished = (receiver.has_unfinished() || incomplete > 0).then(|| match inbound.unfinished() {
            Some(unfinished) if !completed => unfinished.after(buffered, now),
            _ => Unfinished::new(buffered, now),
        });
        inbound.set_unfinished(unfinished);
    }
}

/// Returns how a connection ended when its peer sent this Close frame.
fn close_end(hub: &Hub, key: Key, frame: Option<CloseFrame<'_>>) -> End {
    let link = hub.links.get(key);
    match link.filter(|link| link.state() == State::Closing).and_then(|link| link.sender.as_ref()?.close_code()) {
        Some(code) => End::Closed { by_us: true, code },
        None => End::Closed { by_us: false, code: frame.map(|frame| frame.code) },
    }
}

/// The budget of one connection in one turn, in events.
const EVENTS_PER_TURN: usize = 1024;
/// The approximate budget of one connection in one turn, in bytes after inflation. Compressed input can grow about a
/// thousandfold.
const INFLATED_PER_TURN: usize = 1 << 20;
