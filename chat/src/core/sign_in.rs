//! The start of sessions, and the authentication of connections by their tokens.

use std::{cmp::Reverse, slice, sync::Arc, time::Duration};

use serde::Deserialize;

use super::{
    super::{
        interface::{
            Account, ClientId, Closing, Credential, CurrentSession, Effect, EndReason, FindAccount, FindSession,
            LimitsView, LogIn, NewSession, Online, OwnAccount, Push, SessionEnd, SignInError, SignUp, Topic, Welcome,
            You,
        },
        store::{LOBBY, Millis, Role, SessionRow, StoreError, UserId, UserRow, millis},
        token::TokenHash,
        user_agent::UserAgent,
        wire::EventError,
    },
    call::{HandlerResult, done, refuse},
    data::AnyToken,
    presence::NewConnection,
    state::{Action, State},
};

impl State {
    pub(super) fn find_account(&mut self, FindAccount(name): &FindAccount) -> Result<Account, StoreError> {
        let credentials = self.store.user_named(name)?.and_then(|user| Some((user.id, user.password?)));
        Ok(Account { credentials, now: self.clock.now() })
    }

    pub(super) fn sign_up(&mut self, request: &SignUp) -> Result<Result<NewSession, SignInError>, StoreError> {
        let SignUp { name, password_hash, token, agent } = request;
        let now = self.now.wall;
        let Some(user) = self.store.add_user(name.as_str(), name.key(), password_hash.as_deref(), now)? else {
            return Ok(Err(SignInError::NameTaken));
        };
        self.cache.role_changed(LOBBY, None, Some(Role::Member));
        // Notices of before are not for the new user.
        self.store.dismiss_notices(user, self.store.latest_notice()?)?;
        self.begin_session(user, token, *agent)
    }

    pub(super) fn log_in(&mut self, request: &LogIn) -> Result<Result<NewSession, SignInError>, StoreError> {
        let LogIn { user, password_hash, token, agent } = request;
        match self.store.user(*user)? {
            Some(row) if row.password.as_ref() == Some(password_hash) => self.begin_session(*user, token, *agent),
            _ => Ok(Err(SignInError::BadCredentials)),
        }
    }

    fn begin_session(
        &mut self,
        user: UserId,
        token: &TokenHash,
        agent: UserAgent,
    ) -> Result<Result<NewSession, SignInError>, StoreError> {
        let Some(row) = self.store.user(user)? else { return Ok(Err(SignInError::BadCredentials)) };
        // A user who logs in again and again without logging out must not fill the store.
        let mut sessions = self.store.sessions_of(user)?;
        let used = |session: &SessionRow| self.presence.session(session.id).map_or(session.used, |live| live.used);
        sessions.sort_by_key(|session| Reverse(used(session)));
        for session in sessions.iter().skip(MAX_SESSIONS - 1) {
            self.end_session(session, EndReason::Revoked)?;
        }
        let now = self.clock.now();
        let expires = now.saturating_add(millis(self.config.session_lifetime)).min(MAX_EXPIRES);
        let session = self.store.add_session(&row, token, now, expires, agent)?;
        Ok(Ok(NewSession {
            you: you(&row),
            user,
            name_key: row.key_of_name().to_owned(),
            expires: self.clock.to_wall(session.expires),
            now,
        }))
    }

    /// Returns what a client may know before it signs in, and the user of the first of its tokens that is valid.
    pub(super) fn find_session(&mut self, FindSession(tokens): &FindSession) -> Result<CurrentSession, StoreError> {
        let session = self.first_valid_session(tokens)?.ok();
        let account = session.as_ref().and_then(|(_, user)| {
            let name_key = user.key_of_name().to_owned();
            Some(OwnAccount { user: user.id, name_key, password_hash: user.password.clone()? })
        });
        let you = session.map(|(session, user)| (you(&user), self.clock.to_wall(session.expires)));
        Ok(CurrentSession { you, account, has_accounts: self.store.has_accounts()?, now: self.clock.now() })
    }

    /// Returns the session of the first of some tokens that is valid and its user, or a reason why
    /// there is none.
    fn first_valid_session(
        &mut self,
        tokens: &[TokenHash],
    ) -> Result<Result<(SessionRow, UserRow), EndReason>, StoreError> {
        let mut refused = EndReason::Unknown;
        for token in tokens {
            match self.valid_session(token)? {
                Ok(valid) => return Ok(Ok(valid)),
                Err(EndReason::Unknown) => {}
                Err(reason) => refused = reason,
            }
        }
        Ok(Err(refused))
    }

    /// Returns the session of a token and its user, or the reason why there is none.
    fn valid_session(&mut self, token: &TokenHash) -> Result<Result<(SessionRow, UserRow), EndReason>, StoreError> {
        let Some(session) = self.store.session_of_token(token)? else { return Ok(Err(EndReason::Unknown)) };
        let mut session = session.corrected(self.clock.now());
        let Some(user) = self.store.user(session.user)? else { return Ok(Err(EndReason::Unknown)) };
        if let Some(live) = self.presence.session(session.id) {
            session.used = session.used.max(live.used);
        }
        Ok(match self.end_by_time(session.used, session.expires, user.is_guest()) {
            Some(reason) => Err(reason),
            None => Ok((session, user)),
        })
    }

    /// Adds a new connection, signed in if its credential is a valid token.
    pub(super) fn opened(&mut self, connection: ClientId, credential: &Credential) -> Result<(), StoreError> {
        match credential {
            Credential::None => self.presence.await_auth(connection, self.now.instant + AUTH_TIMEOUT),
            Credential::Malformed => self.expire(connection, EndReason::Unknown),
            Credential::Tokens(tokens) => self.sign_in(connection, tokens)?,
        }
        Ok(())
    }

    /// Signs a connection in by the first of some tokens that is valid, or closes it.
    fn sign_in(&mut self, connection: ClientId, tokens: &[TokenHash]) -> Result<(), StoreError> {
        let (session, user) = match self.first_valid_session(tokens)? {
            Ok(valid) => valid,
            Err(reason) => {
                self.expire(connection, reason);
                return Ok(());
            }
        };
        let others = self.presence.connections_of(user.id).iter().filter(|other| **other != connection).count();
        if others >= self.config.limits.connections {
            let error = EventError::new("too_many_connections", "You have too many connections; close one first.");
            self.refuse(connection, error);
            self.presence.disconnect(connection);
            self.effects.push(Effect::Close(connection, Closing::TooManyConnections));
            return Ok(());
        }
        if self.rate_limit(Action::Connect, user.id).is_err() {
            let error = EventError::new("too_fast", "You connect too often; please wait a moment.");
            self.refuse(connection, error);
            self.presence.disconnect(connection);
            self.effects.push(Effect::Close(connection, Closing::ConnectedTooOften));
            return Ok(());
        }
        let mut rooms = self.rooms_of(user.id)?;
        let (directs, known) = self.directs_of(user.id, None)?;
        rooms.extend(directs);
        let (blocked, blocked_more) = self.blocked_by(user.id, None)?;
        let notices = self.notices_for(user.id)?;
        let (name, folded, guest) = (&*user.name, user.folded.as_deref().unwrap_or_default(), user.is_guest());
        self.presence.connect(NewConnection { connection, name, folded, guest, known, session: &session });
        let count = self.presence.count();
        let names = self
            .presence
            .has_few_users()
            .then(|| self.presence.users(None).map(|(_, name)| Arc::clone(name)).collect());
        let welcome = Welcome {
            you: you(&user),
            session: SessionEnd { expires: self.clock.to_wall(session.expires), idle: self.idle_time(guest) },
            time: self.now.wall,
            limits: LimitsView::from(&self.config.limits),
            rooms,
            older: (!known.is_complete()).then_some(known),
            blocked,
            blocked_more,
            notices,
            online: Online { count, names },
        };
        self.send(connection, Push::Welcome(Box::new(welcome)));
        self.effects.push(Effect::Follow(connection, Topic::Everyone));
        self.effects.push(Effect::Follow(connection, Topic::User(user.id)));
        Ok(())
    }
}

#[derive(Deserialize)]
pub(super) struct Auth {
    token: AnyToken,
}

/// `auth`: signs the connection in.
pub(super) fn auth(state: &mut State, connection: ClientId, data: &Auth) -> HandlerResult {
    if !state.presence.is_unauthenticated(connection) {
        return refuse("bad_data", "This connection is signed in already.");
    }
    match &data.token.0 {
        Some(token) => state.sign_in(connection, slice::from_ref(token))?,
        None => state.expire(connection, EndReason::Unknown),
    }
    match state.presence.identity_of(connection) {
        Some(_) => done(),
        // The event `expired` has the reason.
        None => refuse("no_session", "There is no such session, or it has ended."),
    }
}

pub(super) fn you(user: &UserRow) -> You {
    You { name: user.name.clone(), guest: user.is_guest(), operator: user.operator }
}

/// How long a connection may be open without a session.
const AUTH_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum sessions of one user. A new session above it ends the one that has been unused for the longest time.
const MAX_SESSIONS: usize = 100;
/// The latest end of a session: the largest number that JavaScript counts exactly.
const MAX_EXPIRES: Millis = 1 << 53;
