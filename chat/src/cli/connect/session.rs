//! The connection as all threads see it.

use std::{
    io,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use switchboard::{
    CloseCode,
    client::{ClientError, Loss, ReconnectingHandle},
};

/// The connection as all threads see it.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) handle: ReconnectingHandle,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    is_open: AtomicBool,
    is_closed: AtomicBool,
    /// Whether the input or the output failed.
    has_failed: AtomicBool,
}

impl Session {
    pub(super) fn new(handle: ReconnectingHandle) -> Self {
        Self { handle, state: Arc::default() }
    }

    /// There is a connection.
    pub(super) fn set_open(&self) {
        self.state.is_open.store(true, Ordering::Release);
    }

    /// Returns whether there was a connection.
    pub(super) fn was_open(&self) -> bool {
        self.state.is_open.load(Ordering::Acquire)
    }

    /// Returns whether this side has ended the connection.
    pub(super) fn is_closed(&self) -> bool {
        self.state.is_closed.load(Ordering::Acquire)
    }

    /// Closes the connection for good, as after the end of the input.
    pub(super) fn close(&self) {
        self.state.is_closed.store(true, Ordering::Release);
        self.handle.close(CloseCode::NORMAL_CLOSURE, "");
    }

    /// Ends because of an error on this side.
    pub(super) fn fail(&self, error: &str) {
        self.state.has_failed.store(true, Ordering::Release);
        crate::print_line(io::stderr(), &format!("switchboard: {error}"));
        self.close();
    }

    /// Returns whether this is the end that the user wanted.
    pub(super) fn is_as_wished(&self, loss: &Loss) -> bool {
        match loss {
            Loss::Closed(Some((code, _))) => matches!(*code, CloseCode::NORMAL_CLOSURE | CloseCode::GOING_AWAY),
            Loss::Closed(None) | Loss::Cancelled => self.is_closed(),
            _ => false,
        }
    }

    /// Returns the exit status.
    pub(super) fn status(&self, loss: &Loss) -> ExitCode {
        match loss {
            Loss::Failed(ClientError::Url(_) | ClientError::Request(_)) => ExitCode::from(2),
            _ if self.state.has_failed.load(Ordering::Acquire) => ExitCode::FAILURE,
            loss if self.is_as_wished(loss) => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }
}
