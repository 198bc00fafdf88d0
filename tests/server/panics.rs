//! A panic in an app ends the process.

use std::process::Command;

use switchboard::client::Client;
use switchboard_tests::server::{LONG, Service, config, serve};

/// Set in the child that panics.
const PANICS: &str = "SWITCHBOARD_TEST_PANICS";

#[test]
fn a_panic_in_an_app_ends_the_process_with_101() {
    if std::env::var_os(PANICS).is_some() {
        panic_in_an_app();
    }
    let this = std::env::current_exe().unwrap();
    let name = "panics::a_panic_in_an_app_ends_the_process_with_101";
    let ended = Command::new(this).args([name, "--exact", "--nocapture"]).env(PANICS, "1").output().unwrap();
    assert_eq!(ended.status.code(), Some(101), "{ended:?}");
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(stderr.contains("thread 'switchboard-1' ") && stderr.contains("too much"), "{ended:?}");
    // A test that fails ends its process with 101 as well: this one must not have come so far.
    assert!(!String::from_utf8_lossy(&ended.stdout).contains("FAILED"), "{ended:?}");
}

/// Never comes back; ends with 0 where a worker's panic ends nothing.
fn panic_in_an_app() -> ! {
    let service = Service::echo().on_message(|_, context| {
        if context.id().to_string().starts_with("1.") {
            panic!("too much");
        }
    });
    let mut config = config();
    config.workers = 2;
    let server = serve(config, service);
    // Some of them come to the second worker.
    let clients: Vec<_> = (0..64)
        .map_while(|_| {
            let mut client = Client::connect(&server.url()).ok()?;
            client.send_text("now").ok()?;
            Some(client)
        })
        .collect();
    std::thread::park_timeout(LONG / 2);
    drop(clients);
    std::process::exit(0);
}
