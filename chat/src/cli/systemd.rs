//! Messages to a supervisor such as systemd, if it has given the program a socket for them (`NOTIFY_SOCKET`).

use std::env;

use sd_notify::NotifyState;

/// Returns whether there is a supervisor that wants to be told.
pub(crate) fn is_there() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some()
}

/// Says that the program serves.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Says that the settings are used anew; followed by [`ready`].
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => log::warn!("the supervisor cannot be told of a reload: {error}"),
    }
}

/// Says that the program stops.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("the supervisor cannot be told what the program does: {error}");
    }
}
