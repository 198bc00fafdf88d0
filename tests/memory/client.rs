//! What a client allocates after others of the process have compressed.

use switchboard_tests::{
    counting::cost,
    server::{Service, config, expect_text, serve},
};

#[test]
fn a_client_compresses_with_what_earlier_clients_of_the_process_have_made() {
    let server = serve(config(), Service::echo());
    let text = "a text that repeats itself, ".repeat(100);
    let exchange = || {
        let mut client = server.client();
        assert!(client.deflate().is_some());
        client.send_text(&text).unwrap();
        expect_text(&mut client, &text);
    };
    exchange();
    // Other tests may use the compressors at the same time, but not every time.
    let peak = (0..10).map(|_| cost(exchange).peak).min().unwrap();
    assert!(peak < 64 << 10, "{peak} bytes: that is room for a compressor or an inflater");
}
