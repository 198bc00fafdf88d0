//! Every public limit of the server and the client at 0, at 1 and at its maximum. None makes them panic, overflow,
//! allocate by its value, or use the CPU while nothing happens.
#![cfg(target_os = "linux")]

mod client;
mod server;

use std::time::Duration;

/// A value at the end of its type's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extreme {
    Zero,
    One,
    Max,
}

const EXTREMES: [Extreme; 3] = [Extreme::Zero, Extreme::One, Extreme::Max];

/// A type of limits. One is its shortest step.
trait Limit {
    fn at(extreme: Extreme) -> Self;
}

macro_rules! limits {
    ($($number:ty),*) => {$(
        impl Limit for $number {
            fn at(extreme: Extreme) -> Self {
                match extreme {
                    Extreme::Zero => 0,
                    Extreme::One => 1,
                    Extreme::Max => <$number>::MAX,
                }
            }
        }
    )*};
}

limits!(u8, u32, u64, usize);

impl Limit for Duration {
    fn at(extreme: Extreme) -> Self {
        match extreme {
            Extreme::Zero => Self::ZERO,
            Extreme::One => Self::from_nanos(1),
            Extreme::Max => Self::MAX,
        }
    }
}

impl<T: Limit> Limit for Option<T> {
    fn at(extreme: Extreme) -> Self {
        Some(T::at(extreme))
    }
}

/// The view of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The configuration is refused with [`std::io::ErrorKind::InvalidInput`].
    Invalid,
    /// The connection is not opened.
    Refused,
    /// The connection is opened, and does not carry two messages.
    Failed,
    /// The connection carries two messages.
    Works,
}

use Outcome::{Failed, Invalid, Refused, Works};

/// The outcome depends on when the deadlines are checked.
const ANY: [Outcome; 3] = [Refused, Failed, Works];
