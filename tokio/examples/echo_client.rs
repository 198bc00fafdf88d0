//! The client under test in the Autobahn|Testsuite: asks the suite's server for the number of cases, and echoes in
//! each.
//!
//! ```text
//! cargo run --release -p switchboard-tokio --example echo_client -- ws://127.0.0.1:9001
//! ```

use std::{env, error::Error, process::ExitCode};

use switchboard_tokio::{CloseCode, Message, connect};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(server) = env::args().nth(1) else {
        eprintln!("usage: echo_client URL, such as ws://127.0.0.1:9001");
        return ExitCode::from(2);
    };
    match run(server.trim_end_matches('/')).await {
        Ok(cases) => {
            println!("{cases} cases have run");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("echo_client: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(server: &str) -> Result<u32, Box<dyn Error>> {
    let mut counting = connect(&format!("{server}/getCaseCount")).await?;
    let cases = match counting.next().await.transpose()? {
        Some(Message::Text(text)) => text.parse()?,
        other => return Err(format!("the number of cases is missing: {other:?}").into()),
    };
    counting.close(CloseCode::NORMAL_CLOSURE, "").await?;
    for case in 1..=cases {
        if case % 50 == 0 {
            println!("{case} of {cases}");
        }
        // An error is part of some cases; the suite judges how each case ends.
        let _ = echo(&format!("{server}/runCase?case={case}&agent={AGENT}")).await;
    }
    let mut reports = connect(&format!("{server}/updateReports?agent={AGENT}")).await?;
    // The server writes its reports, then closes.
    while let Some(Ok(_)) = reports.next().await {}
    Ok(cases)
}

async fn echo(url: &str) -> Result<(), Box<dyn Error>> {
    let mut socket = connect(url).await?;
    while let Some(message) = socket.next().await.transpose()? {
        if message.is_data() {
            socket.feed(message).await?;
        }
    }
    Ok(())
}

const AGENT: &str = "switchboard";
