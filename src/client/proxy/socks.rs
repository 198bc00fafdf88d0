//! A tunnel through a SOCKS5 proxy ([RFC 1928]), with a user name and a password ([RFC 1929]).
//!
//! [RFC 1928]: https://www.rfc-editor.org/rfc/rfc1928
//! [RFC 1929]: https://www.rfc-editor.org/rfc/rfc1929

use std::{io::Read, net::IpAddr};

use super::{Credentials, Destination, INVALID_CREDENTIALS, ProxyError, failed};
use crate::client::{ClientError, deadline::Deadline, stream::Stream};

/// Asks for a tunnel to `destination`, whose name the proxy resolves. Bytes after its reply stay unread in `stream`.
///
/// # Errors
/// [`ClientError::Proxy`], or [`ClientError::Timeout`] of [`Stage::Proxy`](crate::client::Stage::Proxy).
pub(super) fn connect(
    stream: &mut Stream,
    destination: Destination<'_>,
    credentials: Option<&Credentials>,
    deadline: Deadline,
) -> Result<(), ClientError> {
    let mut socks = Socks { stream, deadline };
    // RFC 1928 §3: the methods that the client offers.
    let methods: &[u8] =
        if credentials.is_some() { &[NO_AUTHENTICATION, USER_AND_PASSWORD] } else { &[NO_AUTHENTICATION] };
    socks.write(&[&[VERSION, length_byte(methods)?], methods].concat())?;
    let [version, method] = socks.read()?;
    if version != VERSION {
        return Err(ProxyError::Protocol("it does not speak SOCKS5").into());
    }
    match (method, credentials) {
        (NO_AUTHENTICATION, _) => {}
        (USER_AND_PASSWORD, Some(credentials)) => socks.authenticate(credentials)?,
        (NO_METHOD, None) => return Err(ProxyError::CredentialsRequired.into()),
        (NO_METHOD, Some(_)) => return Err(ProxyError::CredentialsRefused.into()),
        _ => return Err(ProxyError::Protocol("it chose an authentication that was not offered").into()),
    }
    socks.request(destination)
}

/// The conversation with the proxy.
struct Socks<'a> {
    stream: &'a mut Stream,
    deadline: Deadline,
}

impl Socks<'_> {
    /// RFC 1929 §2.
    fn authenticate(&mut self, Credentials { user, password }: &Credentials) -> Result<(), ClientError> {
        let lengths = [length_byte(user)?, length_byte(password)?];
        self.write(&[&[1, lengths[0]], user.as_slice(), &[lengths[1]], password].concat())?;
        match self.read()? {
            [1, 0] => Ok(()),
            [1, _] => Err(ProxyError::CredentialsRefused.into()),
            _ => Err(ProxyError::Protocol("its answer to the password has an unknown version").into()),
        }
    }

    /// RFC 1928 §4 to §6: the command CONNECT and its reply.
    fn request(&mut self, Destination { host, port }: Destination<'_>) -> Result<(), ClientError> {
        let mut request = vec![VERSION, 1, 0];
        match host.parse() {
            Ok(IpAddr::V4(address)) => {
                request.push(IPV4);
                request.extend_from_slice(&address.octets());
            }
            Ok(IpAddr::V6(address)) => {
                request.push(IPV6);
                request.extend_from_slice(&address.octets());
            }
            Err(_) => {
                let length = u8::try_from(host.len()).map_err(|_| ProxyError::Protocol("it takes no name so long"))?;
                request.extend_from_slice(&[NAME, length]);
                request.extend_from_slice(host.as_bytes());
            }
        }
        request.extend_from_slice(&port.to_be_bytes());
        self.write(&request)?;

        // A refusal is judged by these two bytes alone: some proxies send no more.
        match self.read()? {
            [VERSION, 0] => {}
            [VERSION, code] => return Err(ProxyError::Socks(code).into()),
            _ => return Err(ProxyError::Protocol("its reply has another version").into()),
        }
        // The address at which the proxy connects from has no meaning for the client.
        match self.read()? {
            [0, IPV4] => drop(self.read::<4>()?),
            [0, IPV6] => drop(self.read::<16>()?),
            [0, NAME] => {
                let [length] = self.read()?;
                for _ in 0..length {
                    self.read::<1>()?;
                }
            }
            _ => return Err(ProxyError::Protocol("its reply has an unknown type of address").into()),
        }
        self.read::<2>()?;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.stream.write_all(bytes, self.deadline).map_err(failed)
    }

    fn read<const N: usize>(&mut self) -> Result<[u8; N], ClientError> {
        let mut bytes = [0; N];
        self.stream.reader(self.deadline).read_exact(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }
}

fn length_byte(bytes: &[u8]) -> Result<u8, ProxyError> {
    u8::try_from(bytes.len()).map_err(|_| ProxyError::Url(INVALID_CREDENTIALS))
}

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xFF;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
