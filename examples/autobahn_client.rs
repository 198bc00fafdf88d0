//! The client under test in the Autobahn|Testsuite: asks the suite's server for the number of cases, and echoes in
//! each.
//!
//! ```text
//! cargo run --release --example autobahn_client -- ws://127.0.0.1:9001
//! cargo run --release --features client-tls --example autobahn_client -- wss://127.0.0.1:9001 certificate.pem
//! ```

use std::{env, error::Error, process::ExitCode};

use switchboard::{
    CloseCode,
    client::{Client, ClientBuilder, ClientError, Message},
};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (server, certificate) = match &*arguments {
        [server] => (server, None),
        [server, certificate] => (server, Some(&**certificate)),
        _ => {
            eprintln!("usage: autobahn_client URL [CERTIFICATE.pem], such as ws://127.0.0.1:9001");
            return ExitCode::from(2);
        }
    };
    match builder(certificate).and_then(|builder| Ok(run(&builder, server.trim_end_matches('/'))?)) {
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

/// Returns the options of all connections: `certificate` is the file of the only one that is trusted.
fn builder(certificate: Option<&str>) -> Result<ClientBuilder, Box<dyn Error>> {
    match certificate {
        None => Ok(Client::builder()),
        #[cfg(feature = "client-tls")]
        Some(certificate) => Ok(Client::builder().roots(std::fs::read(certificate)?)),
        #[cfg(not(feature = "client-tls"))]
        Some(_) => Err("a certificate needs the feature client-tls".into()),
    }
}

fn run(builder: &ClientBuilder, server: &str) -> Result<u32, ClientError> {
    let cases = case_count(builder, server)?;
    for case in 1..=cases {
        if case % 50 == 0 {
            println!("{case} of {cases}");
        }
        // An error is part of some cases; the suite judges how each case ends.
        let _ = echo(builder, &format!("{server}/runCase?case={case}&agent={AGENT}"));
    }
    let mut reports = builder.connect(&format!("{server}/updateReports?agent={AGENT}"))?;
    // The server writes its reports, then closes.
    let _ = reports.receive();
    Ok(cases)
}

/// Returns the number of cases, which the server sends in one text message.
fn case_count(builder: &ClientBuilder, server: &str) -> Result<u32, ClientError> {
    let mut client = builder.connect(&format!("{server}/getCaseCount"))?;
    let count = match client.receive()? {
        Message::Text(text) => text.parse().unwrap_or(0),
        _ => 0,
    };
    let _ = client.close(CloseCode::NORMAL_CLOSURE, "");
    Ok(count)
}

fn echo(builder: &ClientBuilder, url: &str) -> Result<(), ClientError> {
    let mut client = builder.connect(url)?;
    loop {
        match client.receive()? {
            Message::Close(_) => return Ok(()),
            message if message.is_data() => client.send(&message)?,
            _ => {} // the client has answered a Ping already
        }
    }
}

const AGENT: &str = "switchboard";
