//! What waits for peers, and its bounds: per connection a policy for those who are too slow, per worker a limit.

use std::io;

use super::{
    Config, SlowSubscriber,
    link::{Link, Stage},
    outbox::Outbox,
};
use crate::{
    CloseCode, CloseFrame,
    reactor::{Key, Slots, Tick},
};

/// Why the hub wants a connection to end.
#[derive(Debug)]
pub(super) enum Failure {
    /// The socket is broken.
    Broken(io::Error),
    /// A subscriber that is too far behind.
    TooSlow,
    /// Its bytes, the most of all, were dropped for others to have room; it is told so.
    Overloaded,
    /// There was no room for what the kernel did not take: its last frame is cut, and nothing can be said any more.
    Cut,
}

/// Whether `more` bytes that others sent may wait for `key`, by the policy for those who are too slow and by the bound
/// for all.
pub(super) fn may_wait(
    links: &mut Slots<Link>,
    key: Key,
    more: usize,
    memory: &mut Memory,
    config: &Config,
    now: Tick,
    failed: &mut Vec<(Key, Failure)>,
) -> bool {
    let Some(link) = links.get(key).filter(|link| link.stage == Stage::Open) else { return false };
    let waits = link.outbox.len();
    if waits > 0 && waits + more > config.max_queued_bytes {
        match config.slow_subscriber {
            SlowSubscriber::Skip => {}
            SlowSubscriber::Close => failed.push((key, Failure::TooSlow)),
        }
        return false;
    }
    let fits = memory.make_room(links, more, now, failed);
    if !fits {
        failed.push((key, Failure::Overloaded));
    }
    fits
}

/// Writes frames to a link for which nothing waits, and keeps what the kernel does not take.
pub(super) fn write_or_keep(
    links: &mut Slots<Link>,
    key: Key,
    frames: &[u8],
    memory: &mut Memory,
    now: Tick,
    failed: &mut Vec<(Key, Failure)>,
) {
    let Some(link) = links.get_mut(key) else { return };
    match link.socket.write(frames) {
        Ok(written) if written == frames.len() => {}
        Ok(written) => {
            let fits = memory.make_room(links, frames.len() - written, now, failed);
            let Some(link) = links.get_mut(key) else { return };
            link.written = now;
            link.outbox.keep_rest(frames, written);
            if !fits {
                // What has not begun is dropped; what has may still be too much.
                link.outbox.drop_unbegun();
                let cut = memory.queued + link.outbox.len() > memory.limit;
                if cut {
                    link.outbox = Outbox::default();
                    link.stage = Stage::Draining;
                }
                failed.push((key, if cut { Failure::Cut } else { Failure::Overloaded }));
            }
            memory.recount(link);
        }
        Err(error) => failed.push((key, Failure::Broken(error))),
    }
}

/// The bytes in all outboxes of a worker, and their bound.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) queued: usize,
    pub(super) limit: usize,
}

impl Memory {
    /// Counts an outbox that has changed.
    pub(super) fn recount(&mut self, link: &mut Link) {
        let waits = link.outbox.len();
        self.queued = self.queued - link.counted + waits;
        link.counted = waits;
    }

    /// Makes room for `more` bytes: while there is too little, whoever has most waiting is told 1013, and the rest of
    /// it dropped. Gives whether there is room now.
    fn make_room(&mut self, links: &mut Slots<Link>, more: usize, now: Tick, failed: &mut Vec<(Key, Failure)>) -> bool {
        while self.queued + more > self.limit {
            let waiting = links.iter().filter(|(_, link)| link.stage == Stage::Open && !link.outbox.is_empty());
            let Some((key, _)) = waiting.max_by_key(|(_, link)| link.outbox.len()) else { return false };
            let Some(link) = links.get_mut(key) else { return false };
            link.outbox.drop_unbegun();
            if let Some(sender) = &mut link.sender {
                let frame = CloseFrame { code: CloseCode::TRY_AGAIN_LATER, reason: OVERLOADED };
                let written = sender.close(Some(frame), &mut link.outbox);
                debug_assert_eq!(written, Ok(()), "our own words fit");
            }
            link.enter(Stage::Draining, now);
            self.recount(link);
            failed.push((key, Failure::Overloaded));
        }
        true
    }
}

/// What those are told who had most waiting when a worker's memory ran out.
pub(super) const OVERLOADED: &str = "out of memory, try again later";
