//! Cookies of devices that have signed in before ([`DeviceKey`]).
//!
//! An attacker who guesses passwords from many addresses uses up the attempts that an account and its network have. A
//! device on which its user has signed in before has attempts of its own, and goes before strangers. The cookie does
//! not sign anybody in: the password is still needed. It ends with the account, and with a change of the password,
//! after which a session renews it for its own device. See OWASP, "Slow Down Online Guessing Attacks with Device
//! Cookies".

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

/// The cookie of a device: the time of its end, the device, a tag of the account and its password, and a tag of all
/// that and the key of the user's name, in base64url.
pub(super) struct DeviceCookie(String);

/// The contents of a cookie with the chat's own signature. It was valid once, but the account may be gone or have
/// another password: see [`DeviceKey::confirm`].
#[derive(Clone, Copy)]
pub(super) struct DeviceClaim {
    /// Milliseconds since 1970.
    expires: u64,
    device: Device,
    account_tag: [u8; ACCOUNT_TAG_BYTES],
}

/// An account with its current password.
#[derive(Clone, Copy)]
pub(super) struct DeviceAccount<'a> {
    /// The id of the user, which no other user ever has.
    pub(super) user: i64,
    pub(super) password_hash: &'a str,
}

impl Device {
    pub(super) fn random() -> Self {
        Self(random_bytes())
    }
}

impl DeviceCookie {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl DeviceClaim {
    pub(super) fn device(&self) -> Device {
        self.device
    }
}

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

    /// Returns the cookie of a device on which the user of an account has signed in, whose name has this key. It is
    /// valid until `expires`, in milliseconds since 1970.
    pub(super) fn issue(
        &self,
        name_key: &str,
        account: DeviceAccount<'_>,
        Device(device): Device,
        expires: u64,
    ) -> DeviceCookie {
        let account_tag = self.account_mac(account).finalize().into_bytes();
        let signed = [&expires.to_be_bytes(), device.as_slice(), &account_tag[..ACCOUNT_TAG_BYTES]].concat();
        let tag = self.mac(&signed, name_key).finalize().into_bytes();
        DeviceCookie(BASE64_URL_SAFE_NO_PAD.encode([signed.as_slice(), &tag].concat()))
    }

    /// Returns what a cookie says, if its signature is valid for the user whose name has this key.
    pub(super) fn verify(&self, cookie: &str, name_key: &str) -> Option<DeviceClaim> {
        // Longer ones are not decoded.
        if cookie.len() > MAX_COOKIE_CHARS {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let (signed, tag) = bytes.split_at_checked(SIGNED_BYTES)?;
        self.mac(signed, name_key).verify_slice(tag).ok()?;
        let (expires, rest) = signed.split_first_chunk()?;
        let (device, account_tag) = rest.split_first_chunk()?;
        let expires = u64::from_be_bytes(*expires);
        Some(DeviceClaim { expires, device: Device(*device), account_tag: account_tag.try_into().ok()? })
    }

    /// Returns the device of a claim, if it is still valid at `now`, in milliseconds since 1970: for this account,
    /// since its password was last changed.
    pub(super) fn confirm(&self, claim: &DeviceClaim, account: DeviceAccount<'_>, now: u64) -> Option<Device> {
        self.account_mac(account).verify_truncated_left(&claim.account_tag).ok()?;
        (now < claim.expires).then_some(claim.device)
    }

    fn mac(&self, signed: &[u8], name_key: &str) -> Hmac<Sha256> {
        let mut mac = self.empty_mac(b"cookie ");
        mac.update(signed);
        mac.update(name_key.as_bytes());
        mac
    }

    fn account_mac(&self, DeviceAccount { user, password_hash }: DeviceAccount<'_>) -> Hmac<Sha256> {
        let mut mac = self.empty_mac(b"account ");
        mac.update(&user.to_be_bytes());
        mac.update(password_hash.as_bytes());
        mac
    }

    /// Returns the MAC of a text that begins with its `purpose`, so that no tag is valid for another purpose.
    fn empty_mac(&self, purpose: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::new_from_slice(self.0.as_slice()).expect("every length is a key");
        mac.update(purpose);
        mac
    }
}

/// Does not reveal the key.
impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey(..)")
    }
}

/// Does not reveal the cookie.
impl fmt::Debug for DeviceCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceCookie(..)")
    }
}

/// How long a cookie is valid: 90 days, in seconds.
pub(super) const DEVICE_SECONDS: u64 = 90 * 24 * 60 * 60;
/// Length of the tag of the account and its password.
const ACCOUNT_TAG_BYTES: usize = 16;
/// The time of the end, the device, and the tag of the account.
const SIGNED_BYTES: usize = 8 + 16 + ACCOUNT_TAG_BYTES;
/// Those and the tag of 32 bytes, as base64url.
const MAX_COOKIE_CHARS: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: DeviceAccount<'_> =
        DeviceAccount { user: 7, password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA" };

    #[test]
    fn a_cookie_is_valid_for_one_name_and_cannot_be_changed() {
        let key = DeviceKey::random();
        let device = Device::random();
        let cookie = key.issue("ada", ADA, device, 1000);
        let cookie = cookie.as_str();
        assert_eq!(cookie.len(), MAX_COOKIE_CHARS);
        assert_eq!(key.verify(cookie, "ada").expect("a valid cookie").device(), device);
        assert_ne!(Device::random(), device, "each device is another");
        let is_valid = |key: &DeviceKey, cookie: &str, name: &str| key.verify(cookie, name).is_some();
        assert!(is_valid(&DeviceKey::parse(&key.to_text()).unwrap(), cookie, "ada"), "after a restart");
        assert!(!is_valid(&key, cookie, "adam"), "another user");
        assert!(!is_valid(&key, cookie, ""));
        assert!(!is_valid(&DeviceKey::random(), cookie, "ada"), "another key");
        for position in 0..cookie.len() {
            let mut changed = cookie.to_owned().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(!is_valid(&key, &changed, "ada"), "position {position}");
        }
        for cut in 0..cookie.len() {
            assert!(!is_valid(&key, &cookie[..cut], "ada"), "{cut} characters");
        }
        assert!(!is_valid(&key, &format!("{cookie}A"), "ada"));
        assert!(!is_valid(&key, &"é".repeat(1000), "ada"));
    }

    #[test]
    fn a_cookie_is_valid_for_one_account_and_password_until_its_end() {
        let key = DeviceKey::random();
        let device = Device::random();
        let claim = key.verify(key.issue("ada", ADA, device, 1000).as_str(), "ada").unwrap();
        assert_eq!(key.confirm(&claim, ADA, 999), Some(device));
        assert_eq!(key.confirm(&claim, ADA, 1000), None, "its time is over");
        assert_eq!(key.confirm(&claim, DeviceAccount { user: 8, ..ADA }, 0), None, "another account of the same name");
        let other_password = DeviceAccount { password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaB", ..ADA };
        assert_eq!(key.confirm(&claim, other_password, 0), None, "another password");
        assert_eq!(DeviceKey::random().confirm(&claim, ADA, 0), None, "another key");
        let again = key.verify(key.issue("ada", ADA, device, 2000).as_str(), "ada").unwrap();
        assert_eq!(key.confirm(&again, ADA, 1999), Some(device), "the same device, with a later end");
    }
}
