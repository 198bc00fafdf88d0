//! How far a connection has come: every state, and every step from one to the next.
//!
//! Nothing else in the server decides where a step leads. What the incoming half works with in each state is its
//! [`Input`](super::inbound::Input).
//!
//! ```text
//! Securing ── Secured ─> Request
//!
//! Request ── HandshakeRead ─> AwaitingVerdict ── Accepted ─> Open ── CloseSent ─> Closing
//!    │ ^
//!    │ └──── Responded ──────┐
//!    └─ RequestRead ─> AwaitingResponse
//!
//! Open, Closing ── Evicted ─> Evicted            its app is told at the end of the turn, which takes the step Ended
//! Open, Closing ── Truncated ─> Truncated        its app is told at the end of the turn, which removes it
//!
//! all but Truncated ── Ended ─> Draining ── Written ─> Lingering
//! ```
//!
//! A connection begins in `Securing` if it speaks TLS, otherwise in `Request`. It may be removed in any state, which
//! closes TCP; it has no state then.

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum State {
    /// The handshake of TLS is not complete.
    Securing,
    /// A request of HTTP is awaited or read.
    Request,
    /// The app's response to a plain request is awaited; nothing is read.
    AwaitingResponse,
    /// The app's verdict on a handshake is awaited; nothing is read.
    AwaitingVerdict,
    /// Messages may be sent and received.
    Open,
    /// Our Close frame is sent or waits; the peer's is awaited (§7.1.2).
    Closing,
    /// A Close frame has taken the place of what waited, and nothing more is sent. The app does not know yet.
    Evicted,
    /// A frame is cut off in the middle, and nothing can follow it. The app does not know yet.
    Truncated,
    /// The bytes that wait are the last: they are written, then our side is ended. Incoming bytes are dropped.
    Draining,
    /// Our side is ended. Incoming bytes are dropped until the peer ends its side (§7.1.1).
    Lingering,
}

/// What changes the state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Step {
    /// The handshake of TLS is complete, or the peer speaks HTTP without it.
    Secured,
    /// A plain request is complete, and the app has it.
    RequestRead,
    /// An opening handshake is complete, and the app has it.
    HandshakeRead,
    /// The app's response is sent, and another request may follow.
    Responded,
    /// The app has accepted the handshake.
    Accepted,
    /// Our Close frame is sent, as far as the app is concerned.
    CloseSent,
    /// The connection gave way: to a policy for slow peers, or to others when memory was short.
    Evicted,
    /// The memory did not even suffice for the rest of a partly written frame.
    Truncated,
    /// The last bytes for the peer are sent or wait. The app knows of the end, if it knew of the connection.
    Ended,
    /// Nothing waits any more: the transport has taken the last byte.
    Written,
}

impl State {
    /// Returns the state after a step, or `None` if the step does not occur in this state.
    pub(super) const fn after(self, step: Step) -> Option<Self> {
        match (self, step) {
            (Self::Securing, Step::Secured) => Some(Self::Request),
            (Self::Securing, Step::Ended) => Some(Self::Draining),

            (Self::Request, Step::RequestRead) => Some(Self::AwaitingResponse),
            (Self::Request, Step::HandshakeRead) => Some(Self::AwaitingVerdict),
            (Self::Request, Step::Ended) => Some(Self::Draining),

            (Self::AwaitingResponse, Step::Responded) => Some(Self::Request),
            (Self::AwaitingResponse, Step::Ended) => Some(Self::Draining),

            (Self::AwaitingVerdict, Step::Accepted) => Some(Self::Open),
            (Self::AwaitingVerdict, Step::Ended) => Some(Self::Draining),

            (Self::Open, Step::CloseSent) => Some(Self::Closing),
            (Self::Open | Self::Closing, Step::Evicted) => Some(Self::Evicted),
            (Self::Open | Self::Closing, Step::Truncated) => Some(Self::Truncated),
            (Self::Open | Self::Closing, Step::Ended) => Some(Self::Draining),

            (Self::Evicted, Step::Ended) => Some(Self::Draining),
            // No orderly end is possible any more.
            (Self::Truncated, Step::Ended) => Some(Self::Truncated),

            (Self::Draining, Step::Written) => Some(Self::Lingering),

            // Each of the other pairs is a mistake of the server.
            _ => None,
        }
    }

    /// Returns whether nothing more is sent to the peer, or handled of what it sends.
    pub(super) const fn is_over(self) -> bool {
        match self {
            Self::Securing
            | Self::Request
            | Self::AwaitingResponse
            | Self::AwaitingVerdict
            | Self::Open
            | Self::Closing => false,
            Self::Evicted | Self::Truncated | Self::Draining | Self::Lingering => true,
        }
    }
}

#[cfg(test)]
impl State {
    pub(super) const ALL: [Self; 10] = [
        Self::Securing,
        Self::Request,
        Self::AwaitingResponse,
        Self::AwaitingVerdict,
        Self::Open,
        Self::Closing,
        Self::Evicted,
        Self::Truncated,
        Self::Draining,
        Self::Lingering,
    ];
}

#[cfg(test)]
impl Step {
    pub(super) const ALL: [Self; 10] = [
        Self::Secured,
        Self::RequestRead,
        Self::HandshakeRead,
        Self::Responded,
        Self::Accepted,
        Self::CloseSent,
        Self::Evicted,
        Self::Truncated,
        Self::Ended,
        Self::Written,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(state: State) -> char {
        match state {
            State::Securing => 'S',
            State::Request => 'R',
            State::AwaitingResponse => 'P',
            State::AwaitingVerdict => 'V',
            State::Open => 'O',
            State::Closing => 'C',
            State::Evicted => 'E',
            State::Truncated => 'T',
            State::Draining => 'D',
            State::Lingering => 'L',
        }
    }

    /// Returns the state after a step from each of `State::ALL`; `-` if the step does not occur there.
    fn row(step: Step) -> &'static str {
        match step {
            //                     S R P V O C E T D L
            Step::Secured => "     R - - - - - - - - -",
            Step::RequestRead => " - P - - - - - - - -",
            Step::HandshakeRead => "- V - - - - - - - -",
            Step::Responded => "   - - R - - - - - - -",
            Step::Accepted => "    - - - O - - - - - -",
            Step::CloseSent => "   - - - - C - - - - -",
            Step::Evicted => "     - - - - E E - - - -",
            Step::Truncated => "   - - - - T T - - - -",
            Step::Ended => "       D D D D D D D T - -",
            Step::Written => "     - - - - - - - - L -",
        }
    }

    #[test]
    fn each_step_leads_where_it_should_from_each_state_and_nowhere_else() {
        for step in Step::ALL {
            let after: Vec<char> = row(step).split_whitespace().map(|letter| letter.parse().unwrap()).collect();
            assert_eq!(after.len(), State::ALL.len(), "{step:?}");
            for (state, expected) in State::ALL.into_iter().zip(after) {
                assert_eq!(state.after(step).map_or('-', letter), expected, "{state:?}, {step:?}");
            }
        }
    }

    /// No connection is stuck: from each state some steps lead to the end, and from none that is over back to life.
    #[test]
    fn every_state_but_a_truncated_one_leads_to_the_end_and_none_back() {
        for state in State::ALL {
            let mut reached = vec![state];
            let mut at = 0;
            while let Some(&from) = reached.get(at) {
                let next = Step::ALL.into_iter().filter_map(|step| from.after(step));
                let new: Vec<State> = next.filter(|next| !reached.contains(next)).collect();
                reached.extend(new);
                at += 1;
            }
            assert_eq!(reached.contains(&State::Lingering), state != State::Truncated, "{state:?}: {reached:?}");
            assert!(!state.is_over() || reached.iter().all(|next| next.is_over()), "{state:?}: {reached:?}");
        }
    }
}
