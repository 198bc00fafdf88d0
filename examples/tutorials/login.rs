//! A token opens the connection; whoever does nothing for 15 minutes has to log in again.

use std::io;
use std::time::{Duration, Instant};

use switchboard::Rejection;
use switchboard::events::{JsonArrays, Router};

pub(crate) struct Login {
    name: &'static str,
    latest: Instant,
}

fn user_of(token: &str) -> Option<&'static str> {
    // A real one looks into a database, on a thread of its own.
    [("token=wonderland", "Alice"), ("token=builder", "Bob")].iter().find(|(of, _)| *of == token).map(|(_, name)| *name)
}

pub(crate) fn router(idle: Duration) -> Router<Login> {
    Router::with_state(JsonArrays, |handshake| {
        let name = handshake.request.query().and_then(user_of).ok_or_else(|| Rejection::new(401))?;
        Ok(Login { name, latest: Instant::now() })
    })
    .file("/", include_str!("page/login.html"))
    .file("/page.js", include_str!("page/page.js"))
    .before(move |socket, event| {
        let login = socket.state();
        if event != "login" && login.latest.elapsed() >= idle {
            return Err("you were idle, log in again".to_owned());
        }
        login.latest = Instant::now();
        Ok(())
    })
    .on("login", |socket, token: String| user_of(&token).map(|name| socket.state().name = name))
    .on("who am I", |socket, (): ()| socket.state().name)
}

fn main() -> io::Result<()> {
    router(Duration::from_secs(15 * 60)).run(([127, 0, 0, 1], 8080).into())
}
