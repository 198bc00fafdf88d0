//! Publications in an outbox that may be dropped for later ones, and the gaps that dropped ones leave.
//!
//! To drop a frame costs no copy of the frames behind it: its bytes stay in the outbox as a *gap*, which is never
//! written, until the bytes are moved for another reason or the gaps are as long as what waits. All positions are
//! offsets in the outbox's bytes. Only publications are dropped: each is compressed by itself, if at all, so no later
//! message refers to it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Range,
};

use super::topics::TopicId;

/// Which publications may be dropped for a later one of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drops {
    /// The oldest of all topics that drop these.
    Oldest,
    /// All earlier ones of the topic.
    Earlier(TopicId),
}

/// The publications of one connection that may be dropped, and the gaps.
#[derive(Debug, Default)]
pub(super) struct Droppable {
    /// Frames of topics that drop the oldest, in order.
    oldest: VecDeque<Span>,
    /// The one frame of each topic that keeps only the latest.
    latest: HashMap<TopicId, Span>,
    /// The end of each gap by its start. Those that touch are one if the later one came later.
    gaps: BTreeMap<usize, usize>,
    gap_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
}

impl Droppable {
    /// Adds the frame at `span`, which comes after all others, and drops the earlier one of its topic if only the
    /// latest is kept. Frames that begin before `begun` are not dropped. Returns how many were dropped.
    pub(super) fn add(&mut self, span: Range<usize>, drops: Drops, begun: usize) -> u64 {
        let span = Span { start: span.start, end: span.end };
        match drops {
            Drops::Oldest => {
                self.oldest.push_back(span);
                0
            }
            Drops::Earlier(topic) => match self.latest.insert(topic, span) {
                Some(earlier) if earlier.start >= begun => {
                    self.open_gap(earlier);
                    1
                }
                _ => 0,
            },
        }
    }

    /// Drops the oldest frame of the topics that drop these. Returns whether there is one.
    pub(super) fn drop_oldest(&mut self) -> bool {
        let Some(span) = self.oldest.pop_front() else { return false };
        self.open_gap(span);
        true
    }

    /// Returns the length of the oldest frame of the topics that drop these.
    pub(super) fn oldest_bytes(&self) -> Option<usize> {
        self.oldest.front().map(|span| span.end - span.start)
    }

    /// Forgets the frames that begin before `begun`: they are partly written.
    pub(super) fn forget_begun(&mut self, begun: usize) {
        while self.oldest.front().is_some_and(|span| span.start < begun) {
            self.oldest.pop_front();
        }
    }

    /// Lets the frame of a topic that waits be dropped no more: the topic's number may become another topic's.
    pub(super) fn forget_topic(&mut self, topic: TopicId) {
        self.latest.remove(&topic);
    }

    fn open_gap(&mut self, span: Span) {
        self.gap_bytes += span.end - span.start;
        match self.gaps.range_mut(..span.start).next_back() {
            Some((_, end)) if *end == span.start => *end = span.end,
            _ => {
                self.gaps.insert(span.start, span.end);
            }
        }
    }

    /// Removes the gap that begins at `position`, if there is one, and returns its end.
    pub(super) fn take_gap_at(&mut self, position: usize) -> Option<usize> {
        let end = self.gaps.remove(&position)?;
        self.gap_bytes -= end - position;
        Some(end)
    }

    /// Returns the start of the first gap.
    pub(super) fn first_gap(&self) -> Option<usize> {
        self.gaps.first_key_value().map(|(&start, _)| start)
    }

    /// Returns the number of gaps.
    pub(super) fn gaps(&self) -> usize {
        self.gaps.len()
    }

    /// Returns the bytes in gaps.
    pub(super) fn gap_bytes(&self) -> usize {
        self.gap_bytes
    }

    /// Returns the bytes that are kept to find the frames of topics that drop the oldest.
    pub(super) fn index_bytes(&self) -> usize {
        self.oldest.len() * size_of::<Span>()
    }

    /// Returns the heap memory.
    pub(super) fn allocated_bytes(&self) -> usize {
        self.oldest.capacity() * size_of::<Span>() + self.latest.capacity() * LATEST_BYTES + self.allocated_gap_bytes()
    }

    /// Returns the heap memory that gaps take beside their bytes.
    pub(super) fn allocated_gap_bytes(&self) -> usize {
        self.gaps.len() * GAP_BYTES
    }

    /// Notes that all bytes from `head` on have moved to `to`.
    pub(super) fn shift(&mut self, head: usize, to: usize) {
        self.move_spans(head, |position| position - head + to);
        self.gaps = std::mem::take(&mut self.gaps)
            .into_iter()
            .map(|(start, end)| (start - head + to, end - head + to))
            .collect();
    }

    /// Removes the bytes before `head` and all gaps from `bytes`.
    pub(super) fn compact(&mut self, bytes: &mut Vec<u8>, head: usize) {
        // The end of each gap, and how many bytes are removed up to there.
        let mut removed = vec![(head, head)];
        let mut to = 0;
        let mut from = head;
        for (start, end) in std::mem::take(&mut self.gaps) {
            bytes.copy_within(from..start, to);
            to += start - from;
            from = end;
            removed.push((end, end - to));
        }
        bytes.copy_within(from.., to);
        bytes.truncate(to + bytes.len() - from);
        self.gap_bytes = 0;
        self.move_spans(head, |position| {
            let before = removed.partition_point(|&(end, _)| end <= position);
            position - removed[before - 1].1
        });
    }

    /// Gives the frames from `head` on another position, and forgets those before.
    fn move_spans(&mut self, head: usize, to: impl Fn(usize) -> usize) {
        self.forget_begun(head);
        self.latest.retain(|_, span| span.start >= head);
        for span in self.oldest.iter_mut().chain(self.latest.values_mut()) {
            let start = to(span.start);
            (span.start, span.end) = (start, start + span.end - span.start);
        }
    }
}

/// About the bytes that an entry of a map takes.
const LATEST_BYTES: usize = 40;
const GAP_BYTES: usize = 48;

#[cfg(test)]
mod tests {
    use super::{super::outbox::Outbox, *};
    use crate::{
        Connection, Delivery, Limits, Reply,
        reactor::{Clock, Tick, simulated::Random},
    };

    const MAX_HELD: usize = 1000;

    fn now() -> Tick {
        Clock::starting_now().tick(std::time::Instant::now())
    }

    fn frame(number: usize, length: usize) -> Vec<u8> {
        let mut payload = number.to_string().into_bytes();
        payload.resize(payload.len().max(length), b'x');
        let mut out = Vec::new();
        let mut connection = Connection::server(Limits::default(), Delivery::Messages);
        connection.sender.binary(&payload, &mut out).unwrap();
        out
    }

    /// What an outbox should do, as a list of frames.
    #[derive(Default)]
    struct Model {
        frames: VecDeque<(Vec<u8>, Option<Drops>)>,
        /// How much of the first frame is written.
        written: usize,
        pongs: VecDeque<Vec<u8>>,
        missed: u64,
    }

    impl Model {
        fn len(&self) -> usize {
            let lengths = self.frames.iter().map(|(frame, _)| frame).chain(&self.pongs).map(Vec::len);
            lengths.sum::<usize>() - self.written
        }

        fn held(&self) -> usize {
            let begun = usize::from(self.written > 0);
            let oldest = self.frames.iter().skip(begun).filter(|(_, drops)| *drops == Some(Drops::Oldest));
            self.len() + 16 * oldest.count()
        }

        fn publish(&mut self, frame: Vec<u8>, drops: Drops) {
            let begun = usize::from(self.written > 0);
            let find = |frames: &VecDeque<(Vec<u8>, Option<Drops>)>| {
                let mut places = begun..frames.len();
                places.find(|&place| frames[place].1 == Some(drops))
            };
            if drops != Drops::Oldest
                && let Some(earlier) = find(&self.frames)
            {
                self.frames.remove(earlier);
                self.missed += 1;
            }
            self.frames.push_back((frame, Some(drops)));
            while drops == Drops::Oldest
                && self.held() > MAX_HELD
                && let Some(oldest) = find(&self.frames)
                && self.len() > self.frames[oldest].0.len()
            {
                self.frames.remove(oldest);
                self.missed += 1;
            }
        }

        /// Returns the next `room` bytes.
        fn take(&mut self, room: usize) -> Vec<u8> {
            let mut taken = Vec::new();
            while taken.len() < room {
                if self.written == 0
                    && let Some(pong) = self.pongs.pop_front()
                {
                    self.frames.push_front((pong, None));
                }
                let Some((frame, _)) = self.frames.front() else { break };
                let end = frame.len().min(self.written.saturating_add(room - taken.len()));
                taken.extend(&frame[self.written..end]);
                self.written = end;
                if end == frame.len() {
                    self.frames.pop_front();
                    self.written = 0;
                }
            }
            taken
        }
    }

    fn take(outbox: &mut Outbox, room: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while taken.len() < room && !outbox.is_empty() {
            let chunk = outbox.next_chunk();
            let written = chunk.len().min(room - taken.len());
            taken.extend_from_slice(&chunk[..written]);
            outbox.note_written(written, &[], now());
        }
        outbox.recount();
        taken
    }

    /// Frames of all kinds, of lengths from a few bytes to more than all that may wait, and a kernel that takes any
    /// number of bytes at any time.
    #[test]
    fn an_outbox_writes_what_a_list_of_frames_would() {
        let (mut missed, mut longest_gaps) = (0, 0);
        for seed in 0..300 {
            let mut random = Random::new(seed);
            let (mut outbox, mut model) = (Outbox::default(), Model::default());
            let longest = [10, 200, 2_000, 40_000][random.below(4)];
            for number in 0..200 {
                let bytes = frame(number, random.below(longest));
                match random.below(12) {
                    0..=1 => {
                        outbox.frames(now()).extend(&bytes);
                        model.frames.push_back((bytes, None));
                    }
                    2..=8 => {
                        let choice = [Drops::Oldest, Drops::Earlier(1), Drops::Earlier(2)];
                        let drops = choice[random.below(3)];
                        outbox.frames(now()).extend(&bytes);
                        let dropped = outbox.note_publication(bytes.len(), drops, MAX_HELD);
                        outbox.note_missed(dropped);
                        missed += dropped;
                        model.publish(bytes, drops);
                    }
                    9 if model.pongs.len() < 10 && !outbox.is_empty() => {
                        let mut pong = Vec::new();
                        let mut connection = Connection::server(Limits::default(), Delivery::Messages);
                        connection.sender.reply(Reply::Pong(&[1, 2, 3]), &mut pong).unwrap();
                        outbox.append_pong(&pong, now());
                        model.pongs.push_back(pong);
                    }
                    _ => {
                        let most = [4, 300, 5_000][random.below(3)];
                        let room = random.below(most);
                        let told = outbox.take_missed();
                        assert_eq!(told, std::mem::take(&mut model.missed), "seed {seed}, {number}");
                        assert_eq!(take(&mut outbox, room), model.take(room), "seed {seed}, {number}");
                    }
                }
                assert_eq!((outbox.len(), outbox.held()), (model.len(), model.held()), "seed {seed}, {number}");
                let unused = outbox.allocated_bytes().saturating_sub(4 * outbox.len());
                longest_gaps = longest_gaps.max(unused);
            }
            assert_eq!(take(&mut outbox, usize::MAX), model.take(usize::MAX), "seed {seed}, the rest");
            assert_eq!(outbox.allocated_bytes(), 0, "seed {seed}");
        }
        assert!(missed > 2_000, "{missed}");
        assert!(longest_gaps < 256 << 10, "dropped frames keep {longest_gaps} bytes");
    }

    #[test]
    fn what_the_kernel_left_of_a_log_is_dropped_like_what_comes_later() {
        let log: Vec<u8> = (0..5).flat_map(|number| frame(number, 100)).collect();
        let one = frame(0, 100).len();
        for (drops, written, max_held, kept) in [
            (Drops::Earlier(1), 0, 0, &[4][..]),
            (Drops::Earlier(1), 1, 0, &[0, 4]),
            (Drops::Earlier(1), one, 0, &[4]),
            (Drops::Earlier(1), 4 * one + 1, 0, &[4]),
            (Drops::Oldest, 0, 5 * (one + 16), &[0, 1, 2, 3, 4]),
            (Drops::Oldest, 0, 5 * (one + 16) - 1, &[1, 2, 3, 4]),
            (Drops::Oldest, 0, 0, &[4]),
            (Drops::Oldest, 1, 2 * (one + 16) - 1, &[0, 4]),
            // Even the last is dropped while a begun one takes all that may wait.
            (Drops::Oldest, 1, 0, &[0]),
        ] {
            let mut outbox = Outbox::default();
            outbox.keep_rest(&log, written, now());
            let dropped = outbox.note_unstarted_publications(drops, max_held);
            let expected: Vec<u8> = kept.iter().flat_map(|&number| frame(number, 100)).collect();
            let begun = written % one;
            assert_eq!(take(&mut outbox, usize::MAX), expected[begun..], "{drops:?} {written} {max_held}");
            assert_eq!(dropped as usize, 5 - written / one - kept.len(), "{drops:?} {written} {max_held}");
        }
    }

    #[test]
    fn a_topic_with_the_number_of_a_former_one_drops_nothing_of_that() {
        let mut outbox = Outbox::default();
        for number in 0..2 {
            outbox.frames(now()).extend(frame(number, 10));
            assert_eq!(outbox.note_publication(frame(number, 10).len(), Drops::Earlier(7), 0), 0, "{number}");
            outbox.forget_topic(7);
        }
        assert_eq!(take(&mut outbox, usize::MAX), [frame(0, 10), frame(1, 10)].concat());
    }

    /// The deadline for progress must not begin anew with each message that takes the place of another.
    #[test]
    fn a_peer_that_takes_nothing_makes_no_progress_by_dropped_messages() {
        let clock = Clock::starting_now();
        let start = std::time::Instant::now();
        for drops in [Drops::Oldest, Drops::Earlier(1)] {
            let mut outbox = Outbox::default();
            for second in 0..10 {
                let at = clock.tick(start + std::time::Duration::from_secs(second));
                outbox.frames(at).extend(frame(0, 600));
                outbox.note_publication(frame(0, 600).len(), drops, MAX_HELD);
            }
            assert_eq!(outbox.last_progress(), Some(clock.tick(start)), "{drops:?}");
            assert_eq!(outbox.len(), frame(0, 600).len(), "{drops:?}");
        }
    }
}
