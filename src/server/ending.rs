//! How connections end, one by one or all when the server stops. The app gets `closed` once for each open connection.

use log::{debug, info};

use super::{App, End, inbound::Input, state::State, worker::Worker};
use crate::{
    CloseCode, CloseFrame,
    reactor::{Key, Tick, Turn},
};

/// What follows from an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consequence {
    /// The frames that wait are written, then our side is ended.
    Drain,
    /// _Fail the WebSocket Connection_ (§7.1.7): this Close frame takes the place of the frames that wait, then our
    /// side is ended.
    Fail(CloseFrame<'static>),
    /// Nothing can follow what the transport has sent: the frames that wait are dropped, then our side is ended.
    Abandon,
    /// TCP is closed at once: the peer is gone, or would not read a Close frame.
    Cut,
}

impl End {
    pub(super) fn consequence(&self) -> Consequence {
        let reason = match self {
            Self::Closed { .. } => return Consequence::Drain,
            Self::TlsFailed => return Consequence::Abandon,
            Self::Failed(error) => error.reason(),
            Self::NoPong => "no answer to a Ping",
            Self::MessageStalled => "a message was not finished in time",
            Self::TooSlow => "too slow for what is published",
            Self::Overloaded => "out of memory, try again later",
            Self::Vanished
            | Self::Broken(_)
            | Self::NoClose
            | Self::WriteStalled
            | Self::Terminated
            | Self::Stopped => return Consequence::Cut,
        };
        Consequence::Fail(CloseFrame { code: self.code(), reason })
    }
}

impl<A: App> Worker<A> {
    /// Ends a connection: tells the app, if it knows of the connection, and lets the consequence follow.
    pub(super) fn end(&mut self, key: Key, end: &End) {
        match end.consequence() {
            Consequence::Drain => {
                self.finish(key, end);
                self.hub.drain(key);
            }
            Consequence::Fail(frame) => {
                self.finish(key, end);
                self.hub.fail(key, frame);
                self.schedule(key);
            }
            Consequence::Abandon => {
                self.finish(key, end);
                self.hub.abandon(key);
            }
            Consequence::Cut => self.cut(key, end),
        }
    }

    /// Ends a connection at once, whatever else would follow.
    pub(super) fn cut(&mut self, key: Key, end: &End) {
        self.finish(key, end);
        self.remove(key);
    }

    /// Tells the app of the end, once, and drops all further input.
    fn finish(&mut self, key: Key, end: &End) {
        if let Input::Frames { peer, .. } = self.drop_input(key) {
            let id = self.hub.id(key);
            debug!("{id}: {end}");
            self.hub.remote.note_open(self.hub.worker, |open| open - 1);
            self.app.closed(peer, id, end, &self.hub.remote);
        }
    }

    /// Closes TCP at once, without telling the app.
    pub(super) fn remove(&mut self, key: Key) {
        self.hub.remove(key);
        self.drop_input(key);
    }

    /// Frees the unprocessed input of a connection, and drops all that still arrives. Returns the input before.
    pub(super) fn drop_input(&mut self, key: Key) -> Input<A::Peer> {
        let inbound = &mut self.inbound[Self::slot(key)];
        inbound.take_stash();
        inbound.set_unfinished(None);
        let input = std::mem::replace(&mut inbound.input, Input::Dropped);
        self.recount(key);
        input
    }

    /// Handles the end of the peer's side, of TCP or of TLS.
    pub(super) fn peer_ended(&mut self, key: Key) {
        let Some(state) = self.hub.links.state(key) else { return };
        match state {
            State::Securing => self.remove(key),
            // The response to its last request may not be written yet.
            State::Request => self.drain(key),
            // The client may still read the response to its request.
            State::AwaitingResponse | State::AwaitingVerdict => {}
            // A failed write has consumed the socket's error; `handle_ended` ends the connection with it.
            State::Open | State::Closing if self.hub.links.has_ended(key) => {}
            State::Open | State::Closing => self.end(key, &End::Vanished),
            State::Evicted | State::Truncated | State::Draining => {}
            State::Lingering => self.remove(key),
        }
    }

    /// Ends the connections that have broken or given way in this turn.
    pub(super) fn handle_ended(&mut self) {
        while let Some((key, end)) = self.hub.links.ended.pop() {
            let Some(state) = self.hub.links.state(key) else { continue };
            self.note_eviction(&end);
            if state == State::Truncated {
                self.cut(key, &end);
            } else {
                self.end(key, &end);
            }
        }
        self.warn_of_evictions();
    }

    /// Counts the unprocessed input of a connection again. Called after every change.
    pub(super) fn recount(&mut self, key: Key) {
        let incomplete = self.hub.links.get(key).map_or(0, |link| link.socket.incomplete_bytes());
        let inbound = &mut self.inbound[Self::slot(key)];
        inbound.set_incomplete(incomplete);
        let counts = inbound.recount();
        self.hub.links.bounds.recount_incoming(counts);
    }

    /// Begins to stop: closes the listener and all idle and open connections.
    pub(super) fn stop(&mut self, turn: &mut Turn<'_>) {
        if self.stopping.is_some() {
            return;
        }
        self.stopping = Some(turn.now);
        turn.stop_listening();
        info!("worker {}: stopping with {} connections", self.hub.worker, self.hub.links.len());
        for key in self.hub.links.keys().collect::<Vec<_>>() {
            match &self.inbound[Self::slot(key)].input {
                Input::Frames { .. } => self.close_for_stop(key),
                Input::Request(stream) if stream.is_idle() => self.drain(key),
                Input::Request(_) | Input::Response { .. } | Input::Verdict { .. } | Input::Dropped => {}
            }
        }
    }

    pub(super) fn close_for_stop(&mut self, key: Key) {
        let frame = CloseFrame { code: CloseCode::GOING_AWAY, reason: "the server is stopping" };
        // Our own code and reason are valid.
        let _ = self.hub.close(key, Some(frame));
    }

    /// Returns whether the server is stopping and this worker has no connections left. Cuts the remaining ones when the
    /// time is over.
    pub(super) fn has_stopped(&mut self, now: Tick) -> bool {
        let Some(since) = self.stopping else { return false };
        if now.since(since) >= self.config.stop_timeout {
            for key in self.hub.links.keys().collect::<Vec<_>>() {
                self.end(key, &End::Stopped);
            }
        }
        self.hub.links.len() == 0
    }
}
