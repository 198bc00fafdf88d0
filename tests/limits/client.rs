//! The limits of the client.

use std::time::Duration;

use switchboard::{
    CloseCode, Deflate, DeflateConfig, HeadLimits, Limits,
    client::{Client, ClientBuilder, Message},
};
use switchboard_tests::{
    fields::{assert_complete, fields_of},
    server::{Service, builder, config, serve},
};

use super::{ANY, EXTREMES, Extreme, Failed, Limit, Outcome, Refused, Works};

/// A field of [`ClientBuilder`], how to set it, and the possible outcomes at 0, at 1 and at its maximum.
type Row = (&'static str, fn(ClientBuilder, Extreme) -> ClientBuilder, [&'static [Outcome]; 3]);

const ROWS: &[Row] = &[
    (
        "limits.max_message_bytes",
        |b, at| b.limits(limits(|limits| limits.max_message_bytes = Limit::at(at))),
        [&[Failed], &[Failed], &[Works]],
    ),
    (
        "limits.max_frame_bytes",
        |b, at| b.limits(limits(|limits| limits.max_frame_bytes = Limit::at(at))),
        [&[Failed], &[Failed], &[Works]],
    ),
    (
        "limits.max_empty_frames",
        |b, at| b.limits(limits(|limits| limits.max_empty_frames = Limit::at(at))),
        [&[Works]; 3],
    ),
    (
        "head_limits.max_bytes",
        |b, at| b.head_limits(head_limits(|limits| limits.max_bytes = Limit::at(at))),
        [&[Refused], &[Refused], &[Works]],
    ),
    (
        "head_limits.max_headers",
        |b, at| b.head_limits(head_limits(|limits| limits.max_headers = Limit::at(at))),
        [&[Refused], &[Refused], &[Works]],
    ),
    ("deflate.level", |b, at| b.deflate(deflate(|config| config.level = Limit::at(at))), [&[Works]; 3]),
    ("deflate.min_bytes", |b, at| b.deflate(deflate(|config| config.min_bytes = Limit::at(at))), [&[Works]; 3]),
    ("deflate.max_bytes", |b, at| b.deflate(deflate(|config| config.max_bytes = Limit::at(at))), [&[Works]; 3]),
    ("deflate.memory_bytes", |b, at| b.deflate(deflate(|config| config.memory_bytes = Limit::at(at))), [&[Works]; 3]),
    (
        "deflate.max_unfinished",
        |b, at| b.deflate(deflate(|config| config.max_unfinished = Limit::at(at))),
        [&[Works]; 3],
    ),
    ("max_redirects", |b, at| b.redirects(Limit::at(at)), [&[Works]; 3]),
    ("connect_timeout", |b, at| b.connect_timeout(Limit::at(at)), [&[Refused], &[Refused], &[Works]]),
    ("timeouts.read", |b, at| b.read_timeout(Limit::at(at)), [&ANY, &ANY, &[Works]]),
    ("timeouts.write", |b, at| b.write_timeout(Limit::at(at)), [&ANY, &ANY, &[Works]]),
    ("timeouts.close", |b, at| b.close_timeout(Limit::at(at)), [&[Works]; 3]),
];

/// Fields that are no limits.
const OTHERS: &[&str] = &[
    "address",
    "proxy",
    "origin",
    "subprotocols",
    "headers",
    #[cfg(feature = "client-tls")]
    "tls",
];

fn limits(set: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    set(&mut limits);
    limits
}

fn head_limits(set: impl FnOnce(&mut HeadLimits)) -> HeadLimits {
    let mut limits = HeadLimits::default();
    set(&mut limits);
    limits
}

fn deflate(set: impl FnOnce(&mut DeflateConfig)) -> Option<Deflate> {
    let mut config = DeflateConfig::default();
    set(&mut config);
    Some(Deflate::new(config))
}

/// Opens a connection, sends two messages, and closes it.
fn outcome(builder: &ClientBuilder, url: &str) -> Outcome {
    let Ok(mut client) = builder.connect(url) else { return Refused };
    let works = ["x", &"x".repeat(1000)].iter().all(|text| {
        client.send_text(text).is_ok() && client.receive().is_ok_and(|seen| seen == Message::Text((*text).into()))
    });
    // With a short deadline, the server's Close may come too late.
    let _ = client.close(CloseCode::NORMAL_CLOSURE, "");
    if works { Works } else { Failed }
}

#[test]
fn each_limit_of_the_client_at_its_extremes_is_harmless() {
    let names: Vec<_> = ROWS.iter().map(|(name, ..)| *name).chain(OTHERS.iter().copied()).collect();
    let set = Client::builder().deflate(None).read_timeout(None).write_timeout(None).close_timeout(Duration::ZERO);
    let mut fields = fields_of(&set);
    fields.retain(|field| field != "deflate");
    fields.extend(fields_of(&DeflateConfig::default()).iter().map(|field| format!("deflate.{field}")));
    assert_complete(&names, &fields);
    let server = serve(config(), Service::echo());
    for (name, set, expected) in ROWS {
        for (extreme, expected) in EXTREMES.into_iter().zip(expected) {
            let found = outcome(&set(builder(), extreme), &server.url());
            assert!(expected.contains(&found), "{name} at {extreme:?}: {found:?}");
        }
    }
}
