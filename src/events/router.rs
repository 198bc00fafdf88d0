//! The handlers of a server of events, and the app that calls them.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt, io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Ack, Emitter, FromPeer, JsonArrays, Malformed, Parser, Socket,
    emitter::Told,
    scripts::scripts,
    socket::{EVERYONE, NotAcknowledged, Peer},
};
#[cfg(feature = "testing")]
use crate::testing::TestServer;
use crate::{
    App, CloseCode, Config, ConnectionId, Context, End, Handshake, Message, OriginPolicy, Rejection, Remote, Request,
    Responder, Running, Server, StaticFiles, Verdict,
};

type Handler<S, P> = Box<
    dyn for<'m> Fn(&mut Socket<'_, S, P>, &<P as Parser>::Data<'m>, Option<u64>) -> Result<(), Malformed> + Send + Sync,
>;
type Accept<S> = Box<dyn Fn(&Handshake<'_>) -> Result<S, Rejection> + Send + Sync>;
type Connected<S, P> = Box<dyn Fn(&mut Socket<'_, S, P>) + Send + Sync>;
type Disconnected<S, P> = Box<dyn Fn(S, ConnectionId, &End, &Emitter<S, P>) + Send + Sync>;
type Before<S, P> = Box<dyn Fn(&mut Socket<'_, S, P>, &str) -> Result<(), String> + Send + Sync>;
type Fallback<S, P> = Box<dyn Fn(&mut Socket<'_, S, P>, &str, Ack<P>) + Send + Sync>;
type OnTimer<S, P> = Box<dyn Fn(&mut Socket<'_, S, P>, u32) + Send + Sync>;
type OnRequest = Box<dyn Fn(&Request<'_>, Responder) + Send + Sync>;

/// Named events and their handlers.
///
/// `S` is the application's own value for each connection, `P` the form of events on the wire. Handlers run on the
/// server's event loops and must not block; [`Ack`] and [`Emitter`] take the results of slow work from other threads.
///
/// An event that has no handler, or whose data has another form than its handler's, is answered: by its acknowledgement
/// if the peer wants one, otherwise by the event `error` with `{event, message}`. A handler that panics costs its
/// connection, which is closed with 1011, and no other.
///
/// # Examples
/// A vote. `["vote","tea",1]` is answered with the number of votes, `[null,3,1]`, which all others get as `["votes",3]`:
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
/// use switchboard::events::{JsonArrays, Router};
///
/// let votes = AtomicU32::new(0);
/// let router = Router::new(JsonArrays)
///     .before(|socket, event| match event {
///         "vote" if socket.rooms().next().is_some() => Err("you have voted".to_owned()),
///         _ => Ok(()),
///     })
///     .on("vote", move |socket, drink: String| {
///         socket.join(&drink);
///         let votes = votes.fetch_add(1, Relaxed) + 1;
///         socket.broadcast("votes", &votes);
///         votes
///     });
/// # let _ = router;
/// ```
pub struct Router<S = (), P: Parser = JsonArrays> {
    parser: Arc<P>,
    origins: OriginPolicy,
    accept: Accept<S>,
    handlers: HashMap<Box<str>, Handler<S, P>>,
    before: Vec<Before<S, P>>,
    fallback: Option<Fallback<S, P>>,
    connected: Option<Connected<S, P>>,
    disconnected: Option<Disconnected<S, P>>,
    timer: Option<OnTimer<S, P>>,
    files: StaticFiles,
    request: Option<OnRequest>,
}

impl<P: Parser> Router<(), P> {
    /// Creates a router without handlers, whose connections have no value of the application's.
    #[must_use]
    pub fn new(parser: P) -> Self {
        Self::with_state(parser, |_| Ok(()))
    }
}

impl<S: Send + 'static, P: Parser> Router<S, P> {
    /// Creates a router without handlers. `accept` decides each handshake, after the policy for origins: it returns the
    /// application's value for the connection, such as the user that a token belongs to, or a rejection.
    pub fn with_state(
        parser: P,
        accept: impl Fn(&Handshake<'_>) -> Result<S, Rejection> + Send + Sync + 'static,
    ) -> Self {
        Self {
            parser: Arc::new(parser),
            origins: OriginPolicy::SameHostOr(Vec::new()),
            accept: Box::new(accept),
            handlers: HashMap::new(),
            before: Vec::new(),
            fallback: None,
            connected: None,
            disconnected: None,
            timer: None,
            files: scripts(),
            request: None,
        }
    }

    /// Sets the pages that may connect. Default: those of the same host.
    #[must_use]
    pub fn origins(mut self, policy: OriginPolicy) -> Self {
        self.origins = policy;
        self
    }

    /// Sets the handler of an event, in place of an earlier one. If the peer wants an acknowledgement, it gets what the
    /// handler returns.
    #[must_use]
    pub fn on<D, R, F>(mut self, name: &str, handler: F) -> Self
    where
        D: DeserializeOwned,
        R: Serialize,
        F: Fn(&mut Socket<'_, S, P>, D) -> R + Send + Sync + 'static,
    {
        let handler: Handler<S, P> = Box::new(move |socket, data, id| {
            let answer = handler(socket, socket.parser.decode(data)?);
            if let Some(id) = id {
                socket.acknowledge(id, &answer);
            }
            Ok(())
        });
        self.handlers.insert(name.into(), handler);
        self
    }

    /// Sets the handler of an event that is acknowledged with an answer, now or later: see [`Ack`]. It takes the place
    /// of an earlier one.
    #[must_use]
    pub fn on_with_ack<D, F>(mut self, name: &str, handler: F) -> Self
    where
        D: DeserializeOwned,
        F: Fn(&mut Socket<'_, S, P>, D, Ack<P>) + Send + Sync + 'static,
    {
        let handler: Handler<S, P> = Box::new(move |socket, data, id| {
            let data = socket.parser.decode(data)?;
            let ack = Ack::of(id, socket);
            handler(socket, data, ack);
            Ok(())
        });
        self.handlers.insert(name.into(), handler);
        self
    }

    /// Sets the handler of events that have none of their own; it gets their names. Without it they are answered with
    /// an error.
    #[must_use]
    pub fn fallback(mut self, handler: impl Fn(&mut Socket<'_, S, P>, &str, Ack<P>) + Send + Sync + 'static) -> Self {
        self.fallback = Some(Box::new(handler));
        self
    }

    /// Adds a check that comes before the handler of each event, after the checks added before: whether the sender is
    /// logged in, for example. It gets the event's name. If it returns an error, the handler is not called, and the peer
    /// is told these words.
    #[must_use]
    pub fn before(
        mut self,
        check: impl Fn(&mut Socket<'_, S, P>, &str) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.before.push(Box::new(check));
        self
    }

    /// Sets what happens once a connection is open, before any of its events.
    #[must_use]
    pub fn on_connect(mut self, handler: impl Fn(&mut Socket<'_, S, P>) + Send + Sync + 'static) -> Self {
        self.connected = Some(Box::new(handler));
        self
    }

    /// Sets what happens when a connection has ended.
    #[must_use]
    pub fn on_disconnect(
        mut self,
        handler: impl Fn(S, ConnectionId, &End, &Emitter<S, P>) + Send + Sync + 'static,
    ) -> Self {
        self.disconnected = Some(Box::new(handler));
        self
    }

    /// Sets what happens when a timer of a connection is due, which [`Socket::set_timer`] or [`Socket::set_interval`]
    /// has set. It gets the timer's name.
    #[must_use]
    pub fn on_timer(mut self, handler: impl Fn(&mut Socket<'_, S, P>, u32) + Send + Sync + 'static) -> Self {
        self.timer = Some(Box::new(handler));
        self
    }

    /// Adds a file, such as the page at `/`: see [`StaticFiles::file`]. The module for pages, `/events.js`, and
    /// `/connection.js`, which it imports, are there from the start.
    #[must_use]
    pub fn file(mut self, path: impl Into<Cow<'static, str>>, content: impl Into<Cow<'static, str>>) -> Self {
        self.files = self.files.file(path, content);
        self
    }

    /// Sets what happens for a plain HTTP request for no such file: see [`App::request`]. Without it each gets 404.
    #[must_use]
    pub fn on_request(mut self, handler: impl Fn(&Request<'_>, Responder) + Send + Sync + 'static) -> Self {
        self.request = Some(Box::new(handler));
        self
    }

    /// Starts a server that calls these handlers. The [`Emitter`] reaches its connections from any thread.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start(self, server: Server) -> io::Result<(Running<impl Send + use<S, P>>, Emitter<S, P>)> {
        let router = Arc::new(self);
        let parser = Arc::clone(&router.parser);
        let running = server.start(move |remote| {
            let emitter = Emitter::new(remote.clone(), Arc::clone(&router.parser));
            RouterApp { router: Arc::clone(&router), emitter }
        })?;
        let emitter = Emitter::new(running.remote().clone(), parser);
        Ok((running, emitter))
    }

    /// Runs a server at this address with the default [`Config`], until it is stopped by a failure. The short way for
    /// small programs; [`start`](Self::start) has the choices.
    ///
    /// # Errors
    /// As [`Server::bind`], [`Server::start`] and [`Running::join`].
    pub fn run(self, address: SocketAddr) -> io::Result<()> {
        self.start(Server::bind(address, Config::default())?)?.0.join()
    }

    /// Starts a server on a simulated network and clock that calls these handlers: see
    /// [`testing`](crate::testing). It has one worker.
    ///
    /// # Panics
    /// As [`TestServer::new`](crate::testing::TestServer::new).
    ///
    /// ```
    /// use switchboard::{Config, OriginPolicy, events::{JsonArrays, Router}};
    ///
    /// let router = Router::new(JsonArrays).origins(OriginPolicy::Any).on("add", |_, (a, b): (i32, i32)| a + b);
    /// let (server, _emitter) = router.start_test(Config::default());
    /// let mut client = server.connect("/");
    /// client.text(r#"["add",[2,3],1]"#);
    /// client.expect_text("[null,5,1]");
    /// ```
    #[cfg(feature = "testing")]
    #[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
    #[track_caller]
    pub fn start_test(self, config: Config) -> (TestServer<impl App + use<S, P>>, Emitter<S, P>) {
        let router = Arc::new(self);
        let parser = Arc::clone(&router.parser);
        let server = TestServer::new(config, move |remote| {
            let emitter = Emitter::new(remote.clone(), Arc::clone(&router.parser));
            RouterApp { router: Arc::clone(&router), emitter }
        });
        let emitter = Emitter::new(server.remote().clone(), parser);
        (server, emitter)
    }

    fn handle(&self, socket: &mut Socket<'_, S, P>, message: Message<'_>) {
        match self.parser.parse(message, &mut socket.peer.parsing) {
            Ok(Some(FromPeer::Event { name, data, id })) => self.dispatch(socket, &name, &data, id),
            Ok(Some(FromPeer::Acknowledgement { id, answer })) => {
                let answer = answer.as_ref().map_err(|why| NotAcknowledged::Failed(why.clone().into_owned()));
                socket.acknowledged(id, answer);
            }
            Ok(None) => {}
            Err(error) => socket.refuse(None, None, &error.to_string()),
        }
    }

    fn dispatch(&self, socket: &mut Socket<'_, S, P>, name: &str, data: &P::Data<'_>, id: Option<u64>) {
        for check in &self.before {
            if let Err(why) = check(socket, name) {
                socket.refuse(Some(name), id, &why);
                return;
            }
        }
        match (self.handlers.get(name), &self.fallback) {
            (Some(handler), _) => {
                if let Err(error) = handler(socket, data, id) {
                    socket.refuse(Some(name), id, &error.to_string());
                }
            }
            (None, Some(fallback)) => {
                let ack = Ack::of(id, socket);
                fallback(socket, name, ack);
            }
            (None, None) => socket.refuse(Some(name), id, "unknown event"),
        }
    }
}

impl<S, P: Parser> fmt::Debug for Router<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("events", &self.handlers.keys()).finish_non_exhaustive()
    }
}

/// The app of one worker.
struct RouterApp<S, P: Parser> {
    router: Arc<Router<S, P>>,
    emitter: Emitter<S, P>,
}

impl<S: Send + 'static, P: Parser> RouterApp<S, P> {
    /// Calls handlers for a connection. If one panics, only that connection pays for it.
    fn call(
        &self,
        peer: &mut Peer<S, P>,
        context: &mut Context<'_>,
        run: impl FnOnce(&Router<S, P>, &mut Socket<'_, S, P>),
    ) {
        let Self { router, .. } = self;
        let mut socket = Socket { context: context.reborrow(), peer, parser: &router.parser };
        if catch_unwind(AssertUnwindSafe(|| run(router, &mut socket))).is_err() {
            log::error!("{}: a handler panicked", socket.id());
            // Its own code and reason are valid.
            let _ = socket.close(CloseCode::INTERNAL_ERROR, "");
        }
    }
}

impl<S: Send + 'static, P: Parser> App for RouterApp<S, P> {
    type Peer = Peer<S, P>;
    type Told = Told<S, P>;

    fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<Self::Peer>) {
        if let Err(error) = self.router.origins.check(handshake.websocket, handshake.is_tls) {
            return verdict.reject(error.into());
        }
        match catch_unwind(AssertUnwindSafe(|| (self.router.accept)(handshake))) {
            Ok(Ok(state)) => verdict.accept(Peer::new(state)),
            Ok(Err(rejection)) => verdict.reject(rejection),
            Err(_) => verdict.reject(Rejection::new(500)),
        }
    }

    fn request(&mut self, request: &Request<'_>, responder: Responder) {
        match &self.router.request {
            Some(handler) if !self.router.files.contains(request.head.path()) => {
                // A responder that is dropped answers with 500.
                let _ = catch_unwind(AssertUnwindSafe(|| handler(request, responder)));
            }
            _ => responder.send(self.router.files.respond(request)),
        }
    }

    fn opened(&mut self, peer: &mut Self::Peer, context: &mut Context<'_>) {
        context.subscribe(EVERYONE);
        self.call(peer, context, |router, socket| {
            if let Some(handler) = &router.connected {
                handler(socket);
            }
        });
    }

    fn message(&mut self, peer: &mut Self::Peer, message: Message<'_>, context: &mut Context<'_>) {
        self.call(peer, context, |router, socket| router.handle(socket, message));
    }

    fn told(&mut self, peer: &mut Self::Peer, told: Self::Told, context: &mut Context<'_>) {
        self.call(peer, context, |_, socket| told(socket));
    }

    fn timer(&mut self, peer: &mut Self::Peer, name: u32, context: &mut Context<'_>) {
        self.call(peer, context, |router, socket| {
            if !socket.has_timed_out(name)
                && let Some(handler) = &router.timer
            {
                handler(socket, name);
            }
        });
    }

    fn closed(&mut self, peer: Self::Peer, id: ConnectionId, end: &End, _: &Remote) {
        if let Some(handler) = &self.router.disconnected {
            let run = AssertUnwindSafe(|| handler(peer.state, id, end, &self.emitter));
            if catch_unwind(run).is_err() {
                log::error!("{id}: the handler of disconnections panicked");
            }
        }
    }
}
