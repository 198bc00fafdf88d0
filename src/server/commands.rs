//! The execution of what other threads and workers ask for, and what they tell the app.

use super::{App, Context, inbound::Input, remote::Command, state::State, worker::Worker};
use crate::{
    CloseCode, CloseFrame,
    reactor::{Key, Turn},
};

impl<A: App> Worker<A> {
    /// Tells the app something about a connection, if it is open.
    pub(super) fn tell(&mut self, key: Key, told: A::Told) {
        if !self.hub.links.is_open(key) {
            return;
        }
        let Self { app, hub, inbound, .. } = self;
        if let Input::Frames { peer, .. } = &mut inbound[Self::slot(key)].input {
            app.told(peer, told, &mut Context::new(hub, key));
        }
    }

    pub(super) fn execute(&mut self, command: Command, turn: &mut Turn<'_>) {
        match command {
            Command::Publish(batch) => {
                for publication in batch.iter() {
                    let except = publication.except_at(self.hub.worker);
                    self.hub.publish_here(&publication.topic, &publication.message, except);
                }
            }
            Command::Send(key, message) => self.hub.send_unsolicited(key, &message),
            Command::Answer(key, message) => self.hub.answer(key, &message),
            Command::Subscribe(key, topic) => self.hub.subscribe(key, &topic),
            Command::Unsubscribe(key, topic) => self.hub.unsubscribe(key, &topic),
            Command::Close(key, code, reason) => {
                if self.hub.close(key, Some(CloseFrame { code, reason: &reason })).is_err() {
                    let internal = CloseFrame { code: CloseCode::INTERNAL_ERROR, reason: "" };
                    // 1011 without a reason can always be sent.
                    let _ = self.hub.close(key, Some(internal));
                }
            }
            Command::Shut(key, code, reason) => {
                if self.hub.shut(key, CloseFrame { code, reason: &reason }).is_err() {
                    let internal = CloseFrame { code: CloseCode::INTERNAL_ERROR, reason: "" };
                    // As above.
                    let _ = self.hub.shut(key, internal);
                }
            }
            Command::Resume(key) => {
                // One that is shut stays so.
                if let Some(link) = self.hub.links.get_mut(key).filter(|link| link.state() == State::Open) {
                    link.paused = false;
                    self.restart_peer_deadlines(key);
                    self.schedule(key);
                }
            }
            #[cfg(feature = "tls")]
            Command::SetTls(config) => {
                self.tls = Some(match &self.tls {
                    Some(before) => config.after(before),
                    None => config,
                });
            }
            Command::Stop => self.stop(turn),
        }
    }
}
