//! What the two halves of a client share: the transport, and the turn to write to it.
//!
//! No thread waits for another with a lock held. A thread that writes takes the [`Outgoing`] out of the link and gives
//! it back. Meanwhile the receiving half leaves its reply there, and the writing thread sends it before it gives the
//! `Outgoing` back. A later Pong takes the place of an earlier one (§5.5.3), so one reply is all that waits.

use std::{
    fmt, mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{ClientError, Stage, deadline::Deadline, stream::Transport};
use crate::{Masked, OwnedReply, RandomKeys, SendError, Sender};

/// A connection as both halves see it.
pub(super) struct Link {
    transport: Arc<dyn Transport>,
    slot: Mutex<Slot>,
    given_back: Condvar,
    has_ended: AtomicBool,
    write_timeout: Option<Duration>,
}

struct Slot {
    /// `None` while a thread writes.
    outgoing: Option<Outgoing>,
    /// What the receiving half has to answer, while another thread writes.
    reply: Option<OwnedReply>,
}

/// The direction to the server.
struct Outgoing {
    sender: Sender<Masked<RandomKeys>>,
    /// Encoded frames. Empty except while they are written.
    out: Vec<u8>,
    /// Whether all writes have succeeded so far. A frame may be written in part.
    can_write: bool,
}

impl Link {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        sender: Sender<Masked<RandomKeys>>,
        write_timeout: Option<Duration>,
    ) -> Self {
        let outgoing = Outgoing { sender, out: Vec::new(), can_write: true };
        Self {
            transport,
            slot: Mutex::new(Slot { outgoing: Some(outgoing), reply: None }),
            given_back: Condvar::new(),
            has_ended: AtomicBool::new(false),
            write_timeout,
        }
    }

    pub(super) fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    /// Waits until no other thread writes. `None` if that takes longer than the deadline.
    pub(super) fn turn(&self, deadline: Deadline) -> Option<Turn<'_>> {
        let mut slot = self.slot();
        loop {
            if let Some(outgoing) = slot.outgoing.take() {
                return Some(Turn { link: self, outgoing: Some(outgoing), reply_deadline: self.reply_deadline() });
            }
            slot = match deadline.timeout().ok()? {
                Some(timeout) => self.given_back.wait_timeout(slot, timeout).unwrap_or_else(PoisonError::into_inner).0,
                None => self.given_back.wait(slot).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Sends a reply that the protocol requires, or lets the thread that writes send it. The receiving half goes on
    /// even if it cannot be sent.
    pub(super) fn reply(&self, reply: OwnedReply, deadline: Deadline) {
        let mut slot = self.slot();
        slot.reply = Some(reply);
        let outgoing = slot.outgoing.take();
        drop(slot);
        // Giving it back sends the reply.
        drop(outgoing.map(|outgoing| Turn { link: self, outgoing: Some(outgoing), reply_deadline: deadline }));
    }

    /// Returns the deadline for the answers to Pings, and to the server's Close.
    pub(super) fn reply_deadline(&self) -> Deadline {
        Deadline::PerCall(self.write_timeout)
    }

    /// Returns whether frames can be sent: TCP works, and no Close was sent. `None` while another thread writes.
    pub(super) fn is_sending(&self) -> Option<bool> {
        let slot = self.slot();
        let can_send = |outgoing: &Outgoing| outgoing.can_write && outgoing.sender.is_open();
        if self.has_ended() { Some(false) } else { slot.outgoing.as_ref().map(can_send) }
    }

    /// Returns whether both directions of TCP have ended.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Ends both directions of TCP.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        self.transport.shutdown();
    }

    /// Sends what the receiving half has left meanwhile, and ends the turn.
    fn give_back(&self, mut outgoing: Outgoing, deadline: Deadline) {
        loop {
            let mut slot = self.slot();
            let Some(reply) = slot.reply.take() else {
                slot.outgoing = Some(outgoing);
                break;
            };
            drop(slot);
            let sent = outgoing.sender.owned_reply(&reply, &mut outgoing.out);
            debug_assert_eq!(sent, Ok(()), "a Vec has room, and a reply is valid");
            // The message is returned even if its answer cannot be sent.
            let _ = self.write(&mut outgoing, deadline, Stage::Send);
        }
        self.given_back.notify_one();
    }

    fn write(&self, outgoing: &mut Outgoing, deadline: Deadline, stage: Stage) -> Result<(), ClientError> {
        // The receiving half may have ended TCP since the frames were encoded.
        let can_write = outgoing.can_write && !self.has_ended();
        let written = can_write.then(|| self.transport.write_all(&outgoing.out, deadline));
        outgoing.out.clear();
        outgoing.out.shrink_to(MAX_KEPT_BYTES);
        written.ok_or(ClientError::Closed)?.map_err(|error| {
            log::debug!("sending failed, the connection is read-only: {error}");
            outgoing.can_write = false;
            ClientError::from_io(error, stage)
        })
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("socket", &self.transport.socket()).field("has_ended", &self.has_ended()).finish()
    }
}

/// The right to write, until it is dropped.
pub(super) struct Turn<'l> {
    link: &'l Link,
    /// `None` only within `drop`.
    outgoing: Option<Outgoing>,
    reply_deadline: Deadline,
}

impl Turn<'_> {
    /// Returns whether all writes have succeeded so far.
    pub(super) fn can_write(&self) -> bool {
        !self.link.has_ended() && self.outgoing.as_ref().is_some_and(|outgoing| outgoing.can_write)
    }

    /// Returns whether no Close was sent.
    pub(super) fn is_open(&self) -> bool {
        self.outgoing.as_ref().is_some_and(|outgoing| outgoing.sender.is_open())
    }

    /// Lets `send` append frames, and writes them.
    ///
    /// # Errors
    /// [`ClientError::Closed`], [`ClientError::Send`], or that of the write with this stage.
    pub(super) fn send(
        &mut self,
        send: impl FnOnce(&mut Sender<Masked<RandomKeys>>, &mut Vec<u8>) -> Result<(), SendError>,
        deadline: Deadline,
        stage: Stage,
    ) -> Result<(), ClientError> {
        match &mut self.outgoing {
            Some(outgoing) if outgoing.can_write && !self.link.has_ended() => {
                send(&mut outgoing.sender, &mut outgoing.out)?;
                self.link.write(outgoing, deadline, stage)
            }
            _ => Err(ClientError::Closed),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(outgoing) = &mut self.outgoing
            && thread::panicking()
        {
            // A frame may be encoded in part.
            outgoing.can_write = false;
        }
        if let Some(outgoing) = mem::take(&mut self.outgoing) {
            self.link.give_back(outgoing, self.reply_deadline);
        }
    }
}

/// The capacity of the output that is kept once all of it is written, in bytes.
const MAX_KEPT_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::{
        io,
        net::TcpStream,
        sync::mpsc::{self, Receiver, SyncSender},
    };

    use super::*;
    use crate::{Connection, Delivery, Event, Limits, client::waker::Wake};

    /// A transport whose writes wait until the test takes them.
    struct Rendezvous(SyncSender<Vec<u8>>);

    impl Transport for Rendezvous {
        fn read(&self, _: &mut [u8], _: Deadline) -> io::Result<usize> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn write_all(&self, bytes: &[u8], _: Deadline) -> io::Result<()> {
            self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe.into())
        }

        fn finish_writing(&self, _: Deadline) -> io::Result<()> {
            Ok(())
        }

        fn drain(&self, _: Deadline) -> io::Result<()> {
            Ok(())
        }

        fn shutdown(&self) {}

        fn socket(&self) -> Option<&TcpStream> {
            None
        }

        fn wake(&self) -> io::Result<Arc<Wake>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn take_wake(&self) -> bool {
            false
        }

        fn is_duplex(&self) -> bool {
            true
        }
    }

    fn link() -> (Arc<Link>, Receiver<Vec<u8>>) {
        let (wrote, written) = mpsc::sync_channel(0);
        let keys = RandomKeys::new().unwrap();
        let connection = Connection::client(keys, Limits::default(), Delivery::Messages);
        (Arc::new(Link::new(Arc::new(Rendezvous(wrote)), connection.sender, Some(LONG))), written)
    }

    /// Reads what a client has written, as a server does.
    fn read(written: &Receiver<Vec<u8>>) -> String {
        let mut bytes = written.recv_timeout(LONG).expect("something is written");
        let mut server = Connection::server(Limits::default(), Delivery::Messages);
        let mut events = server.receiver.receive(&mut bytes);
        match events.next_event().unwrap().unwrap() {
            Event::Pong(payload) => format!("pong {}", String::from_utf8_lossy(payload)),
            event => format!("{event:?}"),
        }
    }

    fn pong(payload: &[u8]) -> OwnedReply {
        OwnedReply::to(&Event::Ping(payload)).unwrap()
    }

    #[test]
    fn replies_do_not_wait_for_a_write_and_the_latest_follows_it() {
        let (link, written) = link();
        let (begin, begun) = mpsc::channel();
        let writer = thread::spawn({
            let link = Arc::clone(&link);
            move || {
                let mut turn = link.turn(Deadline::PerCall(None)).unwrap();
                begin.send(()).unwrap();
                turn.send(|sender, out| sender.text("long", out), Deadline::PerCall(None), Stage::Send)
            }
        });
        begun.recv_timeout(LONG).unwrap();
        assert_eq!(link.is_sending(), None);
        link.reply(pong(b"1"), link.reply_deadline());
        link.reply(pong(b"2"), link.reply_deadline());
        assert!(link.turn(Deadline::after(Some(Duration::from_millis(1)))).is_none(), "it is the writer's turn");
        assert_eq!(read(&written), "Text(\"long\")");
        assert_eq!(read(&written), "pong 2");
        writer.join().unwrap().unwrap();
        assert!(link.turn(Deadline::after(Some(LONG))).is_some());
        assert!(written.try_recv().is_err(), "nothing is written twice");
    }

    #[test]
    fn a_panic_in_a_turn_leaves_a_connection_that_sends_nothing_more() {
        let (link, written) = link();
        let panicked = thread::spawn({
            let link = Arc::clone(&link);
            move || {
                let _turn = link.turn(Deadline::PerCall(None));
                panic!("on purpose");
            }
        });
        assert!(panicked.join().is_err());
        assert_eq!(link.is_sending(), Some(false));
        link.reply(pong(b"1"), link.reply_deadline());
        assert!(written.try_recv().is_err());
    }

    /// The longest that a test waits for anything.
    const LONG: Duration = Duration::from_secs(10);
}
