//! A tunnel through an HTTP proxy: the method CONNECT ([RFC 9110 §9.3.6]), with Basic authentication ([RFC 7617]).
//!
//! CONNECT is used for `ws` as well as for `wss`: only a tunnel keeps proxies from changing the handshake.
//!
//! [RFC 9110 §9.3.6]: https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6
//! [RFC 7617]: https://www.rfc-editor.org/rfc/rfc7617

use std::io::BufRead;

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{Credentials, Destination, ProxyError, failed};
use crate::{
    HeadLimits, ResponseHead, ResponseReader,
    client::{ClientError, deadline::Deadline, stream::Stream},
};

/// Asks for a tunnel to `destination`, and reads the head of the response. Bytes after it stay unread in `stream`.
///
/// # Errors
/// [`ClientError::Proxy`], or [`ClientError::Timeout`] of [`Stage::Proxy`](crate::client::Stage::Proxy).
pub(super) fn connect(
    stream: &mut Stream,
    destination: Destination<'_>,
    credentials: Option<&Credentials>,
    limits: HeadLimits,
    deadline: Deadline,
) -> Result<(), ClientError> {
    stream.write_all(request(destination, credentials).as_bytes(), deadline).map_err(failed)?;
    let mut reader = stream.reader(deadline);
    let mut head = ResponseReader::new(limits);
    for _ in 0..=MAX_INTERIM {
        let response = loop {
            let bytes = reader.fill_buf().map_err(failed)?;
            let length = bytes.len();
            if length == 0 {
                return Err(ProxyError::Disconnected.into());
            }
            match head.receive(bytes).map_err(ProxyError::Head)? {
                Some((response, used)) => {
                    reader.consume(used);
                    break response;
                }
                None => reader.consume(length),
            }
        };
        if let Some(verdict) = judge(&response, credentials.is_some()) {
            return verdict.map_err(ClientError::from);
        }
    }
    Err(ProxyError::Protocol("it sent too many interim responses").into())
}

fn request(Destination { host, port }: Destination<'_>, credentials: Option<&Credentials>) -> String {
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    if let Some(Credentials { user, password }) = credentials {
        let basic = BASE64_STANDARD.encode([user.as_slice(), b":", password].concat());
        request.push_str(&format!("Proxy-Authorization: Basic {basic}\r\n"));
    }
    request.push_str("\r\n");
    request
}

/// Returns what a response means, or `None` if it is an interim one. The body of a success would be bytes of the
/// tunnel, whatever its head says of a length.
fn judge(response: &ResponseHead, has_credentials: bool) -> Option<Result<(), ProxyError>> {
    match response.status() {
        100 | 102..=199 => None,
        200..=299 => Some(Ok(())),
        407 if has_credentials => Some(Err(ProxyError::CredentialsRefused)),
        407 => Some(Err(ProxyError::CredentialsRequired)),
        status => Some(Err(ProxyError::Status(status))),
    }
}

/// How many interim responses (1xx) are skipped, as before the server's own response.
const MAX_INTERIM: u8 = 8;
