//! Handlers: notices by operators. Users who are offline get them when they come back.

use serde::Deserialize;

use super::{
    super::{
        interface::{NoticeView, Push, Topic},
        store::{Millis, NoticeRow, StoreError, UserId},
    },
    call::{Call, HandlerResult, done, refuse},
    data::Text,
    state::State,
    text::within,
};

#[derive(Deserialize)]
pub(super) struct Notice {
    text: Text,
}

/// `notice`: publishes an operator's text to all users.
pub(super) fn notice(call: &mut Call<'_>, data: &Notice) -> HandlerResult {
    let state = &mut *call.state;
    let profile = state.profile(call.user)?;
    if !profile.operator {
        return refuse("not_operator", "Only an operator may do that.");
    }
    let text = within(&data.text, state.config.limits.text_chars)?;
    if text.is_empty() {
        return refuse("empty", "The text is empty.");
    }
    let id = state.store.add_notice(call.user, text, state.clock.now())?;
    let view = NoticeView { notice: id, text: text.to_owned(), from: profile.name.clone(), time: state.now.wall };
    state.publish(Topic::Everyone, Push::Notice(view), None);
    done()
}

#[derive(Deserialize)]
pub(super) struct Dismiss {
    notice: u64,
}

/// `dismiss`: no connection of the user shows the notices up to this one again.
pub(super) fn dismiss(call: &mut Call<'_>, data: &Dismiss) -> HandlerResult {
    let notice = data.notice.min(call.state.store.latest_notice()?);
    if call.state.store.dismiss_notices(call.user, notice)? {
        let push = Push::Dismissed { notice };
        call.state.publish(Topic::User(call.user), push, Some(call.connection));
    }
    done()
}

impl State {
    /// Returns the notices that a user has not dismissed.
    pub(super) fn notices_for(&mut self, user: UserId) -> Result<Vec<NoticeView>, StoreError> {
        let rows = self.store.notices_for(user, self.clock.now().saturating_sub(MAX_AGE))?;
        let view = |row: NoticeRow| {
            let from = self.profile(row.author)?.name.clone();
            Ok(NoticeView { notice: row.id, text: row.text, from, time: self.clock.to_wall(row.sent) })
        };
        rows.into_iter().map(view).collect()
    }
}

/// How long users who come back get a notice: a week.
const MAX_AGE: Millis = 7 * 24 * 60 * 60 * 1000;
