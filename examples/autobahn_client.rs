//! The client under test in the Autobahn|Testsuite: asks the suite's server for the number of cases, and echoes in
//! each.
//!
//! ```text
//! cargo run --release --example autobahn_client -- ws://127.0.0.1:9001
//! ```

use std::{env, process::ExitCode};

use switchboard::{
    CloseCode,
    client::{Client, ClientError, Message},
};

fn main() -> ExitCode {
    let Some(server) = env::args().nth(1) else {
        eprintln!("usage: autobahn_client URL, such as ws://127.0.0.1:9001");
        return ExitCode::from(2);
    };
    match run(server.trim_end_matches('/')) {
        Ok(cases) => {
            println!("{cases} cases have run");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("autobahn_client: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(server: &str) -> Result<u32, ClientError> {
    let cases = case_count(server)?;
    for case in 1..=cases {
        if case % 50 == 0 {
            println!("{case} of {cases}");
        }
        // An error is part of some cases; the suite judges how each case ends.
        let _ = echo(&format!("{server}/runCase?case={case}&agent={AGENT}"));
    }
    let mut reports = Client::connect(&format!("{server}/updateReports?agent={AGENT}"))?;
    // The server writes its reports, then closes.
    let _ = reports.receive();
    Ok(cases)
}

/// Returns the number of cases, which the server sends in one text message.
fn case_count(server: &str) -> Result<u32, ClientError> {
    let mut client = Client::connect(&format!("{server}/getCaseCount"))?;
    let count = match client.receive()? {
        Message::Text(text) => text.parse().unwrap_or(0),
        _ => 0,
    };
    let _ = client.close(CloseCode::NORMAL_CLOSURE, "");
    Ok(count)
}

fn echo(url: &str) -> Result<(), ClientError> {
    let mut client = Client::connect(url)?;
    loop {
        match client.receive()? {
            Message::Close(_) => return Ok(()),
            message if message.is_data() => client.send(&message)?,
            _ => {} // the client has answered a Ping already
        }
    }
}

const AGENT: &str = "switchboard";
