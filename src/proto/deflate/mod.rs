//! permessage-deflate ([RFC 7692]): each message is compressed by itself.
//!
//! | file | section | what |
//! |---|---|---|
//! | `params.rs` | §7.1 | [`DeflateParams`]: the negotiated parameters |
//! | `codec.rs` | §7.2 | DEFLATE for one message |
//! | `pool.rs` | §7.1.1 | [`Deflate`]: the state that connections share, and its budget |
//! | `halves.rs` | §7.2 | the state in a sender and in a receiver |
//! | `disabled.rs` | | the same types without values, if the feature `deflate` is off |
//!
//! The negotiation is in `handshake/deflate.rs`.
//!
//! [RFC 7692]: https://www.rfc-editor.org/rfc/rfc7692

#[cfg(feature = "deflate")]
mod codec;
#[cfg(not(feature = "deflate"))]
mod disabled;
#[cfg(feature = "deflate")]
mod halves;
#[cfg_attr(not(feature = "deflate"), expect(unreachable_pub, reason = "nothing is ever negotiated"))]
mod params;
#[cfg(feature = "deflate")]
mod pool;

#[cfg(feature = "deflate")]
pub use params::InvalidWindowBits;
#[cfg_attr(not(feature = "deflate"), expect(unreachable_pub))]
pub use params::{DeflateParams, WindowBits};
#[cfg(feature = "deflate")]
pub use pool::{Deflate, DeflateConfig};

#[cfg(not(feature = "deflate"))]
pub use disabled::Deflate;
#[cfg(not(feature = "deflate"))]
pub(super) use disabled::{CompressedOnce, DeflateAgreement, DeflateOffer, Deflating, Inflating, PooledInflater};
#[cfg(feature = "deflate")]
pub(super) use halves::{CompressedOnce, DeflateAgreement, DeflateOffer, Deflating, Inflating, PooledInflater};
