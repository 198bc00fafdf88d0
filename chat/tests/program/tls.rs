//! https and wss: certificates from files and of the program's making, and what the chat does otherwise with them.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
    sync::Arc,
    time::Instant,
};

use rustls::{
    ClientConfig, RootCertStore,
    version::{TLS12, TLS13},
};
use serde_json::json;
use switchboard_tests::{
    server::{LONG, Raw},
    tls::{Authority, Pem},
};

use crate::support::{
    chat_user::{AS_JSON, json_of, request},
    folder::Folder,
    program::{self, PATH, Program, address_in, start, start_command},
    tls::{TlsClient, der, write_pair},
};

/// Starts the program with its log in a file.
fn start_with_log(arguments: &[&str], log: &Path) -> Program {
    let mut command = Command::new("sh");
    let script = format!("exec \"$0\" \"$@\" 2>>'{}'", log.display());
    command.args(["-c", &script, PATH]).args(arguments).args(["--listen", "127.0.0.1:0", "-v"]);
    start_command(&mut command)
}

/// Waits until the log has a line with all of these texts.
#[track_caller]
fn wait_for_line(log: &Path, texts: &[&str]) {
    let started = Instant::now();
    loop {
        let content = fs::read_to_string(log).unwrap();
        if content.lines().any(|line| texts.iter().all(|text| line.contains(text))) {
            return;
        }
        assert!(started.elapsed() < LONG, "{texts:?} is not in the log: {content}");
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
}

fn strs(options: &[String]) -> Vec<&str> {
    options.iter().map(String::as_str).collect()
}

#[test]
fn the_services_are_served_over_https_and_wss() {
    let folder = Folder::new("tls");
    let authority = Authority::new("test");
    let pair = authority.sign(&["localhost", "127.0.0.1"]);
    let options = write_pair(&pair, Path::new(folder.path()));
    let trust = Arc::new(authority.client());
    for (service, expected) in [
        (&["serve", "--data", ":memory:"][..], "chat at https://127.0.0.1:PORT/"),
        (&["echo"], "echo at https://127.0.0.1:PORT/ (page) and wss://127.0.0.1:PORT/"),
        (&["broadcast", "--to", "all"], "broadcast at https://127.0.0.1:PORT/ (page) and wss://127.0.0.1:PORT/"),
    ] {
        let program = start(&[service, &strs(&options)].concat());
        let address = program.address();
        assert_eq!(program.greeting, expected.replace("PORT", &address.port().to_string()));
        for name in ["localhost", "127.0.0.1"] {
            let mut client = TlsClient::connect(address, name, &trust).unwrap();
            assert_eq!(client.certificate(), der(&pair.chain));
            let answer = client.request("GET /", &["Host: localhost"], "");
            assert_eq!(answer.status, 200, "{service:?}");
        }
    }
    let echo = start(&[&["echo"], &*strs(&options)].concat());
    let mut client = TlsClient::connect(echo.address(), "localhost", &trust).unwrap();
    assert_eq!(client.open_websocket("/", &[]).status, 101);
    client.echo("encrypted");
}

#[test]
fn over_tls_the_chats_cookies_and_policy_are_those_of_https() {
    let folder = Folder::new("tls-chat");
    let authority = Authority::new("test");
    let options = write_pair(&authority.sign(&["localhost", "chat.example"]), Path::new(folder.path()));
    let trust = Arc::new(authority.client());
    let url = "https://chat.example";
    for (public, name, origin) in [(None, "localhost", "https://localhost"), (Some(url), "chat.example", url)] {
        let public: Vec<_> = public.iter().flat_map(|url| ["--public-url", url]).collect();
        let program = start(&[&["--data", ":memory:", "--guests"], &*public, &strs(&options)].concat());
        let mut client = TlsClient::connect(program.address(), name, &trust).unwrap();
        let host = format!("Host: {name}");
        let page = client.request("GET /", &[&host], "");
        let policy = page.header("Content-Security-Policy").expect("a policy");
        assert!(policy.contains(&format!("wss://{name}")) && !policy.contains("ws://"), "{policy}");
        let json = "Content-Type: application/json";
        let body = json!({"name": "Ada"}).to_string();
        for foreign in [format!("http://{name}"), "null".to_owned(), "https://evil.example".to_owned()] {
            let fields = [&*host, json, &format!("Origin: {foreign}")];
            assert_eq!(client.request("POST /api/guest", &fields, &body).status, 403, "{foreign}");
        }
        let origin = format!("Origin: {origin}");
        let answer = client.request("POST /api/guest", &[&host, json, &origin], &body);
        assert_eq!(answer.status, 201, "{answer:?}");
        let cookies: Vec<_> = answer.headers("Set-Cookie").collect();
        let cookie = cookies.iter().find(|cookie| cookie.starts_with("__Host-switchboard-session=")).unwrap();
        for attribute in ["Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.split("; ").any(|part| part == attribute), "{cookie}");
        }
        assert!(cookies.iter().all(|cookie| cookie.contains("; Secure") && !cookie.contains("Domain")), "{cookies:?}");
        let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
        for (origin, expected) in
            [(&*origin, 101), ("Origin: http://localhost", 403), ("Origin: http://chat.example", 403)]
        {
            let mut client = TlsClient::connect(program.address(), name, &trust).unwrap();
            let answer = client.open_websocket("/ws", &[origin, &cookie]);
            let expected = if name == "localhost" || origin.starts_with("Origin: http:") { expected } else { 101 };
            assert_eq!(answer.status, expected, "{origin} at {name}");
        }
    }
}

/// Another host of the domain, or a page without TLS, could have set it.
#[test]
fn a_cookie_of_http_does_not_count_over_https() {
    let folder = Folder::new("tls-switch");
    let (data, files) = (format!("{}/data", folder.path()), format!("{}/tls", folder.path()));
    let authority = Authority::new("test");
    let options = write_pair(&authority.sign(&["localhost"]), Path::new(&files));
    let trust = Arc::new(authority.client());
    let mut plain = start(&["--data", &data, "--workers", "1"]);
    let origin = format!("http://{}", plain.address());
    let account = json!({"name": "Ada", "password": "correct horse"}).to_string();
    let answer = request(plain.address(), "POST", "/api/register", &[AS_JSON, ("Origin", &origin)], &account);
    let cookie = answer.headers("Set-Cookie").find(|cookie| cookie.starts_with("switchboard-session=")).unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    plain.signal("TERM");
    plain.wait();

    let program = start(&[&["--data", &*data, "--workers", "1"], &*strs(&options)].concat());
    let mut client = TlsClient::connect(program.address(), "localhost", &trust).unwrap();
    for (prefix, name) in [("", None), ("__Secure-", None), ("__Host-", Some("Ada"))] {
        let cookie = format!("Cookie: {prefix}{cookie}");
        let answer = client.request("GET /api/session", &["Host: localhost", &cookie], "");
        assert_eq!(json_of(&answer)["you"]["name"].as_str(), name, "{prefix:?}");
    }
}

#[test]
fn a_client_gets_the_certificate_for_the_name_that_it_asks_for() {
    let folder = Folder::new("tls-names");
    let authority = Authority::new("test");
    let names = ["one.example", "two.example", "*.three.example"];
    let pairs = names.map(|name| authority.sign(&[name]));
    let options: Vec<_> = pairs
        .iter()
        .enumerate()
        .flat_map(|(at, pair)| write_pair(pair, &Path::new(folder.path()).join(at.to_string())))
        .collect();
    let program = start(&[&["echo"], &*strs(&options)].concat());
    let trust = Arc::new(authority.client());
    for (name, pair) in [("one.example", &pairs[0]), ("two.example", &pairs[1]), ("a.three.example", &pairs[2])] {
        let client = TlsClient::connect(program.address(), name, &trust).unwrap();
        assert_eq!(client.certificate(), der(&pair.chain), "{name}");
    }
    let error = TlsClient::connect(program.address(), "four.example", &trust).err().expect("the first one");
    assert!(error.to_string().contains("one.example"), "{error}");
}

#[test]
fn clients_without_a_certificate_or_with_an_old_version_are_refused() {
    let folder = Folder::new("tls-clients");
    let (authority, clients, others) = (Authority::new("servers"), Authority::new("clients"), Authority::new("others"));
    let options = write_pair(&authority.sign(&["localhost"]), Path::new(folder.path()));
    let ca = format!("{}/clients.pem", folder.path());
    fs::write(&ca, clients.pem()).unwrap();
    let own = ["--tls-client-ca", &ca, "--tls-min-version", "1.3"];
    let program = start(&[&["echo"], &*strs(&options), &own].concat());
    let (good, bad) = (clients.sign(&["ada"]), others.sign(&["eve"]));
    for (pair, version, expected) in
        [(Some(&good), &TLS13, true), (Some(&bad), &TLS13, false), (None, &TLS13, false), (Some(&good), &TLS12, false)]
    {
        let trust = Arc::new(authority.client_with(&[version], pair));
        // In TLS 1.3 a client learns of a refusal when it reads.
        let client = TlsClient::connect(program.address(), "localhost", &trust);
        assert_eq!(client.is_ok_and(|mut client| client.is_served()), expected, "{version:?}");
    }
}

#[test]
fn a_certificate_is_replaced_at_sighup_and_open_connections_live_on() {
    let folder = Folder::new("tls-reload");
    let files = Path::new(folder.path()).join("files");
    let log = Path::new(folder.path()).join("log");
    let authority = Authority::new("test");
    let trust = Arc::new(authority.client());
    let [first, second, third] = [(); 3].map(|()| authority.sign(&["localhost"]));
    let options = write_pair(&first, &files);
    let (certificate, key) = (&options[1], &options[3]);
    let program = start_with_log(&[&["echo", "--workers", "2"], &*strs(&options)].concat(), &log);
    let connect = || TlsClient::connect(program.address(), "localhost", &trust).unwrap();
    let mut open = connect();
    assert_eq!(open.open_websocket("/", &[]).status, 101);
    open.echo("before");

    write_pair(&second, &files);
    program.signal("HUP");
    wait_for_certificate(&connect, &second);
    wait_for_line(&log, &["INFO", certificate, "for localhost, valid until 4096-01-01"]);
    open.echo("after a new pair");

    let broken: [(&str, &str, &str); 3] =
        [(certificate, "rubbish", certificate), (key, "rubbish", key), (key, &first.key, key)];
    for (number, (file, content, named)) in broken.into_iter().enumerate() {
        write_pair(&second, &files);
        fs::write(file, content).unwrap();
        fs::write(&log, "").unwrap();
        program.signal("HUP");
        wait_for_line(&log, &["ERROR", "those in use remain", named]);
        assert_eq!(connect().certificate(), der(&second.chain), "{number}");
        open.echo("after a broken pair");
    }

    // As Kubernetes does it: the folder of both is one link.
    let data = Path::new(folder.path()).join("..data");
    let [one, two] = ["one", "two"].map(|name| Path::new(folder.path()).join(name));
    write_pair(&second, &one);
    write_pair(&third, &two);
    symlink("one", &data).unwrap();
    fs::remove_dir_all(&files).unwrap();
    symlink("..data", &files).unwrap();
    program.signal("HUP");
    wait_for_certificate(&connect, &second);
    let new = Path::new(folder.path()).join("new");
    symlink("two", &new).unwrap();
    fs::rename(&new, &data).unwrap();
    program.signal("HUP");
    wait_for_certificate(&connect, &third);
    open.echo("after a swap of links");
}

#[track_caller]
fn wait_for_certificate(connect: &impl Fn() -> TlsClient, pair: &Pem) {
    let started = Instant::now();
    while connect().certificate() != der(&pair.chain) {
        assert!(started.elapsed() < LONG, "the certificate is not replaced");
    }
}

#[test]
fn a_self_signed_certificate_is_kept_in_the_data_folder() {
    let folder = Folder::new("tls-self-signed");
    let data = format!("{}/data", folder.path());
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut program = start(&["--data", &data, "--tls-self-signed"]);
        assert!(program.greeting.starts_with("chat at https://127.0.0.1:"), "{}", program.greeting);
        let lines: Vec<_> =
            std::iter::from_fn(|| Some(program.next_line())).take_while(|line| line != "Ctrl-C stops it").collect();
        let file = format!("{data}/self-signed.pem");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let pem = fs::read_to_string(&file).unwrap();
        let trust = Arc::new(client_that_trusts(&pem));
        for name in ["localhost", "127.0.0.1"] {
            let client = TlsClient::connect(program.address(), name, &trust).unwrap();
            let print = sha256(&client.certificate());
            assert!(lines.iter().any(|line| line.contains(&print)), "{print} is not printed: {lines:?}");
            seen.push(print);
        }
        program.signal("TERM");
        program.wait();
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:?}");
    let echo = start(&["echo", "--tls-self-signed"]);
    assert!(echo.url().starts_with("wss://127.0.0.1:"));
    assert!(echo.next_line().contains("SHA-256"));
}

/// Returns the configuration of a client that trusts this certificate.
fn client_that_trusts(pem: &str) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(der(pem)).unwrap();
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

/// Returns the fingerprint of a certificate.
fn sha256(der: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(der).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

#[test]
fn hsts_is_sent_over_https_for_the_public_name_alone() {
    let folder = Folder::new("tls-hsts");
    let authority = Authority::new("test");
    let options = write_pair(&authority.sign(&["localhost", "chat.example"]), Path::new(folder.path()));
    let trust = Arc::new(authority.client());
    let field = "Strict-Transport-Security";
    let public = ["--data", ":memory:", "--public-url", "https://chat.example"];
    let redirect = ["--http-listen", "127.0.0.1:0"];
    for (hsts, expected) in [(&["--hsts"][..], "max-age=31536000"), (&["--hsts", "300"], "max-age=300")] {
        let program = start(&[&public, &*strs(&options), &redirect, hsts].concat());
        let mut client = TlsClient::connect(program.address(), "localhost", &trust).unwrap();
        for (path, host, has) in [
            ("/", "chat.example", true),
            ("/api/session", "chat.example", true),
            ("/nothing", "chat.example", true),
            ("/", "localhost", false),
            ("/", "127.0.0.1", false),
            ("/", "evil.example", false),
        ] {
            let answer = client.request(&format!("GET {path}"), &[&format!("Host: {host}")], "");
            assert_eq!(answer.header(field), has.then_some(expected), "{path} at {host}");
        }
        let line = program.next_line();
        let mut plain = Raw::connect(address_in(line.split_whitespace().next().unwrap()));
        plain.write("GET / HTTP/1.1\r\nHost: chat.example\r\n\r\n");
        let answer = plain.response();
        assert_eq!((answer.status, answer.header(field)), (308, None));
    }
    let program = start(&[&public, &*strs(&options)].concat());
    let mut client = TlsClient::connect(program.address(), "localhost", &trust).unwrap();
    assert_eq!(client.request("GET /", &["Host: chat.example"], "").header(field), None);
    // A proxy in front has TLS.
    let program = start(&[&public[..], &["--hsts"]].concat());
    for (host, expected) in [("chat.example", Some("max-age=31536000")), ("localhost", None)] {
        let mut raw = Raw::connect(program.address());
        raw.write(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(raw.response().header(field), expected, "{host}");
    }
}

#[test]
fn options_that_do_not_fit_are_exit_2_and_files_that_do_not_are_exit_1() {
    let folder = Folder::new("tls-options");
    let authority = Authority::new("test");
    let pair = authority.sign(&["localhost"]);
    let options = write_pair(&pair, Path::new(folder.path()));
    let [_, certificate, _, key] = options.each_ref().map(String::as_str);
    let other = format!("{}/other", folder.path());
    let other = write_pair(&authority.sign(&["localhost"]), Path::new(&other));
    let rows: [(&[&str], i32, &str); 16] = [
        (&["--tls-cert", certificate], 2, "each --tls-cert FILE needs a --tls-key FILE"),
        (&["--tls-key", key], 2, "each --tls-cert FILE needs a --tls-key FILE"),
        (&["--tls-self-signed", "--tls-cert", certificate, "--tls-key", key], 2, "leave out either"),
        (&["--tls-self-signed", "--listen", "0.0.0.0:0"], 2, "--listen 127.0.0.1:PORT"),
        (&["--tls-self-signed", "--hsts"], 2, "leave out either"),
        (&["--tls-client-ca", certificate], 2, "--tls-client-ca needs --tls-cert FILE --tls-key FILE"),
        (&["--tls-min-version", "1.2"], 2, "--tls-min-version needs --tls-cert FILE --tls-key FILE"),
        (&["--tls-min-version", "1.1"], 2, "1.2, 1.3"),
        (&["--hsts"], 2, "--hsts needs"),
        (&["--hsts", "soon"], 2, "--hsts"),
        (&["--tls-cert", "/nonexistent", "--tls-key", key], 1, "cannot read /nonexistent"),
        (&["--tls-cert", certificate, "--tls-key", "/nonexistent"], 1, "cannot read /nonexistent"),
        (&["--tls-cert", certificate, "--tls-key", folder.path()], 1, "it is not a file"),
        (&["--tls-cert", certificate, "--tls-key", &other[3]], 1, &other[3]),
        (&["--tls-cert", key, "--tls-key", key], 1, key),
        (&["--tls-cert", certificate, "--tls-key", key, "--tls-client-ca", key], 1, key),
    ];
    for (arguments, code, expected) in rows {
        for service in ["serve", "echo"] {
            let data: &[&str] = if service == "serve" { &["--data", ":memory:"] } else { &[] };
            let mut command = Command::new(PATH);
            let ended = program::run(command.arg(service).args(data).args(["--listen", "127.0.0.1:0"]).args(arguments));
            assert_eq!((ended.status.code(), &*ended.stdout), (Some(code), ""), "{arguments:?}: {ended:?}");
            assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {ended:?}");
            assert!(ended.stderr.contains(expected), "{arguments:?}: {ended:?}");
        }
    }
    let serve = ["serve", "--data", ":memory:", "--public-url", "http://chat.example"];
    let ended = program::run(Command::new(PATH).args(serve).args(&options));
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert!(ended.stderr.contains("--public-url https://chat.example"), "{ended:?}");
}

#[test]
fn a_certificate_that_ends_soon_is_warned_about_at_once() {
    let folder = Folder::new("tls-expiry");
    let log = Path::new(folder.path()).join("log");
    for (days, expected) in [(3, "expires in 2 days"), (-1, "expired on")] {
        let end = time::OffsetDateTime::now_utc() + time::Duration::days(days);
        let pair = Authority::new("test").sign_with(&["localhost"], |params| params.not_after = end);
        let options = write_pair(&pair, &Path::new(folder.path()).join(days.to_string()));
        let _program = start_with_log(&[&["echo"], &*strs(&options)].concat(), &log);
        wait_for_line(&log, &["WARN", &options[1], expected, "renew it"]);
    }
}

#[test]
fn a_key_that_everybody_can_read_is_warned_about() {
    let folder = Folder::new("tls-exposed");
    let options = write_pair(&Authority::new("test").sign(&["localhost"]), &Path::new(folder.path()).join("files"));
    for (mode, is_warned) in [(0o644, true), (0o640, false), (0o600, false)] {
        let log = Path::new(folder.path()).join(format!("log-{mode:o}"));
        fs::set_permissions(&options[3], fs::Permissions::from_mode(mode)).unwrap();
        let program = start_with_log(&[&["echo"], &*strs(&options)].concat(), &log);
        wait_for_line(&log, &["INFO", &options[1], "valid until"]);
        let content = fs::read_to_string(&log).unwrap();
        assert_eq!(content.contains("every user of this machine can read the key"), is_warned, "{mode:o}: {content}");
        drop(program);
    }
}
