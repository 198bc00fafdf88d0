//! Cookies of devices that have signed in before ([`DeviceKey`]).
//!
//! Whoever guesses passwords from many addresses uses up the attempts that an account and its network have. A device on
//! which its user has signed in before has attempts of its own, and goes before strangers. The cookie does not sign
//! anybody in: the password is still needed. See OWASP, "Slow Down Online Guessing Attacks with Device Cookies".

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::token::random_bytes;

/// The key that signs the cookies, the same after a restart.
#[derive(Clone)]
pub(super) struct DeviceKey(Zeroizing<[u8; 32]>);

/// A device on which a user has signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Device([u8; 16]);

impl DeviceKey {
    pub(super) fn random() -> Self {
        Self(Zeroizing::new(random_bytes()))
    }

    /// Parses the form in which the key is stored.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?);
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }

    /// Returns the form in which the key is stored.
    pub(super) fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(self.0.as_slice()))
    }

    /// Returns the cookie for a new device of the user whose name has this key. It is valid until `expires`, in seconds
    /// since 1970.
    pub(super) fn issue(&self, name_key: &str, expires: u64) -> String {
        let signed = [expires.to_be_bytes().as_slice(), &random_bytes::<16>()].concat();
        let tag = self.mac(&signed, name_key).finalize().into_bytes();
        BASE64_URL_SAFE_NO_PAD.encode([signed.as_slice(), &tag].concat())
    }

    /// Returns the device of a cookie, if the cookie is valid at `now`, in seconds since 1970, for the user whose name
    /// has this key.
    pub(super) fn verify(&self, cookie: &str, name_key: &str, now: u64) -> Option<Device> {
        // Longer ones are not decoded.
        if cookie.len() > MAX_COOKIE_CHARS {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let (signed, tag) = bytes.split_at_checked(SIGNED_BYTES)?;
        self.mac(signed, name_key).verify_slice(tag).ok()?;
        let (expires, device) = signed.split_first_chunk()?;
        (now < u64::from_be_bytes(*expires)).then_some(Device(device.try_into().ok()?))
    }

    fn mac(&self, signed: &[u8], name_key: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::new_from_slice(self.0.as_slice()).expect("every length is a key");
        mac.update(signed);
        mac.update(name_key.as_bytes());
        mac
    }
}

/// Does not reveal the key.
impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey(..)")
    }
}

/// How long a cookie is valid: 90 days, in seconds.
pub(super) const DEVICE_SECONDS: u64 = 90 * 24 * 60 * 60;
/// The time of the end, and the device.
const SIGNED_BYTES: usize = 8 + 16;
/// Those and the tag of 32 bytes, as base64url.
const MAX_COOKIE_CHARS: usize = 75;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_valid_for_one_user_until_its_end_and_cannot_be_changed() {
        let key = DeviceKey::random();
        let cookie = key.issue("ada", 1000);
        assert_eq!(cookie.len(), MAX_COOKIE_CHARS);
        let device = key.verify(&cookie, "ada", 999).expect("a valid cookie");
        assert_eq!(
            DeviceKey::parse(&key.to_text()).unwrap().verify(&cookie, "ada", 0),
            Some(device),
            "after a restart"
        );
        assert_ne!(key.verify(&key.issue("ada", 1000), "ada", 0), Some(device), "each device is another");
        assert_eq!(key.verify(&cookie, "ada", 1000), None, "its time is over");
        assert_eq!(key.verify(&cookie, "adam", 0), None, "another user");
        assert_eq!(key.verify(&cookie, "", 0), None);
        assert_eq!(DeviceKey::random().verify(&cookie, "ada", 0), None, "another key");
        for position in 0..cookie.len() {
            let mut changed = cookie.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(key.verify(&changed, "ada", 0), None, "position {position}");
        }
        for cut in 0..cookie.len() {
            assert_eq!(key.verify(&cookie[..cut], "ada", 0), None, "{cut} characters");
        }
        assert_eq!(key.verify(&format!("{cookie}A"), "ada", 0), None);
        assert_eq!(key.verify(&"é".repeat(1000), "ada", 0), None);
    }
}
