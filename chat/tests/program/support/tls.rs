//! Certificates in files, and a client of HTTP and WebSocket over TLS.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    net::SocketAddr,
    path::Path,
    sync::Arc,
};

use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use switchboard_tests::{
    server::{HttpResponse, OPENING, frame},
    tls::{Pem, Secure, connect, read_frame, read_head},
};

/// Writes a certificate and its key to files in a folder, and returns the options that name them.
pub(crate) fn write_pair(pair: &Pem, folder: &Path) -> [String; 4] {
    fs::create_dir_all(folder).unwrap();
    let [certificate, key] = ["fullchain.pem", "privkey.pem"].map(|name| folder.join(name));
    fs::write(&certificate, &pair.chain).unwrap();
    fs::write(&key, &pair.key).unwrap();
    let [certificate, key] = [certificate, key].map(|path| path.to_str().expect("a path in UTF-8").to_owned());
    ["--tls-cert".to_owned(), certificate, "--tls-key".to_owned(), key]
}

/// Returns the first certificate of a chain as it is sent.
pub(crate) fn der(chain: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()
}

/// An encrypted connection.
pub(crate) struct TlsClient(Secure);

impl TlsClient {
    /// Connects and completes the handshake.
    pub(crate) fn connect(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> io::Result<Self> {
        connect(address, config, name).map(Self)
    }

    /// Returns the server's certificate.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.0.conn.peer_certificates().expect("the handshake is complete")[0].clone().into_owned()
    }

    /// Sends a request with these lines after its first one, and returns the response.
    pub(crate) fn request(&mut self, first: &str, fields: &[&str], body: &str) -> HttpResponse {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let length = body.len();
        self.write(&format!("{first} HTTP/1.1\r\n{fields}Content-Length: {length}\r\n\r\n{body}"));
        self.response()
    }

    /// Sends a request, and returns whether there is any response.
    pub(crate) fn is_served(&mut self) -> bool {
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        self.0.write_all(request).and_then(|()| self.0.read_exact(&mut [0])).is_ok()
    }

    /// Opens a WebSocket at this path, with these additional lines.
    pub(crate) fn open_websocket(&mut self, path: &str, fields: &[&str]) -> HttpResponse {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        self.write(&OPENING.replace("GET /", &format!("GET {path}")).replace("Upgrade: w", &(fields + "Upgrade: w")));
        self.response()
    }

    /// Sends a text to an echo server, and asserts that it comes back.
    #[track_caller]
    pub(crate) fn echo(&mut self, text: &str) {
        self.0.write_all(&frame(0x81, text.as_bytes())).unwrap();
        assert_eq!(read_frame(&mut self.0), (0x81, text.as_bytes().to_vec()));
    }

    fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    fn response(&mut self) -> HttpResponse {
        let head = read_head(&mut self.0);
        let status = head.split(' ').nth(1).expect("a status line").parse().unwrap();
        let mut response = HttpResponse { status, head, body: Vec::new() };
        let length = response.header("Content-Length").map_or(0, |length| length.parse().unwrap());
        response.body = vec![0; length];
        self.0.read_exact(&mut response.body).unwrap();
        response
    }
}
