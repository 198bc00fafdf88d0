//! Numbers for readers: about three significant digits, and a unit if it varies.

/// Formats a plain number: `0.63`, `7.9`, `70`, `1,171`.
#[must_use]
pub fn plain(value: f64) -> String {
    match value.abs() {
        ..0.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => grouped(value),
    }
}

/// Formats a ratio: `1.05`, `0.06`, `12.4`.
#[must_use]
pub fn ratio(value: f64) -> String {
    if value < 9.995 { format!("{value:.2}") } else { plain(value) }
}

/// Formats a time in nanoseconds: `7.9 ns`, `47 µs`, `1.2 ms`.
#[must_use]
pub fn nanoseconds(value: f64) -> String {
    scaled(value, 1000.0, &["ns", "µs", "ms", "s"])
}

/// Formats a rate per second: `178 k`, `5.4 M`.
#[must_use]
pub fn per_second(value: f64) -> String {
    scaled(value, 1000.0, &["", "k", "M", "G"])
}

/// Formats a size in bytes: `200 B`, `61.9 KiB`.
#[must_use]
pub fn bytes(value: f64) -> String {
    scaled(value, 1024.0, &["B", "KiB", "MiB", "GiB"])
}

/// Formats a fraction: `4 %`.
#[must_use]
pub fn percent(value: f64) -> String {
    format!("{:.0} %", value * 100.0)
}

/// Formats `value` in the largest unit in which it is at least one.
fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while value.abs() >= step - 0.5 && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let number = match value.abs() {
        ..9.95 if value.fract() != 0.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    };
    format!("{number} {}", units[unit]).trim_end().to_owned()
}

/// Formats a whole number with a comma before every three digits.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_about_three_digits_and_a_unit() {
        for (value, shown) in [(0.631, "0.63"), (7.94, "7.9"), (69.6, "69.6"), (1171.2, "1,171"), (1e6, "1,000,000")] {
            assert_eq!(plain(value), shown);
        }
        for (value, shown) in [(0.5, "0.5 ns"), (81_300.0, "81 µs"), (1_234_000.0, "1.2 ms"), (999.7, "1.0 µs")] {
            assert_eq!(nanoseconds(value), shown);
        }
        assert_eq!((per_second(178_345.0), per_second(5_430_000.0)), ("178 k".into(), "5.4 M".into()));
        assert_eq!((bytes(200.0), bytes(1024.0)), ("200 B".into(), "1 KiB".into()));
        assert_eq!((ratio(1.049), ratio(12.36), percent(0.043)), ("1.05".into(), "12.4".into(), "4 %".into()));
    }
}
