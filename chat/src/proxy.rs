//! The client's address, also behind reverse proxies.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
};

use switchboard::{IpNet, RequestHead, client_address};

/// Returns the client's address ([`client_address`]). Tells the operator of a trusted proxy that names no client.
pub(super) fn address_of(head: &RequestHead, peer: IpAddr, proxies: &[IpNet]) -> IpAddr {
    let address = client_address(head, peer, proxies);
    if proxies.iter().any(|proxy| proxy.contains(&address)) && !HAS_WARNED.swap(true, Ordering::Relaxed) {
        log::warn!(
            "the trusted proxy {address} names no client in X-Forwarded-For: all of its clients count as one for \
             log-ins, and their connections are not limited; let it add the field"
        );
    }
    address
}

/// Whether a proxy that names no client has been logged. Once is enough: the proxy has to be configured.
static HAS_WARNED: AtomicBool = AtomicBool::new(false);
