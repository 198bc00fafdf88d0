//! Floor 3: the smallest services: [`Echo`] and [`Broadcast`].

mod broadcast;
mod echo;

pub use broadcast::{Audience, Broadcast};
pub use echo::Echo;
