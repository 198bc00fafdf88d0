//! The bytes for one peer that the kernel did not take, as frames.
//!
//! An outbox knows where its partly written frame ends. So Pongs can go out directly after that frame, and a failing
//! connection can drop all later frames. Most connections never have anything in their outbox. Publications of some
//! topics may be dropped alone, for later ones (`droppable.rs`).
//!
//! A transport such as TLS takes frames before the kernel does. What it makes of them, and what it sends by itself, is
//! *sealed*: it goes out before anything else, and as it is.

use super::{
    droppable::{Droppable, Drops},
    topics::TopicId,
};
use crate::{FrameHeader, HeaderRules, Role, reactor::Tick};

/// Bytes that wait for a peer. Owns no memory while none do.
#[derive(Debug, Default)]
pub(super) struct Outbox(Option<Box<Waiting>>);

#[derive(Debug)]
struct Waiting {
    /// Bytes of the transport that the kernel did not take. They go first.
    sealed: Vec<u8>,
    /// `bytes[head..]` is still to be written: frames, after an HTTP response if there is one.
    bytes: Vec<u8>,
    head: usize,
    /// How many of the bytes at `head` belong to the started (partly written) frame; 0 if a frame begins at `head`.
    started: usize,
    /// Pongs, which go out at the next end of a frame.
    pongs: Vec<u8>,
    /// The start of each waiting Pong in `pongs`; at most [`MAX_PONGS`].
    pong_starts: Vec<usize>,
    /// When the peer last made progress; at first, when bytes began to wait.
    last_progress: Tick,
    /// How many bytes the kernel must take for the next progress.
    goal: usize,
    /// `allocated_bytes()` as counted in the worker's total.
    counted: usize,
    /// Publications among the bytes that may be dropped, and the gaps of those that were; all at or after `begun()`.
    droppable: Option<Box<Droppable>>,
    /// Messages that the peer has missed since its app was told.
    missed: u64,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|waiting| waiting.len() == 0)
    }

    /// Returns the number of bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.len())
    }

    /// Returns the number of bytes that wait, and of those that are kept to find frames among them.
    pub(super) fn held(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.held())
    }

    /// Returns the number of bytes in frames that are not partly written, without Pongs.
    pub(super) fn unstarted(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.unstarted())
    }

    /// Returns the heap memory of the bytes that wait.
    pub(super) fn allocated_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.allocated_bytes())
    }

    /// Returns when the kernel last took a [share](PROGRESS_SHARE) of the bytes, or when bytes began to wait; `None` if
    /// nothing waits.
    pub(super) fn last_progress(&self) -> Option<Tick> {
        self.0.as_ref().filter(|waiting| waiting.len() > 0).map(|waiting| waiting.last_progress)
    }

    /// Restarts the deadline for progress.
    pub(super) fn restart_deadline(&mut self, now: Tick) {
        if let Some(waiting) = &mut self.0 {
            waiting.last_progress = now;
        }
    }

    /// Returns the buffer to append a frame to.
    pub(super) fn frames(&mut self, now: Tick) -> &mut Vec<u8> {
        &mut self.waiting(now).bytes
    }

    /// Appends an HTTP response, which counts as one started frame.
    pub(super) fn append_http(&mut self, bytes: &[u8], now: Tick) {
        let waiting = self.waiting(now);
        waiting.bytes.extend_from_slice(bytes);
        waiting.started = waiting.bytes.len() - waiting.head;
    }

    /// Keeps the rest of `frames` after the transport took `written` bytes. Called only while no frames wait.
    pub(super) fn keep_rest(&mut self, frames: &[u8], written: usize, now: Tick) {
        let waiting = self.waiting(now);
        waiting.bytes.extend_from_slice(&frames[written..]);
        waiting.started = to_frame_end(frames, written);
    }

    /// Keeps bytes of the transport that the kernel did not take.
    pub(super) fn keep_sealed(&mut self, bytes: &[u8], now: Tick) {
        self.waiting(now).sealed.extend_from_slice(bytes);
    }

    /// Returns the bytes of the transport that wait.
    pub(super) fn sealed(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |waiting| &waiting.sealed)
    }

    /// Removes the first `sent` bytes of those of the transport, which the kernel has taken.
    pub(super) fn note_sent(&mut self, sent: usize, now: Tick) {
        if let Some(waiting) = &mut self.0 {
            waiting.sealed.drain(..sent);
            if waiting.sealed.is_empty() {
                waiting.sealed = Vec::new();
            }
            waiting.note_taken(sent, now);
        }
    }

    /// Appends a Pong, which goes out before the frames that wait. Past [`MAX_PONGS`] it replaces the last one: §5.5.3
    /// requires an answer only to the latest Ping.
    pub(super) fn append_pong(&mut self, frame: &[u8], now: Tick) {
        let Waiting { pongs, pong_starts, .. } = self.waiting(now);
        if pong_starts.len() == MAX_PONGS
            && let Some(last) = pong_starts.pop()
        {
            pongs.truncate(last);
        }
        pong_starts.push(pongs.len());
        pongs.extend_from_slice(frame);
    }

    /// Notes that the last `length` bytes are a publication. Drops what its topic drops for it: past `max_held` bytes
    /// the oldest, perhaps itself, but never the only frame that waits. Returns how many were dropped.
    pub(super) fn note_publication(&mut self, length: usize, drops: Drops, max_held: usize) -> u64 {
        let Some(waiting) = &mut self.0 else { return 0 };
        let start = waiting.bytes.len() - length;
        waiting.note_publications(start, drops, max_held)
    }

    /// As [`note_publication`](Self::note_publication) for all frames that are not partly written.
    pub(super) fn note_unstarted_publications(&mut self, drops: Drops, max_held: usize) -> u64 {
        let Some(waiting) = &mut self.0 else { return 0 };
        waiting.note_publications(waiting.begun(), drops, max_held)
    }

    /// Lets no later publication of a topic drop those that wait.
    pub(super) fn forget_topic(&mut self, topic: TopicId) {
        if let Some(droppable) = self.0.as_mut().and_then(|waiting| waiting.droppable.as_mut()) {
            droppable.forget_topic(topic);
        }
    }

    /// Counts messages that the peer has missed, while something waits for it.
    pub(super) fn note_missed(&mut self, missed: u64) {
        if let Some(waiting) = &mut self.0 {
            waiting.missed += missed;
        }
    }

    /// Returns how many messages the peer has missed since the last call.
    pub(super) fn take_missed(&mut self) -> u64 {
        self.0.as_mut().map_or(0, |waiting| std::mem::take(&mut waiting.missed))
    }

    /// Drops all frames that are not partly written, and all Pongs.
    pub(super) fn drop_unstarted(&mut self) {
        if let Some(waiting) = &mut self.0 {
            waiting.bytes.truncate(waiting.begun());
            waiting.bytes.shrink_to_fit();
            waiting.droppable = None;
            waiting.clear_pongs();
        }
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        self.clear_unsealed();
        if let Some(waiting) = &mut self.0 {
            waiting.sealed = Vec::new();
        }
    }

    /// Drops everything that the transport has not taken.
    pub(super) fn clear_unsealed(&mut self) {
        if let Some(waiting) = &mut self.0 {
            (waiting.started, waiting.head) = (0, 0);
            waiting.bytes = Vec::new();
            waiting.droppable = None;
            waiting.clear_pongs();
        }
    }

    /// Returns the next bytes to write; none if no frames wait.
    pub(super) fn next_chunk(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |waiting| waiting.next_chunk())
    }

    /// Removes the first `written` bytes of [`next_chunk`](Self::next_chunk), which the transport has taken. Keeps what
    /// it has made of them and the kernel has not taken.
    pub(super) fn note_written(&mut self, written: usize, sealed: &[u8], now: Tick) {
        if let Some(waiting) = &mut self.0 {
            waiting.advance_chunk(written);
            waiting.sealed.extend_from_slice(sealed);
            waiting.note_taken(written.saturating_sub(sealed.len()), now);
        }
    }

    /// Returns the allocated bytes at the last call, and now. Called after every change. Frees the memory if nothing
    /// waits.
    pub(super) fn recount(&mut self) -> (usize, usize) {
        let Some(waiting) = &mut self.0 else { return (0, 0) };
        let before = waiting.counted;
        if waiting.len() == 0 {
            self.0 = None;
            return (before, 0);
        }
        waiting.counted = waiting.allocated_bytes();
        (before, waiting.counted)
    }

    fn waiting(&mut self, now: Tick) -> &mut Waiting {
        let waiting = self.0.get_or_insert_with(|| Box::new(Waiting::new(now)));
        if waiting.len() == 0 {
            (waiting.last_progress, waiting.goal) = (now, 1);
        }
        waiting
    }
}

impl Waiting {
    fn new(now: Tick) -> Self {
        Self {
            sealed: Vec::new(),
            bytes: Vec::new(),
            head: 0,
            started: 0,
            pongs: Vec::new(),
            pong_starts: Vec::new(),
            last_progress: now,
            goal: 1,
            counted: 0,
            droppable: None,
            missed: 0,
        }
    }

    fn len(&self) -> usize {
        self.sealed.len() + self.bytes.len() - self.head - self.gap_bytes() + self.pongs.len()
    }

    fn held(&self) -> usize {
        self.len() + self.droppable.as_ref().map_or(0, |droppable| droppable.index_bytes())
    }

    fn gap_bytes(&self) -> usize {
        self.droppable.as_ref().map_or(0, |droppable| droppable.gap_bytes())
    }

    /// Returns the position behind the partly written frame.
    fn begun(&self) -> usize {
        self.head + self.started
    }

    fn allocated_bytes(&self) -> usize {
        self.sealed.capacity()
            + self.bytes.capacity()
            + self.pongs.capacity()
            + self.pong_starts.capacity() * size_of::<usize>()
            + self.droppable.as_ref().map_or(0, |droppable| droppable.allocated_bytes())
    }

    /// Notes that the kernel took `written` bytes.
    fn note_taken(&mut self, written: usize, now: Tick) {
        self.goal = self.goal.saturating_sub(written);
        if self.goal == 0 {
            self.last_progress = now;
            self.goal = (self.len() / PROGRESS_SHARE).max(1);
        }
    }

    fn unstarted(&self) -> usize {
        self.bytes.len() - self.begun() - self.gap_bytes()
    }

    fn note_publications(&mut self, from: usize, drops: Drops, max_held: usize) -> u64 {
        let begun = self.begun();
        let mut droppable = self.droppable.take().unwrap_or_default();
        let mut dropped = 0;
        let mut start = from;
        while start < self.bytes.len() {
            let end = start + frame_length(&self.bytes[start..]);
            dropped += droppable.add(start..end, drops, begun);
            start = end;
        }
        self.droppable = Some(droppable);
        if drops == Drops::Oldest {
            dropped += self.drop_oldest(max_held);
        }
        // A thirty-second part of what is left is progress, too.
        self.goal = self.goal.min((self.len() / PROGRESS_SHARE).max(1));
        self.skip_gaps(usize::MAX);
        dropped
    }

    /// Drops the oldest publications that may be dropped until at most `max_held` bytes are held, or one frame waits.
    fn drop_oldest(&mut self, max_held: usize) -> u64 {
        let mut dropped = 0;
        while self.held() > max_held {
            let waits = self.len();
            let Some(droppable) = &mut self.droppable else { break };
            if droppable.oldest_bytes() == Some(waits) || !droppable.drop_oldest() {
                break;
            }
            dropped += 1;
        }
        dropped
    }

    /// Moves the head behind gaps. Moves the bytes together if unused ones take as much as the others, or there are
    /// more than `max_gaps`.
    fn skip_gaps(&mut self, max_gaps: usize) {
        let (mut gaps, mut unused) = (0, self.head);
        if let Some(droppable) = &mut self.droppable {
            while self.started == 0
                && let Some(end) = droppable.take_gap_at(self.head)
            {
                self.head = end;
            }
            droppable.forget_begun(self.head + self.started);
            gaps = droppable.gaps();
            unused = self.head + droppable.gap_bytes() + droppable.allocated_gap_bytes();
        }
        if self.head == self.bytes.len() {
            // Nothing waits, so the memory is freed too.
            self.bytes = Vec::new();
            self.head = 0;
            self.droppable = None;
        } else if gaps > max_gaps || unused >= COMPACT_FROM && unused >= self.bytes.len() / 2 {
            match &mut self.droppable {
                Some(droppable) => droppable.compact(&mut self.bytes, self.head),
                None => drop(self.bytes.drain(..self.head)),
            }
            self.head = 0;
            self.bytes.shrink_to(2 * self.bytes.len());
        }
    }

    /// Returns the next bytes to write: the rest of the started frame, then the Pongs, then the other frames up to a
    /// gap.
    fn next_chunk(&self) -> &[u8] {
        let gap = self.droppable.as_ref().and_then(|droppable| droppable.first_gap());
        let waiting = &self.bytes[self.head..gap.unwrap_or(self.bytes.len())];
        match (self.started, self.pongs.is_empty()) {
            (_, true) => waiting,
            (0, false) => &self.pongs,
            (started, false) => &waiting[..started],
        }
    }

    /// Removes the first `written` bytes of [`next_chunk`](Self::next_chunk).
    fn advance_chunk(&mut self, written: usize) {
        if self.started == 0 && !self.pongs.is_empty() {
            self.advance_pongs(written);
        } else {
            self.advance(written);
        }
    }

    /// Removes written Pongs. The rest of a partly written Pong moves to the front of the frames, where it counts as
    /// started. The other Pongs stay, before any later one.
    fn advance_pongs(&mut self, written: usize) {
        let rest = to_frame_end(&self.pongs, written);
        let end = written + rest;
        if rest > 0 {
            self.bytes.splice(..self.head, self.pongs[written..end].iter().copied());
            if let Some(droppable) = &mut self.droppable {
                droppable.shift(self.head, rest);
            }
            self.head = 0;
            self.started = rest;
        }
        if end == self.pongs.len() {
            self.clear_pongs();
        } else {
            self.pongs.drain(..end);
            self.pong_starts.retain(|&start| start >= end);
            self.pong_starts.iter_mut().for_each(|start| *start -= end);
        }
    }

    fn advance(&mut self, written: usize) {
        let waiting = &self.bytes[self.head..];
        self.started = match self.started.checked_sub(written) {
            Some(started) => started,
            None => to_frame_end(&waiting[self.started..], written - self.started),
        };
        self.head += written;
        self.skip_gaps(MAX_GAPS);
    }

    fn clear_pongs(&mut self) {
        self.pongs = Vec::new();
        self.pong_starts = Vec::new();
    }
}

/// Returns the number of bytes from `position` to the next end of a frame; 0 if one ends there. `frames` begins with a
/// frame.
fn to_frame_end(frames: &[u8], position: usize) -> usize {
    let mut end = 0;
    while end < position {
        end += frame_length(&frames[end..]);
    }
    end - position
}

/// Returns the length of the first frame of `frames`, which we wrote.
fn frame_length(frames: &[u8]) -> usize {
    let rules = HeaderRules {
        role: Role::Client, // we are the server, whose frames a client reads
        rsv1: true,         // our own compressed messages
        // A continuation frame needs an unfinished message and other frames need none; the length is the same.
        unfinished: (frames.first().is_some_and(|first| first & 0x0F == 0)).then_some(0),
        max_frame_bytes: u64::MAX,
        max_message_bytes: u64::MAX,
    };
    match FrameHeader::decode(frames, &rules) {
        Ok(Some((header, length))) => {
            usize::try_from(header.payload_len).map_or(frames.len(), |payload| length + payload)
        }
        Ok(None) | Err(_) => {
            debug_assert!(false, "the outbox holds whole frames that we wrote");
            frames.len().max(1)
        }
    }
}

/// Autobahn sends ten Pings at once and expects ten Pongs. Only a flood sends more.
const MAX_PONGS: usize = 10;
const COMPACT_FROM: usize = 64 << 10;
/// Each gap between frames costs one `write` more. When the kernel takes bytes, more than this many are removed.
const MAX_GAPS: usize = 8;
/// The share of the waiting bytes that the peer must take before
/// [`Config::write_timeout`](super::Config::write_timeout): one in this many. So a peer cannot make the server keep
/// much for long by taking a byte from time to time.
const PROGRESS_SHARE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Connection, Delivery, Limits, Reply, reactor::Clock};

    fn frames(texts: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut connection = Connection::server(Limits::default(), Delivery::Messages);
        for text in texts {
            connection.sender.text(text, &mut out).unwrap();
        }
        out
    }

    fn pong(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Connection::server(Limits::default(), Delivery::Messages).sender.reply(Reply::Pong(payload), &mut out).unwrap();
        out
    }

    fn now() -> Tick {
        Clock::starting_now().tick(std::time::Instant::now())
    }

    /// Takes up to `room` bytes, as a kernel does.
    fn take(outbox: &mut Outbox, mut room: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while room > 0 && !outbox.is_empty() {
            let waiting = outbox.0.as_mut().unwrap();
            let chunk = waiting.next_chunk();
            let written = chunk.len().min(room);
            taken.extend_from_slice(&chunk[..written]);
            room -= written;
            waiting.advance_chunk(written);
        }
        taken
    }

    #[test]
    fn a_pong_goes_between_frames_wherever_the_kernel_stopped() {
        let data = frames(&["first", "second"]);
        let boundary = frames(&["first"]).len();
        for stopped in 0..data.len() {
            let mut outbox = Outbox::default();
            outbox.keep_rest(&data, stopped, now());
            outbox.append_pong(&pong(b"x"), now());
            let mut wire = data[..stopped].to_vec();
            for _ in 0..100 {
                wire.extend(take(&mut outbox, 3));
            }
            let at = if stopped == 0 {
                0
            } else if stopped <= boundary {
                boundary
            } else {
                data.len()
            };
            let mut expected = data.clone();
            expected.splice(at..at, pong(b"x"));
            assert_eq!(wire, expected, "stopped at {stopped}");
            assert!(outbox.is_empty());
        }
    }

    #[test]
    fn beyond_ten_pongs_only_the_latest_is_kept() {
        let mut outbox = Outbox::default();
        outbox.keep_rest(&frames(&["data"]), 1, now());
        for i in 0..25 {
            outbox.append_pong(&pong(&[i]), now());
        }
        let wire = take(&mut outbox, usize::MAX);
        let payloads: Vec<u8> = wire[frames(&["data"]).len() - 1..].chunks(3).map(|frame| frame[2]).collect();
        assert_eq!(payloads, [0, 1, 2, 3, 4, 5, 6, 7, 8, 24]);
    }

    /// A past bug: the Pongs after a partly written one were treated as data, and later Pongs overtook them.
    #[test]
    fn pongs_keep_their_order_wherever_the_kernel_stops() {
        let data = frames(&["data"]);
        let pongs: Vec<u8> = (0..4).flat_map(|i| pong(&[i])).collect();
        for stopped in 0..pongs.len() {
            let mut outbox = Outbox::default();
            outbox.keep_rest(&data, 1, now());
            for i in 0..3 {
                outbox.append_pong(&pong(&[i]), now());
            }
            let mut wire = take(&mut outbox, data.len() - 1 + stopped);
            outbox.append_pong(&pong(&[3]), now());
            wire.extend(take(&mut outbox, usize::MAX));
            assert_eq!(wire, [&data[1..], &pongs].concat(), "stopped at {stopped}");
        }
    }

    #[test]
    fn unstarted_frames_are_dropped_and_a_started_one_is_finished() {
        let data = frames(&["first", "second", "third"]);
        let boundary = frames(&["first"]).len();
        for (stopped, kept) in
            [(0, 0), (1, boundary), (boundary, boundary), (boundary + 1, boundary + frames(&["second"]).len())]
        {
            let mut outbox = Outbox::default();
            outbox.keep_rest(&data, stopped, now());
            outbox.append_pong(&pong(b"x"), now());
            outbox.drop_unstarted();
            assert_eq!(take(&mut outbox, usize::MAX), data[stopped..kept], "stopped at {stopped}");
        }
    }

    #[test]
    fn sealed_bytes_go_first_and_are_only_dropped_with_everything() {
        let mut outbox = Outbox::default();
        outbox.keep_sealed(b"sealed", now());
        outbox.keep_rest(&frames(&["first", "second"]), 1, now());
        assert_eq!((outbox.sealed(), outbox.len()), (&b"sealed"[..], 6 + frames(&["first", "second"]).len() - 1));
        assert_eq!(outbox.unstarted(), frames(&["second"]).len());
        outbox.note_sent(2, now());
        outbox.drop_unstarted();
        assert_eq!((outbox.sealed(), outbox.len()), (&b"aled"[..], 4 + frames(&["first"]).len() - 1));
        // The transport takes the rest of the frame, and the kernel three bytes of what it becomes.
        outbox.note_sent(4, now());
        outbox.note_written(outbox.next_chunk().len(), b"xyz", now());
        assert_eq!((outbox.sealed(), outbox.next_chunk(), outbox.is_empty()), (&b"xyz"[..], &b""[..], false));
        outbox.frames(now()).extend(frames(&["third"]));
        outbox.clear_unsealed();
        assert_eq!(outbox.len(), 3);
        outbox.clear();
        assert!(outbox.is_empty());
    }

    /// The peer takes one byte every second.
    #[test]
    fn a_peer_that_takes_bytes_now_and_then_makes_no_progress() {
        let clock = Clock::starting_now();
        let start = std::time::Instant::now();
        for (length, progress) in [(10, true), (32, true), (95, false), (10_000, false), (1 << 20, false)] {
            let mut outbox = Outbox::default();
            let at = |seconds| clock.tick(start + std::time::Duration::from_secs(seconds));
            outbox.keep_rest(&frames(&[&"x".repeat(length)]), 1, at(0));
            let waiting = outbox.0.as_mut().unwrap();
            waiting.note_taken(1, at(1));
            waiting.note_taken(1, at(2));
            let expected = if progress { at(2) } else { at(1) };
            assert_eq!(outbox.last_progress(), Some(expected), "{length}");
            // A thirty-second part of the rest is progress.
            for second in [3, 4] {
                let waiting = outbox.0.as_mut().unwrap();
                waiting.note_taken(length / 32 + 1, at(second));
            }
            assert_eq!(outbox.last_progress(), Some(at(4)), "{length}");
        }
    }

    #[test]
    fn dropped_frames_leave_no_memory() {
        let mut outbox = Outbox::default();
        outbox.keep_rest(&frames(&["first", &"x".repeat(1 << 20)]), 1, now());
        assert!(outbox.allocated_bytes() > 1 << 20);
        outbox.drop_unstarted();
        assert_eq!(outbox.allocated_bytes(), outbox.len());
        outbox.clear();
        assert_eq!(outbox.allocated_bytes(), 0);
    }
}
