//! Dates and times, in UTC.

use thalweg_base::Timestamp;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A date and time of the proleptic Gregorian calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// The year.
    pub year: i64,
    /// The month, from 1.
    pub month: i64,
    /// The day of the month, from 1.
    pub day: i64,
    /// Milliseconds since midnight.
    pub ms_of_day: i64,
}

impl Date {
    /// The date of a timestamp.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        // Days since 0000-03-01, in eras of 400 years.
        let days = at.0.div_euclid(DAY_MS) + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted + 2) / 5 + 1,
            ms_of_day: at.0.rem_euclid(DAY_MS),
        }
    }

    /// The timestamp of this date.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        let year = self.year - i64::from(self.month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let shifted = if self.month > 2 { self.month - 3 } else { self.month + 9 };
        let day_of_year = (153 * shifted + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Timestamp((era * 146_097 + day_of_era - 719_468) * DAY_MS + self.ms_of_day)
    }

    /// Hours, minutes, seconds and milliseconds.
    #[must_use]
    pub fn clock(self) -> [i64; 4] {
        let seconds = self.ms_of_day / 1000;
        [seconds / 3600, seconds / 60 % 60, seconds % 60, self.ms_of_day % 1000]
    }
}

/// A time by a pattern of Java's `SimpleDateFormat`: numbers of `y`, `M`, `d`, `H`, `m`, `s` and `S`, as wide at least as the
/// letter is repeated; quoted text, and everything else, stands for itself.
#[must_use]
pub fn formatted(pattern: &str, at: Timestamp) -> String {
    let date = Date::of(at);
    let [hour, minute, second, ms] = date.clock();
    let mut text = String::new();
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        let number = match letter {
            'y' => date.year,
            'M' => date.month,
            'd' => date.day,
            'H' => hour,
            'm' => minute,
            's' => second,
            'S' => ms,
            '\'' => {
                text.extend(letters.by_ref().take_while(|letter| *letter != '\''));
                continue;
            }
            other => {
                text.push(other);
                continue;
            }
        };
        let mut width = 1;
        while letters.next_if_eq(&letter).is_some() {
            width += 1;
        }
        let number = if letter == 'y' && width == 2 { number % 100 } else { number };
        text += &format!("{number:0width$}");
    }
    text
}

/// As in Kafka's logs: `2026-11-30 06:27:00,123`.
#[must_use]
pub fn log_time(at: Timestamp) -> String {
    let date = Date::of(at);
    let [hour, minute, second, ms] = date.clock();
    format!("{:04}-{:02}-{:02} {hour:02}:{minute:02}:{second:02},{ms:03}", date.year, date.month, date.day)
}

/// Reads `YYYY-MM-DDTHH:mm:ss.SSS`, with `Z` or a difference to UTC such as `+0200` behind it if it is not in UTC.
///
/// # Errors
/// What Java says of another text.
pub fn parse_iso(text: &str) -> Result<Timestamp, String> {
    let unparseable = || format!("Unparseable date: \"{text}\"");
    let (day, clock) = text
        .split_once('T')
        .ok_or_else(|| "Error parsing timestamp. It does not contain a 'T' according to ISO8601 format".to_owned())?;
    let (clock, offset_ms) = match clock.find(['Z', '+', '-']) {
        Some(at) => (&clock[..at], zone_ms(&clock[at..]).ok_or_else(unparseable)?),
        None => (clock, 0),
    };
    let numbers = |text: &str, between: char| {
        text.split(between).map(|part| part.parse::<i64>().ok()).collect::<Option<Vec<_>>>()
    };
    let day = numbers(day, '-').ok_or_else(unparseable)?;
    let (time, ms) = clock.split_once('.').unwrap_or((clock, "0"));
    let time = numbers(time, ':').ok_or_else(unparseable)?;
    let ms: i64 = ms.parse().map_err(|_| unparseable())?;
    let ([year, month, day], [hour, minute, second]) = (&day[..], &time[..]) else { return Err(unparseable()) };
    let ms_of_day = ((hour * 60 + minute) * 60 + second) * 1000 + ms;
    let date = Date { year: *year, month: *month, day: *day, ms_of_day };
    Ok(Timestamp(date.timestamp().0 - offset_ms))
}

fn zone_ms(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    let minutes = match digits.len() {
        2 => digits.parse::<i64>().ok()? * 60,
        4 => digits[..2].parse::<i64>().ok()? * 60 + digits[2..].parse::<i64>().ok()?,
        _ => return None,
    };
    Some(sign * minutes * 60_000)
}

/// Reads `PnDTnHnMn.nS` as milliseconds.
#[must_use]
pub fn parse_duration_ms(text: &str) -> Option<i64> {
    let upper = text.to_ascii_uppercase();
    let (sign, rest) = upper.strip_prefix('-').map_or((1.0, &*upper), |rest| (-1.0, rest));
    let rest = rest.strip_prefix('P')?;
    let (days, time) = rest.split_once('T').unwrap_or((rest, ""));
    let mut ms = 0.0;
    for (part, units) in
        [(days, &[('D', 86_400_000.0)][..]), (time, &[('H', 3_600_000.0), ('M', 60_000.0), ('S', 1000.0)])]
    {
        let mut part = part;
        for (unit, factor) in units {
            if let Some((number, after)) = part.split_once(*unit) {
                ms += number.parse::<f64>().ok()? * factor;
                part = after;
            }
        }
        if !part.is_empty() {
            return None;
        }
    }
    let is_empty = rest.is_empty() || rest.ends_with('T');
    // A duration of more than 300 million years saturates.
    (!is_empty).then_some((sign * ms) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_back() {
        assert_eq!(log_time(Timestamp(0)), "1970-01-01 00:00:00,000");
        assert_eq!(log_time(Timestamp(951_827_696_789)), "2000-02-29 12:34:56,789");
        for ms in [-1, 0, 951_827_696_789, 1_796_020_000_123, 253_402_300_799_999] {
            assert_eq!(Date::of(Timestamp(ms)).timestamp(), Timestamp(ms));
        }
    }

    #[test]
    fn a_pattern_of_java_says_how_a_time_is_written() {
        let at = Date { year: 2026, month: 3, day: 7, ms_of_day: 3_723_004 }.timestamp();
        assert_eq!(formatted("yyyy-MM-dd HH:mm:ss:SSS", at), "2026-03-07 01:02:03:004");
        assert_eq!(formatted("d.M.yy 'at' H", at), "7.3.26 at 1");
    }
}
