//! Replaces permessage-deflate if the feature `deflate` is off. The types have no values, so the rest of the engine
//! needs no `cfg`, and the compiler removes the code that uses them.

use alloc::boxed::Box;
use core::convert::Infallible;

use super::DeflateParams;
use crate::proto::Role;

/// permessage-deflate for any number of connections. Without the feature `deflate` this type has no values.
#[derive(Clone, Debug)]
pub struct Deflate(Infallible);

#[derive(Debug)]
pub(in crate::proto) struct DeflateAgreement(Infallible);

impl DeflateAgreement {
    pub(in crate::proto) fn halves(self, _: Role) -> (Inflating, Deflating) {
        match self.0 {}
    }
}

#[derive(Debug)]
pub(in crate::proto) struct DeflateOffer(Infallible);

impl DeflateOffer {
    pub(in crate::proto) fn params(&self) -> DeflateParams {
        match self.0 {}
    }

    pub(in crate::proto) fn agree(self, _: DeflateParams) -> DeflateAgreement {
        match self.0 {}
    }
}

#[derive(Debug)]
pub(in crate::proto) struct Deflating(Infallible);

impl Deflating {
    pub(in crate::proto) fn compress<E>(
        &mut self,
        _: &[u8],
        _: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Option<Result<(), E>> {
        match self.0 {}
    }

    pub(in crate::proto) fn keeps_context(&self) -> bool {
        match self.0 {}
    }

    pub(in crate::proto) fn max_shared_bytes(&self) -> usize {
        match self.0 {}
    }

    pub(in crate::proto) fn deflate(&self) -> &Deflate {
        match self.0 {}
    }

    pub(in crate::proto) fn reset_context(&mut self) {
        match self.0 {}
    }
}

#[derive(Debug, Default)]
pub(in crate::proto) struct CompressedOnce {}

impl CompressedOnce {
    pub(in crate::proto) fn get_or_compress(
        &self,
        deflate: &Deflate,
        _: &[u8],
        _: impl FnOnce(&[u8]) -> Box<[u8]>,
    ) -> Option<&[u8]> {
        match deflate.0 {}
    }
}

#[derive(Debug)]
pub(in crate::proto) struct Inflating(Infallible);

impl Inflating {
    pub(in crate::proto) fn acquire(&mut self, _: bool) -> Option<PooledInflater> {
        match self.0 {}
    }

    pub(in crate::proto) fn take_history(&mut self, _: &mut PooledInflater) {
        match self.0 {}
    }
}

#[derive(Debug)]
pub(in crate::proto) struct PooledInflater(Infallible);

#[derive(Clone, Copy, Debug)]
pub(in crate::proto) struct Malformed;

#[derive(Clone, Copy, Debug)]
pub(in crate::proto) struct Step {
    pub(in crate::proto) consumed: usize,
    pub(in crate::proto) work: usize,
    pub(in crate::proto) ended_final: bool,
    pub(in crate::proto) outcome: Result<(), Malformed>,
}

impl PooledInflater {
    pub(in crate::proto) fn inflate(&mut self, _: &[u8], _: usize) -> Step {
        match self.0 {}
    }

    pub(in crate::proto) fn output(&self) -> &[u8] {
        match self.0 {}
    }

    pub(in crate::proto) fn finish(&mut self) -> Result<(), Malformed> {
        match self.0 {}
    }

    pub(in crate::proto) fn uncounted_bytes(&self) -> u64 {
        match self.0 {}
    }

    pub(in crate::proto) fn setup_work(&self) -> usize {
        match self.0 {}
    }
}
