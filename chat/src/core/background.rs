//! Background work: deletes what removed rooms and users leave behind, in small pieces between the commands.
//!
//! The store knows what is left to do, so the work goes on after a restart or a failure. Its transactions are its own:
//! if one fails, as it may on a disk that is nearly full, no command is rolled back.

use super::{
    super::{
        interface::Delivery,
        store::{LOBBY, StoreError, UserId},
    },
    costs::Stopwatch,
    lookup::other_member,
    state::{Now, State},
};

impl State {
    /// Does a piece of the background work, if there is any.
    pub(super) fn work_in_background(&mut self, now: Now, delivery: &impl Delivery) {
        if !self.has_background_work {
            return;
        }
        self.now = now;
        let mut stopwatch = Stopwatch::start();
        let mut left = self.max_piece;
        let has_more = self.in_transaction(|state| {
            while state.take_step()? {
                left = left.saturating_sub(stopwatch.lap());
                if left.is_zero() {
                    return Ok(true);
                }
            }
            Ok(false)
        });
        self.has_background_work = has_more.unwrap_or_else(|error| {
            // The next sweep tries again.
            log::error!("what removed rooms and users leave behind cannot be deleted: {error}");
            false
        });
        self.deliver(delivery);
        self.costs.record("<background>", self.max_piece.saturating_sub(left) + stopwatch.lap());
    }

    /// Takes the next step, of a few hundred microseconds. Returns whether there may be more.
    fn take_step(&mut self) -> Result<bool, StoreError> {
        if let Some(user) = self.store.departure()? {
            self.depart(user)?;
        } else if let Some(room) = self.store.removed_room()? {
            self.dismiss_members(room, MAX_DISMISSED)?;
        } else {
            return self.store.trim_removed();
        }
        Ok(true)
    }

    /// Ends some memberships of a user who is gone, or deletes some blocks when no membership is left.
    fn depart(&mut self, user: UserId) -> Result<(), StoreError> {
        let memberships = self.store.some_memberships_of(user, MAX_LEFT)?;
        if memberships.is_empty() {
            return self.store.remove_some_blocks(user, MAX_UNBLOCKED);
        }
        for membership in memberships {
            let room = self.room(membership.room)?.filter(|room| room.id != LOBBY);
            let Some(room) = room else {
                // No entry in the Lobby's log: there was none either when the user joined, and guests come and go. The
                // other rooms are removed themselves.
                self.remove_member(membership.room, user)?;
                continue;
            };
            self.leave_room(&room, user, membership.role)?;
            if let Some(other) = other_member(&room, user)
                && self.room(room.id)?.is_some()
            {
                // So the other member of a direct room sees that the user is gone.
                self.push_room(&room, other)?;
            }
        }
        Ok(())
    }
}

/// Maximum members of a removed room in one step.
const MAX_DISMISSED: usize = 50;
/// Maximum rooms that a user leaves in one step.
const MAX_LEFT: usize = 10;
/// Maximum blocks of each kind that are deleted in one step.
const MAX_UNBLOCKED: usize = 50;
