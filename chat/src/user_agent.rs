//! The program and the system in the `User-Agent` of a client, for the list of a user's sessions ([`UserAgent`]).
//!
//! The field says what its sender likes, and browsers name others for old sites. So the names shown are those of the
//! tables below and no others, and the order of the tables counts.

/// The program with which a user has signed in, and its system: names from a table, or `None` if they are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UserAgent {
    pub(super) program: Option<&'static str>,
    pub(super) system: Option<&'static str>,
}

impl UserAgent {
    /// A client that gets its token in a response, so no browser.
    pub(super) const APP: Self = Self { program: Some(APP), system: None };

    /// Reads the first 512 bytes of the field.
    pub(super) fn parse(field: &[u8]) -> Self {
        let text = String::from_utf8_lossy(field.get(..MAX_BYTES).unwrap_or(field));
        let find =
            |table: &[(&str, &'static str)]| table.iter().find(|(mark, _)| text.contains(mark)).map(|&(_, name)| name);
        Self { program: find(PROGRAMS), system: find(SYSTEMS) }
    }

    /// Returns the client with these stored names. A name that is in no table, from a newer version, is not known.
    pub(super) fn from_names(program: Option<&str>, system: Option<&str>) -> Self {
        let find = |table: &[(&str, &'static str)], stored: Option<&str>| {
            table.iter().map(|&(_, name)| name).find(|&name| Some(name) == stored)
        };
        let program = if program == Some(APP) { Some(APP) } else { find(PROGRAMS, program) };
        Self { program, system: find(SYSTEMS, system) }
    }
}

/// The name of programs that are no browsers.
const APP: &str = "app";
/// Bytes of a field that are read. Those of browsers have at most 300.
const MAX_BYTES: usize = 512;

/// What a browser's field contains, and the browser's name. Each stands before those that it pretends to be.
const PROGRAMS: &[(&str, &str)] = &[
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("OPiOS/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("MicroMessenger/", "WeChat"),
    ("QQBrowser/", "QQ Browser"),
    ("UCBrowser/", "UC Browser"),
    ("HuaweiBrowser/", "Huawei Browser"),
    ("MiuiBrowser/", "Mi Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Ddg/", "DuckDuckGo"),
    ("Epiphany/", "GNOME Web"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// What the field contains on a system, and the system's name. An iPad says that it is a Mac, unless its user has asked
/// for sites as on a phone.
const SYSTEMS: &[(&str, &str)] = &[
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("HarmonyOS", "HarmonyOS"),
    ("OpenHarmony", "HarmonyOS"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
    ("FreeBSD", "FreeBSD"),
    ("OpenBSD", "OpenBSD"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_recognised_behind_the_names_of_others() {
        let rows = [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox", "Linux"),
            ("Mozilla/5.0 (Android 14; Mobile; rv:128.0) Gecko/128.0 Firefox/128.0", "Firefox", "Android"),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                FxiOS/128.0 Mobile/15E148 Safari/605.1.15",
                "Firefox",
                "iOS",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 \
                Safari/537.36",
                "Chrome",
                "Windows",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 \
                Safari/537.36",
                "Chrome",
                "Linux",
            ),
            (
                "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 \
                Safari/537.36",
                "Chrome",
                "ChromeOS",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 \
                Safari/537.36 Edg/126.0.0.0",
                "Edge",
                "Windows",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 \
                Chrome/121.0.0.0 Mobile Safari/537.36",
                "Samsung Internet",
                "Android",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                Version/17.5 Safari/605.1.15",
                "Safari",
                "macOS",
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 \
                Mobile/15E148 Safari/604.1",
                "Safari",
                "iPadOS",
            ),
        ];
        for (field, program, system) in rows {
            let expected = UserAgent { program: Some(program), system: Some(system) };
            assert_eq!(UserAgent::parse(field.as_bytes()), expected, "{field}");
        }
    }

    #[test]
    fn nothing_of_a_hostile_field_is_kept() {
        let unknown = UserAgent::default();
        assert_eq!(UserAgent::parse(b""), unknown);
        assert_eq!(UserAgent::parse(b"curl/8.5.0"), unknown);
        assert_eq!(UserAgent::parse(b"<b>\xff\x00\x1b[2J"), unknown);
        let late = [&[b'x'; MAX_BYTES][..], b"Firefox/128.0"].concat();
        assert_eq!(UserAgent::parse(&late), unknown, "only the beginning is read");
        let cut = "é".repeat(MAX_BYTES);
        assert_eq!(UserAgent::parse(&cut.as_bytes()[1..]), unknown, "cut inside a character");
        assert_eq!(UserAgent::parse(b"app"), unknown);
    }

    #[test]
    fn each_name_is_found_again_after_it_was_stored() {
        for &(mark, name) in PROGRAMS {
            let parsed = UserAgent::parse(mark.as_bytes());
            assert_eq!(parsed.program, Some(name));
            assert_eq!(UserAgent::from_names(parsed.program, parsed.system), parsed);
        }
        for &(mark, name) in SYSTEMS {
            let parsed = UserAgent::parse(mark.as_bytes());
            assert_eq!(parsed.system, Some(name), "{mark}");
            assert_eq!(UserAgent::from_names(parsed.program, parsed.system), parsed);
        }
        assert_eq!(UserAgent::from_names(Some("app"), None), UserAgent::APP);
        assert_eq!(UserAgent::from_names(Some("Netscape"), Some("app")), UserAgent::default());
    }
}
