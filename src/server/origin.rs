//! Decides a handshake by the policy for Origins alone.

use super::{Handshake, Verdict};
use crate::OriginPolicy;

impl OriginPolicy {
    /// Decides a handshake by this policy alone: opens the connection with `peer`, or rejects it with 403.
    pub fn judge<P: Send + 'static>(&self, handshake: &Handshake<'_>, verdict: Verdict<P>, peer: P) {
        match self.check(handshake.websocket, handshake.is_tls) {
            Ok(()) => verdict.accept(peer),
            Err(error) => verdict.reject(error.into()),
        }
    }
}
