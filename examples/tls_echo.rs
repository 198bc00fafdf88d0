//! An echo server over TLS, for the Autobahn|Testsuite and to start with.
//!
//! ```text
//! cargo run --release -p switchboard --features tls --example tls_echo -- 127.0.0.1:9443 chain.pem key.pem
//! ```

use std::{env, error::Error, fs, net::SocketAddr, process::ExitCode};

use switchboard::{Config, OriginPolicy, Server, TlsConfig, apps::Echo, raise_descriptor_limit};

fn main() -> ExitCode {
    env_logger::Builder::new().filter_level(log::LevelFilter::Warn).parse_default_env().init();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [listen, chain, key] = &*arguments else {
        eprintln!("usage: tls_echo ADDR:PORT CHAIN.pem KEY.pem");
        return ExitCode::from(2);
    };
    match serve(listen, chain, key) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tls_echo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(listen: &str, chain: &str, key: &str) -> Result<(), Box<dyn Error>> {
    raise_descriptor_limit()?;
    let mut config = Config::default();
    config.tls = Some(TlsConfig::builder().certificate(&fs::read(chain)?, &fs::read(key)?)?.build()?);
    let app = Echo::new(OriginPolicy::Any);
    let listen: SocketAddr = listen.parse()?;
    let running = Server::bind(listen, config)?.start(move |_| app.clone())?;
    println!("page at https://{0}/, WebSocket at wss://{0}/", running.local_addr());
    running.join()?;
    Ok(())
}
