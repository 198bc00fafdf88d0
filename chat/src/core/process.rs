//! Runs commands in transactions, and delivers their effects after the commit.

use std::time::Duration;

use super::{
    super::{
        interface::{Audience, ClientId, Closing, Content, Delivery, Effect, Outcome, Request, SignInError},
        store::{StoreError, TransactionError},
    },
    clock::Now,
    costs::Stopwatch,
    events::Event,
    fair::Source,
    queue::{self, CommandReceiver, Ticket, Unfinished},
    state::State,
};

/// A command for the core's thread.
pub(crate) type Command = queue::Command<Event, Request>;

impl State {
    /// Runs the next batch of commands in one transaction, and delivers their effects after the commit.
    pub(super) fn process<D: Delivery>(&mut self, queue: &mut impl Commands, now: Now, delivery: &D) {
        self.set_now(now);
        self.config = self.next_config.get();
        let mut stopwatch = Stopwatch::start();
        let (mut commands, mut have_written, mut effects) = (Vec::new(), Vec::new(), Vec::new());
        let done = self.in_transaction(|state| {
            let mut reply_bytes = 0;
            while reply_bytes < MAX_REPLY_BYTES
                && let Some((source, command)) = queue.pop()
            {
                let changed_before = state.store.changed_rows();
                let ran = state.run(&command);
                for effect in std::mem::take(&mut state.effects) {
                    let effect = state.encode(effect, delivery);
                    if let Effect::Tell(Audience::One(_), encoded) = &effect {
                        reply_bytes += D::bytes(encoded);
                    }
                    effects.push(effect);
                }
                let took = stopwatch.lap();
                state.costs.record(name_of(&command), took);
                queue.charge(source, took);
                have_written.push(state.store.changed_rows() > changed_before);
                match ran {
                    Ok(outcome) => commands.push((command, outcome)),
                    Err(error) => {
                        commands.push((command, None));
                        return Err(error);
                    }
                }
            }
            Ok(())
        });
        self.costs.record("<commit>", stopwatch.lap());
        if done.is_err() && commands.is_empty() {
            // The transaction could not begin, so nothing was taken yet. The clients that wait get an error.
            commands.extend(std::iter::from_fn(|| queue.pop()).map(|(_, command)| (command, None)));
        }
        match done {
            Ok(()) => {
                effects.into_iter().for_each(|effect| delivery.deliver(effect));
                self.complete(commands, delivery);
            }
            // Another process locks the database: each retry would wait as long as this command did.
            Err(error) if commands.len() == 1 || error.is_busy() => self.fail(commands, &error, delivery),
            Err(batch_error) => {
                // Some commands may still succeed: those that only read, or whose data fits on the rest of the disk.
                self.is_retry = true;
                for ((command, _), has_written) in commands.into_iter().zip(have_written) {
                    if has_written && let TransactionError::Unknown(_) = batch_error {
                        // The first run may be there after a crash, also if a second one failed.
                        self.fail(vec![(command, None)], &batch_error, delivery);
                        continue;
                    }
                    match self.in_transaction(|state| state.run(&command)) {
                        Ok(outcome) => self.complete(vec![(command, outcome)], delivery),
                        Err(error) => self.fail(vec![(command, None)], &error, delivery),
                    }
                }
                self.is_retry = false;
            }
        }
        self.costs.record("<deliver>", stopwatch.lap());
    }

    /// Runs a command. Returns the outcome of a request. Called again if the transaction was rolled back.
    pub(super) fn run(&mut self, command: &Command) -> Result<Option<Outcome>, StoreError> {
        match command {
            Command::Opened(connection, credential, _) => self.opened(*connection, credential)?,
            Command::Event(connection, event, _) => event.run(self, *connection)?,
            Command::Closed(connection, _) => self.closed(*connection)?,
            Command::Request(_, request) => return self.request(request).map(Some),
            Command::Stop => {}
        }
        Ok(None)
    }

    fn request(&mut self, request: &Request) -> Result<Outcome, StoreError> {
        Ok(match request {
            Request::SignUp(request) => Outcome::SignUp(self.sign_up(request)?),
            Request::FindAccount(request) => Outcome::FindAccount(Ok(self.find_account(request)?)),
            Request::LogIn(request) => Outcome::LogIn(self.log_in(request)?),
            Request::LogOut(request) => Outcome::LogOut(Ok(self.log_out(request)?)),
            Request::FindSession(request) => Outcome::FindSession(Ok(self.find_session(request)?)),
            Request::BeginProof(request) => Outcome::BeginProof(Ok(self.begin_proof(request)?)),
        })
    }

    fn closed(&mut self, connection: ClientId) -> Result<(), StoreError> {
        match self.presence.disconnect(connection) {
            Some((session, used)) => self.store.set_used(session, used),
            None => Ok(()),
        }
    }

    fn complete(&mut self, commands: Vec<(Command, Option<Outcome>)>, delivery: &impl Delivery) {
        self.deliver(delivery);
        end(commands, delivery);
    }

    fn fail(
        &mut self,
        mut commands: Vec<(Command, Option<Outcome>)>,
        error: &TransactionError,
        delivery: &impl Delivery,
    ) {
        log::error!("the chat's data cannot be read or written: {error}");
        let error = match error {
            TransactionError::Undone(_) => SignInError::Storage,
            TransactionError::Unknown(_) => SignInError::Unknown,
        };
        for (command, outcome) in &mut commands {
            match command {
                Command::Opened(connection, ..) => {
                    self.refuse(*connection, error.event_error());
                    self.effects.push(Effect::Close(*connection, Closing::TryAgainLater));
                }
                Command::Event(connection, event, _) => {
                    let reply = Content::Reply(event.id().cloned(), Err(error.event_error()));
                    self.effects.push(Effect::Tell(Audience::One(*connection), reply));
                }
                Command::Request(_, request) => *outcome = Some(request.failed(error)),
                // The connection is gone, even if its session's last use cannot be written.
                Command::Closed(connection, _) => drop(self.presence.disconnect(*connection)),
                Command::Stop => {}
            }
        }
        self.presence.commit();
        self.deliver(delivery);
        end(commands, delivery);
    }
}

/// The commands that wait for the thread.
pub(super) trait Commands {
    /// Takes the next command of the batch, and says whom it is for.
    fn pop(&mut self) -> Option<(Source, Command)>;

    /// Charges a source with the time that its command took.
    fn charge(&mut self, source: Source, took: Duration);
}

impl Commands for CommandReceiver<Event, Request> {
    fn pop(&mut self) -> Option<(Source, Command)> {
        Self::pop(self)
    }

    fn charge(&mut self, source: Source, took: Duration) {
        Self::charge(self, source, took);
    }
}

/// Ends commands whose effects were delivered: removes events from their connections' backlogs, and passes outcomes on.
fn end(commands: Vec<(Command, Option<Outcome>)>, delivery: &impl Delivery) {
    let mut outcomes = Vec::new();
    for (command, outcome) in commands {
        let event = match command {
            Command::Request(Ticket { id, event, .. }, _) => {
                outcomes.extend(outcome.map(|outcome| (id, outcome)));
                event
            }
            Command::Event(connection, _, unfinished) => Some((connection, unfinished)),
            Command::Opened(..) | Command::Closed(..) | Command::Stop => None,
        };
        if let Some((connection, Unfinished { backlog, bytes: Some(bytes) })) = event
            && backlog.finish(bytes)
        {
            delivery.resume(connection);
        }
    }
    delivery.post();
    for (id, outcome) in outcomes {
        delivery.complete(id, outcome);
    }
}

/// Returns the name under which the time of a command is recorded.
fn name_of(command: &Command) -> &'static str {
    match command {
        Command::Opened(..) => "<opened>",
        Command::Event(_, event, _) => event.name(),
        Command::Closed(..) => "<closed>",
        Command::Request(..) => "<request>",
        Command::Stop => "<stop>",
    }
}

/// Bytes of replies after which a transaction takes no further command: whoever gets a short reply from a worker waits
/// until it has written the long ones before.
const MAX_REPLY_BYTES: usize = 256 << 10;
