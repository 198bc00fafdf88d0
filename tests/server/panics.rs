//! A panic in an app ends the process.

use std::{
    env,
    process::{self, Command},
    thread,
};

use switchboard::client::Client;
use switchboard_tests::server::{LONG, Service, config, serve};

/// The environment variable that makes the child process panic.
const PANICS: &str = "SWITCHBOARD_TEST_PANICS";

#[test]
fn a_panic_in_an_app_ends_the_process_with_101() {
    if env::var_os(PANICS).is_some() {
        panic_in_an_app();
    }
    let this = env::current_exe().unwrap();
    let name = "panics::a_panic_in_an_app_ends_the_process_with_101";
    let ended = Command::new(this).args([name, "--exact", "--nocapture"]).env(PANICS, "1").output().unwrap();
    assert_eq!(ended.status.code(), Some(101), "{ended:?}");
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(stderr.contains("thread 'switchboard-1' ") && stderr.contains("too much"), "{ended:?}");
    // A failed test also ends its process with 101. The child must have ended before its test could fail.
    assert!(!String::from_utf8_lossy(&ended.stdout).contains("FAILED"), "{ended:?}");
}

/// Exits with 0 if the panic of a worker does not end the process.
fn panic_in_an_app() -> ! {
    let service = Service::echo().on_message(|_, context| {
        if context.id().to_string().starts_with("1.") {
            panic!("too much");
        }
    });
    let mut config = config();
    config.workers = 2;
    let server = serve(config, service);
    // Some of these connections are on worker 1, which panics.
    let clients: Vec<_> = (0..64)
        .map_while(|_| {
            let mut client = Client::connect(&server.url()).ok()?;
            client.send_text("now").ok()?;
            Some(client)
        })
        .collect();
    thread::park_timeout(LONG / 2);
    drop(clients);
    process::exit(0);
}
