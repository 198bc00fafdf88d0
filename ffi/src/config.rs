//! [`Config`]: limits, and the compressors that connections share.

use std::sync::OnceLock;

use switchboard::{Deflate, DeflateConfig, HeadLimits, Limits};

use crate::Outcome;

/// Limits and compression for any number of connections. Set it up once; after that several threads may make
/// connections with it at the same time. A connection keeps what it needs, so the configuration may be freed first.
#[derive(Debug, Default)]
pub struct Config {
    limits: Limits,
    head_limits: HeadLimits,
    is_deflate_on: bool,
    deflate: DeflateConfig,
    /// Made by the first connection, for all of them.
    pool: OnceLock<Deflate>,
}

/// The part of a configuration that a connection keeps until it is open.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) head_limits: HeadLimits,
    pub(crate) deflate: Option<Deflate>,
}

impl Config {
    pub(crate) fn settings(&self) -> Settings {
        let deflate = self.is_deflate_on.then(|| self.pool.get_or_init(|| Deflate::new(self.deflate)).clone());
        Settings { limits: self.limits, head_limits: self.head_limits, deflate }
    }
}

/// Changes the configuration, and lets the next connection make new compressors with it.
fn set(config: Option<&mut Config>, change: impl FnOnce(&mut Config)) -> Outcome {
    let Some(config) = config else { return Outcome::NullPointer };
    config.pool = OnceLock::new();
    change(config);
    Outcome::Ok
}

/// Returns a new configuration with the default limits and without compression. Never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_config_new() -> Box<Config> {
    Box::default()
}

/// Frees a configuration. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_config_free(config: Option<Box<Config>>) {
    drop(config);
}

/// Sets the longest message that is received, all frames together, in bytes. Default 16 MiB.
///
/// The connection fails with 1009 at the header of the frame that exceeds it. For a compressed message it also limits
/// the inflated bytes.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_config_set_max_message_bytes(config: Option<&mut Config>, bytes: u64) -> Outcome {
    set(config, |config| config.limits.max_message_bytes = bytes)
}

/// Sets the longest frame that is received, in bytes. Default 16 MiB. The connection fails with 1009 at the header of a
/// longer one.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_config_set_max_frame_bytes(config: Option<&mut Config>, bytes: u64) -> Outcome {
    set(config, |config| config.limits.max_frame_bytes = bytes)
}

/// Sets how many data frames in a row may be empty. Default 10,000. The connection fails with 1008 at the next one.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_config_set_max_empty_frames(config: Option<&mut Config>, count: u32) -> Outcome {
    set(config, |config| config.limits.max_empty_frames = count)
}

/// Sets the longest head of a request or response, in bytes. Default 16 KiB. The status for a longer request is 431 or
/// 414.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_config_set_max_head_bytes(config: Option<&mut Config>, bytes: usize) -> Outcome {
    set(config, |config| config.head_limits.max_bytes = bytes)
}

/// Sets how many header fields a request or response may have. Default 64. The status for more is 431.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_config_set_max_headers(config: Option<&mut Config>, count: usize) -> Outcome {
    set(config, |config| config.head_limits.max_headers = count)
}

/// Sets whether permessage-deflate (RFC 7692) is offered by clients and accepted by servers. Default false.
///
/// The connections of a configuration share compressors and inflaters, and a lock that is held to take one.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_config_set_deflate(config: Option<&mut Config>, is_on: bool) -> Outcome {
    set(config, |config| config.is_deflate_on = is_on)
}

/// Sets the compression level: 1 (fastest, the default) to 9 (smallest), or 0 to compress nothing and only inflate.
/// Others are an invalid argument.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_config_set_deflate_level(config: Option<&mut Config>, level: u32) -> Outcome {
    match u8::try_from(level) {
        Ok(level @ 0..=9) => set(config, |config| config.deflate.level = level),
        _ => Outcome::InvalidArgument,
    }
}

/// Sets which messages are compressed: those of at least `min` and at most `max` bytes. Default 256 bytes and 1 MiB,
/// since a message is compressed at once, which takes some milliseconds for 1 MiB.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_config_set_deflate_bytes(config: Option<&mut Config>, min: usize, max: usize) -> Outcome {
    set(config, |config| (config.deflate.min_bytes, config.deflate.max_bytes) = (min, max))
}

/// Sets the memory for context takeover of all connections together, in bytes. Default 0: no context takeover.
///
/// Each peer that may use its context reserves 32 KiB. Our compressors share the rest: 280 KB each with the largest
/// window. With secrets in messages, leave it at 0: the length of a compressed message tells about the ones before it.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_config_set_deflate_memory(config: Option<&mut Config>, bytes: usize) -> Outcome {
    set(config, |config| config.deflate.memory_bytes = bytes)
}

/// Sets how many unfinished messages of all connections together are inflated as they arrive. Default 16. Each takes
/// about 100 KB until it is whole; others wait, compressed, until they are whole.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_config_set_deflate_max_unfinished(config: Option<&mut Config>, count: usize) -> Outcome {
    set(config, |config| config.deflate.max_unfinished = count)
}
