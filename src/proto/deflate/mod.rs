//! permessage-deflate ([RFC 7692]): messages compressed one by one.
//!
//! | file | section | what |
//! |---|---|---|
//! | `params.rs` | §7.1 | [`DeflateParams`]: what two ends agree on |
//! | `codec.rs` | §7.2 | DEFLATE for one message |
//! | `pool.rs` | §7.1.1 | [`Deflate`]: what connections share, and its budget |
//! | `halves.rs` | §7.2 | what of it a sender and a receiver hold |
//! | `disabled.rs` | | what stands for it all where the feature is off |
//!
//! How it is negotiated stands with the handshakes. Whoever lets an attacker's text and a secret into one compressed
//! message, or with context takeover into one connection, lets the length of what is sent tell about the secret
//! (CRIME): send such messages uncompressed.
//!
//! [RFC 7692]: https://www.rfc-editor.org/rfc/rfc7692

#[cfg(feature = "deflate")]
mod codec;
#[cfg(not(feature = "deflate"))]
mod disabled;
#[cfg(feature = "deflate")]
mod halves;
#[cfg_attr(not(feature = "deflate"), expect(dead_code, unreachable_pub, reason = "nothing is ever agreed on"))]
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
