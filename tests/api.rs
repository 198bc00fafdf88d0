//! What every public type of the library offers beside its methods: `Debug`, and by its kind comparison, copies, other
//! threads. A type that a module exports and no list has is an error, so a new type gets what its kind has. And each
//! type that the crate's documentation leads to has an example that runs.
//!
//! The rules are those of the [API guidelines](https://rust-lang.github.io/api-guidelines/interoperability.html):
//! C-COMMON-TRAITS, C-SEND-SYNC, C-GOOD-ERR, C-DEBUG, C-EXAMPLE.

use std::{
    collections::BTreeSet,
    error::Error,
    fmt::{Debug, Display},
    fs,
    hash::Hash,
    path::{Path, PathBuf},
};

use switchboard::{apps::*, client::*, events::*, *};
use switchboard_tests::sources::{sources, without_comments_and_strings};

fn is_small<T: Copy + Debug + Eq + Hash + Send + Sync>() {}
fn is_value<T: Clone + Debug + Eq + Send + Sync>() {}
fn is_shared<T: Clone + Debug + Send + Sync>() {}
fn is_state<T: Debug + Send + Sync>() {}
fn is_moved<T: Debug + Send>() {}
fn is_local<T: Debug>() {}
fn is_small_error<T: Error + Display + Copy + Eq + Hash + Send + Sync + 'static>() {}
fn is_compared_error<T: Error + Display + Clone + Eq + Send + Sync + 'static>() {}
fn is_error<T: Error + Display + Send + Sync + 'static>() {}

/// Checks each type at compile time, and returns the names.
macro_rules! types {
    ($($kind:ident: $($name:ident $(<$($argument:tt),*>)?),* $(,)?;)*) => {{
        $($($kind::<$name $(<$($argument),*>)?>();)*)*
        vec![$($(stringify!($name)),*),*]
    }};
}

/// The client's message has the name of the engine's, which borrows.
type ClientMessage = switchboard::client::Message;
type BorrowedMessage<'a> = switchboard::Message<'a>;
type Keys = fn() -> MaskingKey;
type MaskedByKeys = Masked<Keys>;
type EventFromPeer<'a> = FromPeer<'a, ()>;
type EventToPeer<'a> = ToPeer<'a, ()>;
type MembersOfRoom<'a> = Members<'a, (), JsonArrays>;

#[test]
fn each_public_type_has_the_traits_of_its_kind() {
    let listed = types! {
        // Plain values.
        is_small: Audience, BorrowedMessage<'_>, CloseCode, CloseFrame<'_>, ConnectionId, DeflateConfig,
            DeflateParams, Delivery, EncodedHeader, Event<'_>, EventToPeer<'_>, FrameHeader, HeadLimits, HeaderRules,
            HttpVersion, IpNet, JsonArrays, JsonObjects, Limits, MaskingKey, MessageKind, Next, Opcode, Overdue,
            OwnedReply, Piece<'_>, Reply<'_>, Role, SlowSubscriber, Stage, State, TlsVersion, Unmasked, WhenFull,
            WindowBits, Wish;
        // Values with parts on the heap, or in the caller's memory.
        is_value: Acceptance, ClientMessage, ClientRequest<'_>, End, EventFromPeer<'_>, ExtensionOffer, OriginPolicy,
            OwnedCloseFrame, Rejection, RequestHead, Response, ResponseHead, TlsErrorKind, WebSocketUrl;
        // Handles and configurations, of which a clone stands for the same.
        is_shared: Backoff, Broadcast, Certificate, ClientBuilder, Config, Deflate, Echo, Emitter, Escaped<'_>,
            Keepalive, MaskedByKeys, Prepared, ReconnectingHandle, Remote, StaticFiles, Stopper, TaskPool, TlsConfig, Waker;
        // States of one connection, or of the server.
        is_state: Batch, BodyReader, ClientHandshake, Connection, Driver, Established, Events<'_, '_>,
            FixedOutput<'_>, Handshake<'_>, Incoming<'_, '_>, MembersOfRoom<'_>, Outgoing<'_>, RandomKeys, Receiver,
            Request<'_>, RequestReader, ResponseReader, Room<'_, '_>, Router, Running, Sender, Server,
            ServerHandshake, SpareBuffer, TlsBuilder;
        // Values that may hold a stream or a function of the caller's.
        is_moved: Ack<JsonArrays>, Client, Loss, ReceivingHalf, ReconnectEvent, ReconnectingClient, Responder,
            ResponseBody, SendingHalf, Verdict<()>;
        is_local: Context<'_>, Others<'_, (), JsonArrays>, Socket<'_>, WorkerContext<'_>;
        // Errors: what a peer or a caller did wrong is compared in tests; what the system reports cannot be.
        is_small_error: BodyError, DeflateResponseError, HandshakeError, HeadError, InvalidConnectionId,
            InvalidWindowBits, ProtocolError, ReservedOpcode, SendError, TaskPoolFull, TooManyTimers, TooManyWaiting;
        is_compared_error: ClientHandshakeError, InvalidHeader, Malformed, NotAcknowledged, RedirectError,
            RequestError, UrlError;
        is_error: BindError, ClientError, ProxyError, TlsConfigError, TlsError;
    };
    let mut listed: BTreeSet<&str> = listed.into_iter().collect();
    // `switchboard::Message` and `client::Message`; the others need arguments.
    for (local, exported) in [
        ("BorrowedMessage", "Message"),
        ("ClientMessage", "Message"),
        ("EventFromPeer", "FromPeer"),
        ("EventToPeer", "ToPeer"),
        ("MaskedByKeys", "Masked"),
        ("MembersOfRoom", "Members"),
    ] {
        assert!(listed.remove(local));
        listed.insert(exported);
    }
    listed.extend(TRAITS);
    let exported = exported();
    let exported: BTreeSet<&str> = exported.iter().map(String::as_str).collect();
    let missing: Vec<_> = exported.difference(&listed).collect();
    assert!(missing.is_empty(), "these types are in no list above: {missing:?}");
    let gone: Vec<_> = listed.difference(&exported).collect();
    assert!(gone.is_empty(), "these types are not exported: {gone:?}");
}

/// The public traits, which have no kind.
const TRAITS: [&str; 6] = ["App", "CertificateResolver", "KeySource", "Masking", "Output", "Parser"];

#[test]
fn each_type_that_the_documentation_leads_to_has_an_example_that_runs() {
    let source = source();
    let main = fs::read_to_string(source.join("lib.rs")).expect("the crate's documentation");
    let (_, section) = main.split_once("# Where to look next").expect("a section with the main types");
    let (section, _) = section.split_once("[RFC 6455]:").expect("the end of the documentation");
    let links = section.split("[`").skip(1).filter_map(|rest| rest.split("`]").next());
    let names: BTreeSet<&str> = links.map(|link| link.rsplit("::").next().unwrap_or(link)).collect();
    assert!(names.len() > 20, "the section names {names:?}");
    let files = sources(&source);
    let without: Vec<&str> = names
        .into_iter()
        .filter(|name| {
            let docs: Vec<_> = files.iter().filter_map(|(_, text)| docs_of(name, text)).collect();
            assert!(!docs.is_empty(), "{name} is defined nowhere");
            !docs.iter().any(|docs| docs.contains("\n/// ```rust\n") || docs.contains("\n/// ```\n"))
        })
        .collect();
    assert!(without.is_empty(), "the documentation leads to these types, which have no example: {without:?}");
}

/// A configuration is `#[non_exhaustive]`, so its methods are the only way to make one in one expression.
#[test]
fn each_field_of_a_configuration_has_a_method_that_sets_it() {
    let mut configurations = 0;
    for (file, text) in sources(&source()) {
        let code = without_comments_and_strings(&text);
        for block in code.split("\nsetters! {").skip(1) {
            let setters = block.split("\n}").next().expect("the macro's input");
            let (name, setters) = setters.trim().split_once(" {").expect("a type");
            let (_, fields) = code.split_once(&format!("pub struct {name} {{")).expect("the type is in the file");
            let fields = fields.split("\n}").next().expect("the fields");
            let names = |code: &str| -> BTreeSet<String> {
                let lines = code.lines().filter_map(|line| line.trim().split_once(": "));
                lines.map(|(name, _)| name.trim_start_matches("pub ").to_owned()).collect()
            };
            assert_eq!(names(setters), names(fields), "{}: {name}", file.display());
            configurations += 1;
        }
    }
    assert_eq!(configurations, 4, "Config, DeflateConfig, HeadLimits, Limits");
    let config = Config::default().workers(3).head(HeadLimits::default().max_headers(5)).limits(Limits::of_bytes(7));
    assert_eq!((config.workers, config.head.max_headers, config.limits.max_frame_bytes), (3, 5, 7));
    assert_eq!(DeflateConfig::default().level(9).level, 9);
}

/// Returns the documentation of a public type or trait that the file defines, attributes included.
fn docs_of<'a>(name: &str, file: &'a str) -> Option<&'a str> {
    let mut definitions = ["struct", "enum", "trait"].iter().filter_map(|kind| {
        let definition = format!("\npub {kind} {name}");
        let (start, _) = file.match_indices(&definition).find(|(start, _)| {
            !file[start + definition.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
        })?;
        Some(start)
    });
    let before = &file[..definitions.next()?];
    // Documentation and attributes have no empty lines.
    let start = before.rfind("\n\n").unwrap_or(0);
    Some(&before[start..])
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../src")
}

/// Returns the names of all types and traits that the crate's public modules export or define.
fn exported() -> BTreeSet<String> {
    let source = source();
    let mut names = BTreeSet::new();
    for file in ["lib.rs", "client/mod.rs", "apps/mod.rs", "events/mod.rs"] {
        let text = fs::read_to_string(source.join(file)).expect("the module's source");
        let code = without_comments_and_strings(&text);
        for item in code.split("pub use ").skip(1) {
            let item = item.split(';').next().unwrap_or_default();
            names.extend(words(item).filter(|word| word.starts_with(char::is_uppercase)).map(Into::into));
        }
        for keyword in ["pub struct ", "pub enum ", "pub trait "] {
            names.extend(code.split(keyword).skip(1).filter_map(|rest| words(rest).next()).map(Into::into));
        }
    }
    names
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}
