//! Additional header fields of the request, some of which are credentials.

use std::fmt;

/// Header fields in their order. `Debug` leaves the values of credentials out.
#[derive(Clone, Default)]
pub(super) struct Headers(Vec<(String, String)>);

impl Headers {
    pub(super) fn push(&mut self, name: String, value: String) {
        self.0.push((name, value));
    }

    /// Returns all fields, or all except credentials.
    pub(super) fn fields(&self, with_credentials: bool) -> Vec<(&str, &str)> {
        let wanted = self.0.iter().filter(|(name, _)| with_credentials || !is_credential(name));
        wanted.map(|(name, value)| (&**name, &**value)).collect()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|(name, value)| (name, if is_credential(name) { HIDDEN } else { value }));
        f.debug_list().entries(shown).finish()
    }
}

/// Returns whether the value of this field proves who the client is to one server, and must reach no other.
fn is_credential(name: &str) -> bool {
    ["Authorization", "Cookie", "Proxy-Authorization"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// What `Debug` shows instead of a credential.
pub(super) const HIDDEN: &str = "(hidden)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_left_out_where_they_do_not_belong() {
        let mut headers = Headers::default();
        let fields = [
            ("Authorization", "Bearer secret"),
            ("cookie", "secret=1"),
            ("PROXY-AUTHORIZATION", "Basic secret"),
            ("X-Authorization", "kept"),
            ("Cookies", "kept"),
        ];
        for (name, value) in fields {
            headers.push(name.to_owned(), value.to_owned());
        }
        assert_eq!(headers.fields(true), fields);
        assert_eq!(headers.fields(false), fields[3..]);
        let shown = format!("{headers:?} {headers:#?}");
        assert!(!shown.contains("secret") && shown.contains("kept") && shown.contains("Authorization"), "{shown}");
    }
}
