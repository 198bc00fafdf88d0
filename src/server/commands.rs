//! The execution of what other threads and workers ask for, and what they and the clock tell the app.

use std::sync::Arc;

use super::{
    App, Config, Context, WorkerContext, inbound::Input, remote::Command, state::State, timers::Owner, worker::Worker,
};
use crate::{
    CloseCode, CloseFrame,
    reactor::{Key, Turn},
};

impl<A: App> Worker<A> {
    /// Tells the app something about a connection, if it is open.
    pub(super) fn tell(&mut self, key: Key, told: A::Told) {
        self.with_open(key, |app, peer, context| app.told(peer, told, context));
    }

    /// Tells the app that it may begin.
    pub(super) fn started(&mut self) {
        self.app.started(&mut WorkerContext::new(&mut self.hub));
    }

    /// Tells the app of timers that are due. If there are more, the next turn goes on.
    pub(super) fn run_timers(&mut self) {
        for _ in 0..TIMERS_PER_TURN {
            match self.hub.timers.next_due(self.hub.now) {
                Some((Owner::App, name)) => self.app.worker_timer(name, &mut WorkerContext::new(&mut self.hub)),
                Some((Owner::Connection(key), name)) => {
                    self.with_open(key, |app, peer, context| app.timer(peer, name, context));
                }
                None => return,
            }
        }
    }

    /// Tells the app of connections for which nothing waits any more.
    pub(super) fn run_drained(&mut self) {
        for (key, count) in self.hub.links.take_missed() {
            self.with_open(key, |app, peer, context| app.missed(peer, count, context));
        }
        for key in self.hub.links.take_drained() {
            self.with_open(key, |app, peer, context| app.drained(peer, context));
        }
    }

    /// Calls the app for a connection, if that is open.
    fn with_open(&mut self, key: Key, call: impl FnOnce(&mut A, &mut A::Peer, &mut Context<'_>)) {
        if !self.hub.links.is_open(key) {
            return;
        }
        let Self { app, hub, inbound, .. } = self;
        if let Input::Frames { peer, .. } = &mut inbound[Self::slot(key)].input {
            call(app, peer, &mut Context::new(hub, key));
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
            Command::Subscribe(key, topic, policy) => self.hub.subscribe(key, &topic, policy),
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
            Command::SetConfig(config) => self.set_config(*config),
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

    /// Replaces the limits that can be replaced: see [`Remote::set_config`](super::Remote::set_config). All deadlines
    /// start again, so that a shorter one ends no connection that had more time.
    fn set_config(&mut self, config: Config) {
        let before = &*self.config;
        let config = Config {
            workers: before.workers,
            #[cfg(feature = "deflate")]
            deflate: before.deflate,
            max_queued_bytes: before.max_queued_bytes,
            slow_subscriber: before.slow_subscriber,
            max_worker_bytes: before.max_worker_bytes,
            #[cfg(feature = "tls")]
            tls: before.tls.clone(),
            max_connections: before.max_connections,
            reserved_descriptors: before.reserved_descriptors,
            ..config
        };
        self.capacity.addresses.set_config(&config);
        self.sweep_period = config.sweep_period();
        self.config = Arc::new(config);
        self.hub.config = Arc::clone(&self.config);
        let mut slot = 0;
        while let Some(key) = self.hub.links.key_from(slot) {
            slot = key.slot + 1;
            self.restart_peer_deadlines(key);
            let now = self.hub.now;
            if let Some(link) = self.hub.links.get_mut(key) {
                link.outbox.restart_deadline(now);
                if link.state().is_over() {
                    link.since = now;
                }
            }
        }
    }
}

/// How many timers one turn may run.
const TIMERS_PER_TURN: usize = 1024;
