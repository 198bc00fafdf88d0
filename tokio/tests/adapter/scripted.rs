//! A stream whose every answer the test decides.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The answers of a [`Scripted`] stream, and the questions that it was asked.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// The result of each read; then reads wait.
    pub(crate) input: VecDeque<io::Result<Vec<u8>>>,
    /// The bytes that each read has offered to take.
    pub(crate) offered: Vec<usize>,
    /// The bytes that the stream still takes; then writes wait.
    pub(crate) room: usize,
    pub(crate) write_error: Option<io::ErrorKind>,
    pub(crate) can_flush: bool,
    pub(crate) written: Vec<u8>,
    /// The slices of all writes.
    pub(crate) slices: usize,
    pub(crate) shut: usize,
    was_shut_after_the_end: bool,
    has_ended: bool,
    waiting: Vec<Waker>,
}

impl Script {
    /// Wakes the tasks that wait for the stream.
    pub(crate) fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }

    /// Returns how often our side was ended, and whether the input had ended the first time.
    pub(crate) fn ends(&self) -> (usize, bool) {
        (self.shut, self.was_shut_after_the_end)
    }

    fn wait<T>(&mut self, context: &Context<'_>) -> Poll<T> {
        self.waiting.push(context.waker().clone());
        Poll::Pending
    }
}

/// The stream, and the test's access to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scripted(Arc<Mutex<Script>>);

impl Scripted {
    /// Takes this many bytes, and flushes at once.
    pub(crate) fn with_room(bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(Script { room: bytes, can_flush: true, ..Script::default() })))
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().expect("no test fails while it has the script")
    }
}

impl AsyncRead for Scripted {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut script = self.script();
        script.offered.push(buffer.remaining());
        match script.input.pop_front() {
            None => script.wait(context),
            Some(Err(error)) => Poll::Ready(Err(error)),
            Some(Ok(mut bytes)) => {
                let later = bytes.split_off(bytes.len().min(buffer.remaining()));
                if !later.is_empty() {
                    script.input.push_front(Ok(later));
                }
                script.has_ended |= bytes.is_empty() && script.input.is_empty();
                buffer.put_slice(&bytes);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut script = self.script();
        if let Some(kind) = script.write_error {
            return Poll::Ready(Err(kind.into()));
        }
        let count = bytes.len().min(script.room);
        if count == 0 {
            return script.wait(context);
        }
        script.slices += 1;
        script.room -= count;
        script.written.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut script = self.script();
        if script.can_flush { Poll::Ready(Ok(())) } else { script.wait(context) }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut count = 0;
        for slice in slices {
            match self.as_mut().poll_write(context, slice) {
                Poll::Ready(Ok(written)) => count += written,
                Poll::Pending if count > 0 => break,
                failed => return failed,
            }
        }
        Poll::Ready(Ok(count))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut script = self.script();
        if script.shut == 0 {
            script.was_shut_after_the_end = script.has_ended;
        }
        script.shut += 1;
        Poll::Ready(Ok(()))
    }
}

/// A task's waker that counts.
#[derive(Debug, Default)]
pub(crate) struct Woken(AtomicUsize);

impl Woken {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
