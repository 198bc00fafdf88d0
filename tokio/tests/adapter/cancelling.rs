//! Futures that are dropped after any number of polls, over a stream that is ready or not as a seed decides.

use std::{
    env,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use fastrand::Rng;
use switchboard::{CloseCode, Limits};
use switchboard_tokio::{Config, Message};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

use crate::support::{client, server};

/// Passes a few bytes at a time, and often none.
#[derive(Debug)]
struct Choppy {
    stream: DuplexStream,
    rng: Rng,
}

impl Choppy {
    /// Returns how many bytes to pass now; none if the task is to be polled again.
    fn allowance(&mut self, context: &Context<'_>) -> Option<usize> {
        if self.rng.u8(..3) == 0 {
            context.waker().wake_by_ref();
            return None;
        }
        Some(self.rng.usize(1..20))
    }
}

impl AsyncRead for Choppy {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(length) = this.allowance(context) else { return Poll::Pending };
        let mut bytes = vec![0; length.min(buffer.remaining())];
        let mut part = ReadBuf::new(&mut bytes);
        let read = Pin::new(&mut this.stream).poll_read(context, &mut part);
        buffer.put_slice(part.filled());
        read
    }
}

impl AsyncWrite for Choppy {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(length) = this.allowance(context) else { return Poll::Pending };
        Pin::new(&mut this.stream).poll_write(context, &bytes[..length.min(bytes.len())])
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.allowance(context).is_none() {
            return Poll::Pending;
        }
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.allowance(context).is_none() {
            return Poll::Pending;
        }
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}

/// Polls a future at most `polls` times, and drops it.
async fn polled<F: Future>(future: F, mut polls: u32) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(move |context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => {
            polls -= 1;
            if polls == 0 { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}

/// Sends numbered messages by futures that are dropped at any poll. Each number that was sent for sure arrives, none
/// twice, all in order; then a `close` that is dropped at any poll ends the connection cleanly.
async fn drop_futures_anywhere(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let pipe = rng.usize(1..200);
    let config = Config::new().max_output_bytes(rng.usize(1..300));
    let (near, far) = duplex(pipe);
    let near = Choppy { stream: near, rng: rng.fork() };
    let far = Choppy { stream: far, rng: rng.fork() };
    let mut sending = client(near, &config);
    let mut receiving = server(far, Limits::default(), &config);
    let receiver_seed = rng.u64(..);

    let sender = async move {
        let mut sent = Vec::new();
        for number in 0..200_u32 {
            let text = format!("{number} {}", "x".repeat(rng.usize(..150)));
            let polls = rng.u32(1..6);
            let outcome = match rng.u8(..4) {
                0 => polled(sending.feed(text), polls).await,
                1 => polled(sending.send(text), polls).await,
                2 => polled(sending.send(text), u32::MAX).await,
                // Answers Pings.
                _ => {
                    let _ = polled(sending.next(), 1).await;
                    polled(sending.flush(), polls).await.transpose().expect("flushed");
                    continue;
                }
            };
            if let Some(outcome) = outcome {
                outcome.expect("sent");
                sent.push(number);
            }
        }
        while polled(sending.close(CloseCode::NORMAL_CLOSURE, ""), rng.u32(1..6)).await.is_none() {}
        sending.close(CloseCode::NORMAL_CLOSURE, "").await.expect("a clean end");
        sent
    };
    let receiver = async move {
        let mut rng = Rng::with_seed(receiver_seed);
        let mut received: Vec<u32> = Vec::new();
        loop {
            match polled(receiving.next(), rng.u32(1..6)).await {
                Some(Some(Ok(Message::Text(text)))) => {
                    let number = text.split(' ').next().expect("a number").parse().expect("a number");
                    received.push(number);
                }
                Some(Some(Ok(Message::Pong(_) | Message::Close(_)))) | None => {}
                Some(None) => return received,
                Some(other) => panic!("{other:?}"),
            }
            if rng.u8(..4) == 0 {
                // One poll: while the other end sends, it does not read.
                let _ = polled(receiving.send(Message::Ping(vec![1])), 1).await;
            }
        }
    };
    let (sent, received) = tokio::join!(sender, receiver);
    assert!(received.is_sorted_by(|a, b| a < b), "each once, in order: {received:?}");
    for number in &sent {
        assert!(received.binary_search(number).is_ok(), "{number} was sent and has not arrived");
    }
    assert!(!sent.is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_message_is_lost_or_doubled_by_a_future_that_is_dropped() {
    let seeds = match env::var("SEED") {
        Ok(seed) => vec![seed.parse().expect("SEED is a number")],
        Err(_) => (0..200).collect(),
    };
    for seed in seeds {
        let run = tokio::spawn(drop_futures_anywhere(seed));
        if let Err(error) = run.await {
            panic!("SEED={seed}: {error}");
        }
    }
}
