//! permessage-deflate (RFC 7692) without a socket. The compressed input comes from zlib or is written bit by bit; the
//! output is read by the tests' own inflater. `SEED=n` runs one seed.
//!
//! | file | subject |
//! |---|---|
//! | `negotiation` | offers and responses in the opening handshake |
//! | `receiving` | compressed messages that arrive: accepted, refused, limited, paused |
//! | `sending` | what is compressed, and with which context |
//! | `waiting` | unfinished compressed messages, with and without an inflater |
//! | `memory` | the memory that permessage-deflate takes, and its budget |

mod memory;
mod negotiation;
mod receiving;
mod sending;
mod waiting;

use switchboard::{
    Connection, Deflate, DeflateConfig, DeflateParams, Delivery, Limits, Masked, MaskingKey, Receiver, Role, Unmasked,
    WindowBits,
};
use switchboard_tests::{counting::CountingAllocator, engine::KEY, random::Random};

#[global_allocator]
static COUNTING: CountingAllocator = CountingAllocator;

/// The default configuration with this change.
fn deflate(change: impl FnOnce(&mut DeflateConfig)) -> Deflate {
    let mut config = DeflateConfig::default();
    change(&mut config);
    Deflate::new(config)
}

/// Neither end takes its context over from message to message.
const NO_TAKEOVER: DeflateParams = DeflateParams {
    server_no_context_takeover: true,
    client_no_context_takeover: true,
    server_max_window_bits: None,
    client_max_window_bits: None,
};

/// Both ends take their context over from message to message.
const TAKEOVER: DeflateParams =
    DeflateParams { server_no_context_takeover: false, client_no_context_takeover: false, ..NO_TAKEOVER };

/// The parameters with windows of `bits` bits in both directions.
fn with_window(params: DeflateParams, bits: u8) -> DeflateParams {
    let bits = Some(WindowBits::try_from(bits).expect("8 to 15"));
    DeflateParams { server_max_window_bits: bits, client_max_window_bits: bits, ..params }
}

const BUDGET_HAS_ROOM: &str = "the budget has room";

fn server(deflate: &Deflate, params: DeflateParams, limits: Limits, delivery: Delivery) -> Connection<Unmasked> {
    Connection::server(limits, delivery).with_deflate(deflate, params).expect(BUDGET_HAS_ROOM)
}

type Keys = fn() -> MaskingKey;

fn client(deflate: &Deflate, params: DeflateParams, limits: Limits, delivery: Delivery) -> Connection<Masked<Keys>> {
    let keys: Keys = || KEY;
    Connection::client(keys, limits, delivery).with_deflate(deflate, params).expect(BUDGET_HAS_ROOM)
}

/// The receiving half of a connection in this role.
fn receiver(deflate: &Deflate, role: Role, params: DeflateParams, limits: Limits, delivery: Delivery) -> Receiver {
    match role {
        Role::Server => server(deflate, params, limits, delivery).receiver,
        Role::Client => client(deflate, params, limits, delivery).receiver,
    }
}

/// A text of 700 bytes that compresses only a little, except if the window already holds it.
fn mostly_random_text(random: &mut Random) -> String {
    let text: String = (0..500).map(|_| char::from(b'a' + random.below(26) as u8)).collect();
    let again = text[..50].repeat(4);
    text + &again
}
