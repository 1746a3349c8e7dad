//! Small texts: times, sizes, numbers and parts of addresses.

use std::fmt::Write as _;

/// A time as ISO 8601 with milliseconds in UTC, from milliseconds since 1970; times out of the calendar's reach are the number.
pub(crate) fn time(ms: i64) -> String {
    /// The first milliseconds of the years 0 and 10000.
    const CALENDAR: std::ops::Range<i64> = -62_167_219_200_000..253_402_300_800_000;
    if !CALENDAR.contains(&ms) {
        return ms.to_string();
    }
    let (days, of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hours, minutes) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (seconds, millis) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}

/// The day of the Gregorian calendar so many days after 1970-01-01, by counting from a first of March in eras of 400 years.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Milliseconds since 1970 of a time such as `2026-11-30`, `2026-11-30T10:05`, `2026-11-30 10:05:00.123` or one of these with a
/// `Z` behind it, in UTC; a whole number stands for itself.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(ms) = text.parse::<i64>() {
        return Some(ms);
    }
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, clock) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(0..10_000).contains(&year) {
        return None;
    }
    let (clock, millis) = clock.split_once('.').unwrap_or((clock, "0"));
    let millis: i64 = format!("{millis:0<3}").get(..3)?.parse().ok()?;
    let mut clock = clock.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let (hours, minutes, seconds) =
        (clock.next()??, clock.next().unwrap_or(Some(0))?, clock.next().unwrap_or(Some(0))?);
    if !(0..24).contains(&hours) || !(0..60).contains(&minutes) || !(0..61).contains(&seconds) {
        return None;
    }
    Some(days_of(year, month, day) * 86_400_000 + hours * 3_600_000 + minutes * 60_000 + seconds * 1000 + millis)
}

/// The days from 1970-01-01 to a day of the Gregorian calendar.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A size in bytes with a unit.
pub(crate) fn size(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value.abs() >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A whole number with a comma before each three digits.
pub(crate) fn number(number: impl Into<i64>) -> String {
    let number: i64 = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        out.push('-');
    }
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of things, with a comma before each three digits.
pub(crate) fn count(things: usize) -> String {
    number(i64::try_from(things).unwrap_or(i64::MAX))
}

/// Numbers with commas between, in their order.
pub(crate) fn listed(ids: &[i32]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.join(", ")
}

/// Numbers in rising order with neighbours together, such as `0-3, 5`.
pub(crate) fn ranges(ids: &[i32]) -> String {
    let mut parts: Vec<(i32, i32)> = Vec::new();
    for id in ids {
        match parts.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*id) => *last = *id,
            _ => parts.push((*id, *id)),
        }
    }
    let text = |(first, last): &(i32, i32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let parts: Vec<String> = parts.iter().map(text).collect();
    parts.join(", ")
}

/// Numbers with commas between, and with a dash from one to another, such as `0-3, 5`; `None` if the text is none of these, or
/// names more than `count_max` of them.
pub(crate) fn parse_ranges(text: &str, count_max: usize) -> Option<Vec<i32>> {
    let mut ids = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (i32, i32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first < 0 || last < first || usize::try_from(last - first).ok()? + ids.len() >= count_max {
            return None;
        }
        ids.extend(first..=last);
    }
    Some(ids)
}

/// A duration such as `P1DT2H`, `PT30M`, `90s`, `15m`, `2h` or `7d`, in milliseconds; `None` of another text.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let text = text.trim().to_ascii_uppercase();
    let unit = |letter: char, in_time: bool| match (letter, in_time) {
        ('D', false) => Some(86_400_000),
        ('H', true) => Some(3_600_000),
        ('M', true) => Some(60_000),
        ('S', true) => Some(1000),
        _ => None,
    };
    let (text, is_iso) = text.strip_prefix('P').map_or((text.as_str(), false), |rest| (rest, true));
    let (mut ms, mut digits, mut in_time) = (0_i64, String::new(), false);
    for letter in text.chars() {
        match letter {
            '0'..='9' => digits.push(letter),
            'T' if is_iso && digits.is_empty() && !in_time => in_time = true,
            letter => {
                let factor = unit(letter, in_time || (!is_iso && letter != 'D'))?;
                ms = ms.checked_add(digits.parse::<i64>().ok()?.checked_mul(factor)?)?;
                digits.clear();
            }
        }
    }
    (digits.is_empty() && ms > 0).then_some(ms)
}

/// A name as one part of an address, or as a value of its query: everything but letters, digits and `-._~` is encoded.
pub(crate) fn part(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A word of a shell's command line, in quotes unless it needs none.
pub(crate) fn shell(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:,/=@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_687_500_123, "2026-11-26T10:05:00.123Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(time(ms), text);
            assert_eq!(parse_time(text), Some(ms));
        }
        assert_eq!(time(i64::MAX), i64::MAX.to_string());
        assert_eq!(parse_time("1970-01-02"), Some(86_400_000));
        assert_eq!(parse_time("1970-01-01 01:00"), Some(3_600_000));
        assert_eq!(parse_time("17"), Some(17));
        for wrong in ["", "soon", "1970-13-01", "1970-01-01T25:00", "1970-01-01T00:00:00.é", "99999-01-01"] {
            assert_eq!(parse_time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_become_parts_of_addresses_and_words_of_command_lines() {
        assert_eq!(part("a b/ü\"<"), "a%20b%2F%C3%BC%22%3C");
        assert_eq!(shell("orders-1"), "orders-1");
        assert_eq!(shell("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(shell(""), "''");
    }

    #[test]
    fn partitions_and_durations_are_typed_as_people_do() {
        assert_eq!((ranges(&[0, 1, 2, 5]), ranges(&[])), ("0-2, 5".to_owned(), String::new()));
        assert_eq!(parse_ranges("0-2, 5", 4), Some(vec![0, 1, 2, 5]));
        for wrong in ["", "x", "3-1", "-1", "0-2147483647", "0-2, 5, 6"] {
            assert_eq!(parse_ranges(wrong, 4), None, "{wrong}");
        }
        for (text, ms) in [("P1DT2H", 93_600_000), ("PT30M", 1_800_000), ("90s", 90_000), ("7d", 604_800_000)] {
            assert_eq!(parse_duration(text), Some(ms), "{text}");
        }
        for wrong in ["", "5", "P", "PT", "P1M", "1x", "99999999999999999d", "P1D2H"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_and_sizes_are_readable() {
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(number(-999), "-999");
        assert_eq!(count(1000), "1,000");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KB");
    }
}
