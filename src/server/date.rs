//! The Date of responses ([RFC 9110 §6.6.1]).
//!
//! [RFC 9110 §6.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use httpdate::HttpDate;

/// The value of Date, formatted once a second.
#[derive(Debug)]
pub(super) struct Date {
    /// Returns the time of the wall clock. Nothing else in the server depends on that.
    clock: fn() -> SystemTime,
    /// The second since 1970 that `text` says.
    second: Option<u64>,
    text: String,
}

impl Date {
    pub(super) fn new(clock: fn() -> SystemTime) -> Self {
        Self { clock, second: None, text: String::new() }
    }

    /// Returns the value for a response that is sent now. Returns `None` if the clock is before 1970 or after 9999, so
    /// that it is certainly wrong: a server without a clock must not send a Date.
    pub(super) fn now(&mut self) -> Option<&str> {
        let second = (self.clock)().duration_since(UNIX_EPOCH).ok()?.as_secs();
        if second >= START_OF_10000 {
            return None;
        }
        if self.second != Some(second) {
            self.second = Some(second);
            self.text.clear();
            // Writing to a String does not fail.
            let _ = write!(self.text, "{}", HttpDate::from(UNIX_EPOCH + Duration::from_secs(second)));
        }
        Some(&self.text)
    }
}

/// The first second of the year 10000, since 1970.
const START_OF_10000: u64 = 253_402_300_800;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static NOW: Cell<SystemTime> = const { Cell::new(UNIX_EPOCH) };
    }

    fn date() -> Date {
        Date::new(|| NOW.get())
    }

    #[test]
    fn a_date_has_the_form_of_rfc_9110() {
        let rows = [
            (0, Some("Thu, 01 Jan 1970 00:00:00 GMT")),
            (784_111_777, Some("Sun, 06 Nov 1994 08:49:37 GMT")),
            (951_782_399, Some("Mon, 28 Feb 2000 23:59:59 GMT")),
            (951_782_400, Some("Tue, 29 Feb 2000 00:00:00 GMT")),
            (START_OF_10000 - 1, Some("Fri, 31 Dec 9999 23:59:59 GMT")),
            (START_OF_10000, None),
            (1 << 50, None),
        ];
        let mut kept = date();
        for (second, expected) in rows {
            NOW.set(UNIX_EPOCH + Duration::from_secs(second));
            assert_eq!((date().now(), kept.now()), (expected, expected), "{second}");
        }
        NOW.set(UNIX_EPOCH - Duration::from_nanos(1));
        assert_eq!(date().now(), None);
    }

    #[test]
    fn a_date_is_formatted_once_a_second_also_if_the_clock_is_set_back() {
        let mut date = date();
        for (millis, is_formatted) in [(5000, true), (5000, false), (5999, false), (6000, true), (5999, true)] {
            NOW.set(UNIX_EPOCH + Duration::from_millis(millis));
            date.text = "as before".to_owned();
            assert_eq!(date.now() != Some("as before"), is_formatted, "{millis}");
        }
    }
}
