//! The body of a response that is written while it is made, from any thread.

use std::{
    fmt, io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::decision::BodyChannel;

/// Writes the body of a response piece by piece, as it is made ([`Responder::stream`](super::Responder::stream)).
///
/// At most 256 KiB are on their way to the client, so a body of any length takes no memory. A
/// [`write`](io::Write::write) waits until there is room, and so belongs on a thread of its own, such as one of a
/// [`TaskPool`](crate::TaskPool); on the event loop it would wait for itself, so there it is
/// [`try_write`](Self::try_write). If the client is gone, or takes too few bytes for
/// [`Config::write_timeout`](super::Config::write_timeout), writes fail with [`BrokenPipe`](io::ErrorKind::BrokenPipe).
///
/// The client gets the body in chunks (RFC 9112 §7.1), or up to the end of the connection if it speaks HTTP/1.0. Call
/// [`finish`](Self::finish) at its end; if the value is dropped without, the connection ends, and a client of HTTP/1.1
/// sees that a part is missing.
///
/// # Examples
/// ```
/// use std::{fs::File, io};
/// use switchboard::{Request, Responder, Response, TaskPool};
///
/// /// Is called by `App::request`.
/// fn respond(_: &Request<'_>, responder: Responder, tasks: &TaskPool) {
///     // If the pool is full, the responder is dropped, and the client gets 500.
///     let _ = tasks.run(move || {
///         let mut body = responder.stream(Response::new(200).header("Content-Type", "video/mp4"));
///         if let Ok(mut file) = File::open("large.mp4")
///             && io::copy(&mut file, &mut body).is_ok()
///         {
///             body.finish();
///         }
///     });
/// }
/// ```
#[must_use = "the client waits for the body"]
pub struct ResponseBody {
    channel: Box<dyn BodyChannel>,
    flow: Arc<Flow>,
    is_finished: bool,
}

/// The state that the writer of a body and the worker of its connection share.
#[derive(Debug, Default)]
pub(super) struct Flow {
    state: Mutex<FlowState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct FlowState {
    /// Bytes that were posted and that the kernel has not taken.
    in_flight: usize,
    /// The connection is over.
    is_over: bool,
}

/// The worker's end of a [`Flow`]. Once it is dropped, wherever that happens, writes fail.
#[derive(Debug)]
pub(super) struct FlowEnd(Arc<Flow>);

impl ResponseBody {
    pub(super) fn new(channel: Box<dyn BodyChannel>, flow: Arc<Flow>) -> Self {
        Self { channel, flow, is_finished: false }
    }

    /// Writes as many of the bytes as there is room for, without waiting. Returns how many.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is no room, and [`io::ErrorKind::BrokenPipe`] if the client is gone.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let flow = self.flow.lock();
        self.post(flow, bytes)
    }

    /// Ends the body.
    pub fn finish(mut self) {
        self.is_finished = true;
        self.channel.end(true);
    }

    fn post(&self, mut flow: MutexGuard<'_, FlowState>, bytes: &[u8]) -> io::Result<usize> {
        if flow.is_over {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(MAX_IN_FLIGHT.saturating_sub(flow.in_flight));
        // An empty chunk would be the end.
        if count == 0 {
            return if bytes.is_empty() { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        flow.in_flight += count;
        drop(flow);
        self.channel.write(bytes[..count].to_vec());
        Ok(count)
    }
}

impl io::Write for ResponseBody {
    /// Writes at least one of the bytes, and waits until there is room for it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut flow = self.flow.lock();
        while flow.in_flight >= MAX_IN_FLIGHT && !flow.is_over {
            flow = self.flow.changed.wait(flow).unwrap_or_else(PoisonError::into_inner);
        }
        self.post(flow, bytes)
    }

    /// Does nothing: each write is on its way at once.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if !self.is_finished {
            self.channel.end(false);
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("flow", &self.flow).finish_non_exhaustive()
    }
}

impl Flow {
    /// Returns the worker's end.
    pub(super) fn end(self: &Arc<Self>) -> FlowEnd {
        FlowEnd(Arc::clone(self))
    }

    fn lock(&self) -> MutexGuard<'_, FlowState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FlowEnd {
    /// Notes that the kernel has taken bytes.
    pub(super) fn release(&self, bytes: usize) {
        self.0.lock().in_flight -= bytes;
        self.0.changed.notify_all();
    }
}

impl Drop for FlowEnd {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.changed.notify_all();
    }
}

/// A response whose body is being written, in the incoming half of its connection.
#[derive(Debug)]
pub(super) struct Streaming {
    flow: FlowEnd,
    framing: Framing,
    /// Bytes of the body that were sent and of which the flow does not know that the kernel has taken them.
    sent: usize,
}

/// How the client finds the end of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// RFC 9112 §7.1.
    Chunked,
    /// The connection ends after it.
    UntilEnd,
    /// There is no body, as in a response to HEAD.
    None,
}

impl Streaming {
    pub(super) fn new(flow: FlowEnd, framing: Framing) -> Self {
        Self { flow, framing, sent: 0 }
    }

    /// Returns the bytes for the wire of a piece of the body, which is not empty.
    pub(super) fn encode(&mut self, piece: Vec<u8>) -> Vec<u8> {
        self.sent += piece.len();
        match self.framing {
            Framing::Chunked => [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat(),
            Framing::UntilEnd => piece,
            Framing::None => Vec::new(),
        }
    }

    /// Returns the bytes for the wire after the last piece.
    pub(super) fn last(&self) -> &'static [u8] {
        match self.framing {
            Framing::Chunked => b"0\r\n\r\n",
            Framing::UntilEnd | Framing::None => b"",
        }
    }

    /// Notes that the kernel has taken everything.
    pub(super) fn note_drained(&mut self) {
        self.flow.release(std::mem::take(&mut self.sent));
    }
}

/// The bytes of a body that may be on their way: in the mail, in the outbox, and not in the kernel.
const MAX_IN_FLIGHT: usize = 256 << 10;
