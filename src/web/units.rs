//! Numbers with their units, as pages write them.

pub use crate::domain::text::{percent, thousands as count};

/// Milliseconds with at most three digits that mean something: `4.1 ms`, `391 ms`, `2.6 s`, `2 min 5 s`.
pub fn latency(milliseconds: f64) -> String {
    if milliseconds < 9.95 {
        format!("{milliseconds:.1} ms")
    } else if milliseconds < 999.5 {
        format!("{milliseconds:.0} ms")
    } else if milliseconds < 59_950.0 {
        format!("{:.1} s", milliseconds / 1e3)
    } else {
        crate::domain::time::words(std::time::Duration::from_secs_f64((milliseconds / 1e3).min(1e9)))
    }
}

/// Bytes with three digits at the most: `912 B`, `12.3 MiB`.
pub fn bytes(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let Some((unit, power)) = units.into_iter().find(|(_, power)| bytes >> power > 0) else {
        return format!("{bytes} B");
    };
    let amount = bytes as f64 / (1_u64 << power) as f64;
    if amount < 99.95 { format!("{amount:.1} {unit}") } else { format!("{} {unit}", count(bytes >> power)) }
}

/// `1 probe`, `12 probes`.
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// Names as a sentence has them: `a`, `a and b`, `a, b and c`, `a, b, c and 4 more`.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    /// How many names are written out.
    const SHOWN_MAX: usize = 3;
    let names: Vec<_> = names.into_iter().collect();
    match names.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] if names.len() <= SHOWN_MAX => format!("{} and {last}", first.join(", ")),
        _ => format!("{} and {} more", names[..SHOWN_MAX].join(", "), names.len() - SHOWN_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_have_units() {
        for (milliseconds, text) in [
            (0.04, "0.0 ms"),
            (4.12, "4.1 ms"),
            (9.96, "10 ms"),
            (391.4, "391 ms"),
            (999.7, "1.0 s"),
            (2_640.0, "2.6 s"),
            (125_000.0, "2 min 5 s"),
        ] {
            assert_eq!(latency(milliseconds), text);
        }
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([counted(1, "probe"), counted(2_000, "probe")], ["1 probe", "2,000 probes"]);
    }

    #[test]
    fn bytes_have_the_unit_that_fits() {
        let told = [0, 912, 1_024, 12_900_000, 152_000_000, 9_000_000_000_000].map(bytes);
        assert_eq!(told, ["0 B", "912 B", "1.0 KiB", "12.3 MiB", "144 MiB", "8,381 GiB"]);
    }

    #[test]
    fn long_lists_end_in_a_number() {
        assert_eq!(list(["a"]), "a");
        assert_eq!(list(["a", "b", "c"]), "a, b and c");
        assert_eq!(list(["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }
}
