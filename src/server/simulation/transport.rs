//! What a client sends and receives through: TCP, with TLS or without.

use std::io;

use crate::reactor::simulated::Peer;

/// A client's end of a connection.
pub(super) struct Transport {
    pub(super) peer: Peer,
    #[cfg(feature = "tls")]
    tls: Option<tls::Session>,
}

impl Transport {
    pub(super) fn plain(peer: Peer) -> Self {
        Self {
            peer,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return tls.read(&self.peer, buffer);
        }
        self.peer.read(buffer)
    }

    /// Writes what the network takes. TLS takes everything, and writes it as the network allows.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return tls.write(&self.peer, bytes);
        }
        self.peer.write(bytes)
    }

    /// Writes what TLS itself has to send. Returns whether the network has taken all bytes, and whether it took any
    /// now.
    pub(super) fn flush(&mut self) -> (bool, bool) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return tls.flush(&self.peer);
        }
        (true, false)
    }

    /// Ends the client's side, of TLS too if `in_order`.
    #[cfg_attr(not(feature = "tls"), expect(unused_variables))]
    pub(super) fn shutdown_write(&mut self, in_order: bool) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls
            && in_order
        {
            tls.close(&self.peer);
        }
        self.peer.shutdown_write();
    }
}

#[cfg(feature = "tls")]
pub(super) mod tls {
    use std::{
        io::{ErrorKind, Read as _, Write as _},
        sync::{Arc, LazyLock},
    };

    use rustls::{
        ClientConfig, ClientConnection, RootCertStore,
        crypto::{CryptoProvider, aws_lc_rs},
        pki_types::{CertificateDer, pem::PemObject},
    };

    use super::*;
    use crate::TlsConfig;

    impl Transport {
        pub(crate) fn secure(peer: Peer) -> Self {
            let name = "simulated".try_into().expect("a name");
            let connection = ClientConnection::new(Arc::clone(&CLIENT), name).expect("a client");
            Self { peer, tls: Some(Session { connection, in_clear: Vec::new() }) }
        }
    }

    /// TLS of a client.
    pub(super) struct Session {
        connection: ClientConnection,
        /// Plaintext that was decrypted and not read.
        in_clear: Vec<u8>,
    }

    impl Session {
        pub(super) fn read(&mut self, peer: &Peer, buffer: &mut [u8]) -> io::Result<usize> {
            let mut ended = false;
            while self.in_clear.is_empty() && !ended {
                let mut ciphertext = vec![0; buffer.len()];
                let count = match peer.read(&mut ciphertext) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.flush(peer);
                        return Err(error);
                    }
                    read => read?,
                };
                ended = count == 0;
                let mut ciphertext = &ciphertext[..count];
                while !ciphertext.is_empty() {
                    self.connection.read_tls(&mut ciphertext).expect("a slice can be read");
                    let state = self.connection.process_new_packets().expect("the server keeps the rules of TLS");
                    let start = self.in_clear.len();
                    self.in_clear.resize(start + state.plaintext_bytes_to_read(), 0);
                    self.connection.reader().read_exact(&mut self.in_clear[start..]).expect("it is there");
                    if state.peer_has_closed() {
                        break;
                    }
                }
            }
            let count = self.in_clear.len().min(buffer.len());
            buffer[..count].copy_from_slice(&self.in_clear[..count]);
            self.in_clear.drain(..count);
            self.flush(peer);
            Ok(count)
        }

        pub(super) fn write(&mut self, peer: &Peer, bytes: &[u8]) -> io::Result<usize> {
            self.connection.set_buffer_limit(None);
            self.connection.writer().write_all(bytes).expect("there is no limit");
            self.flush(peer);
            Ok(bytes.len())
        }

        pub(super) fn flush(&mut self, peer: &Peer) -> (bool, bool) {
            let mut wrote = false;
            while self.connection.wants_write() {
                struct Writer<'a>(&'a Peer);
                impl io::Write for Writer<'_> {
                    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                        self.0.write(bytes)
                    }

                    fn flush(&mut self) -> io::Result<()> {
                        Ok(())
                    }
                }
                match self.connection.write_tls(&mut Writer(peer)) {
                    Ok(_) => wrote = true,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return (false, wrote),
                    Err(_) => return (true, wrote), // reading reports the error
                }
            }
            // Before the handshake is complete, what is written waits inside.
            (!self.connection.is_handshaking(), wrote)
        }

        pub(super) fn close(&mut self, peer: &Peer) {
            self.connection.send_close_notify();
            self.flush(peer);
        }
    }

    /// The configuration of a simulated server. Its signatures, and so its handshakes, always have the same length.
    pub(crate) fn server() -> TlsConfig {
        static SERVER: LazyLock<TlsConfig> = LazyLock::new(|| {
            let builder = TlsConfig::builder().certificate(CERTIFICATE.as_bytes(), KEY.as_bytes());
            builder.and_then(|builder| builder.build()).expect("the certificate is valid")
        });
        SERVER.clone()
    }

    static CLIENT: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).expect("a certificate");
        roots.add(certificate).expect("an authority");
        // The quickest key exchange.
        let kx_groups = vec![aws_lc_rs::kx_group::X25519];
        let provider = CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() };
        let builder = ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions();
        let mut config = builder.expect("the versions").with_root_certificates(roots).with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        Arc::new(config)
    });

    /// Made for these tests alone, for the host `simulated`, and for a thousand years.
    const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBPjCB8aADAgECAgEBMAUGAytlcDAUMRIwEAYDVQQDDAlzaW11bGF0ZWQwIBcN\n\
MjYxMTI4MTExMTMzWhgPMzAyNjAzMzExMTExMzNaMBQxEjAQBgNVBAMMCXNpbXVs\n\
YXRlZDAqMAUGAytlcAMhAGfATRJWtI/8OUlfqIuSdSSoXWAHbRx4zNheujTKmsZq\n\
o2YwZDAdBgNVHQ4EFgQU0t21cDaa1P5Pqdb8BN4Yk/IkMJUwHwYDVR0jBBgwFoAU\n\
0t21cDaa1P5Pqdb8BN4Yk/IkMJUwFAYDVR0RBA0wC4IJc2ltdWxhdGVkMAwGA1Ud\n\
EwEB/wQCMAAwBQYDK2VwA0EAZ9snMevvzG4oozMzFIrbD8PZBAQKtLvbGHJ84WrS\n\
Pj3aZOnx/BQCMda9subtOmsG3bN1nQHI0gOqGrzSdXVHDQ==\n\
-----END CERTIFICATE-----\n";
    const KEY: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MC4CAQAwBQYDK2VwBCIEIGLYJWbx1DWd3bpmlPJ8w2N46fusA6VgbpvZ0fQXm6S8\n\
-----END PRIVATE KEY-----\n";
}
