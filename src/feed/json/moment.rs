//! Points in time as STIX writes them (STIX 2.1 §2.16, RFC 3339 §5.6).

pub(super) use super::super::indicator::MICROS_PER_SEC;

/// Microseconds since 1970, what is finer left out and what is earlier taken as 0; `None` if `text` is no RFC 3339 date and time.
pub(super) fn micros_since_1970(text: &str) -> Option<u64> {
    let mut rest = text.as_bytes();
    let year = digits(&mut rest, 4)?;
    octet(&mut rest, b"-")?;
    let month = digits(&mut rest, 2).filter(|month| (1..=12).contains(month))?;
    octet(&mut rest, b"-")?;
    let day = digits(&mut rest, 2).filter(|day| (1..=31).contains(day))?;
    octet(&mut rest, b"Tt")?;
    let hour = digits(&mut rest, 2).filter(|&hour| hour < 24)?;
    octet(&mut rest, b":")?;
    let minute = digits(&mut rest, 2).filter(|&minute| minute < 60)?;
    octet(&mut rest, b":")?;
    // RFC 3339 §5.7: a leap second is the sixtieth.
    let second = digits(&mut rest, 2).filter(|&second| second <= 60)?;
    let micros = fraction(&mut rest)?;
    let ahead = offset_secs(&mut rest)?;
    if !rest.is_empty() || day > days_of(year, month) {
        return None;
    }
    let secs = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - ahead;
    Some(u64::try_from(secs).map_or(0, |secs| secs * MICROS_PER_SEC + micros))
}

/// Takes one of these octets.
fn octet(rest: &mut &[u8], of: &[u8]) -> Option<u8> {
    let (first, tail) = rest.split_first()?;
    *rest = tail;
    of.contains(first).then_some(*first)
}

/// Takes a number of exactly `count` digits.
fn digits(rest: &mut &[u8], count: usize) -> Option<i64> {
    (0..count).try_fold(0, |number, _| Some(number * 10 + i64::from(octet(rest, b"0123456789")? - b'0')))
}

/// Takes the fraction of a second, which may be left out, as microseconds.
fn fraction(rest: &mut &[u8]) -> Option<u64> {
    if rest.first() != Some(&b'.') {
        return Some(0);
    }
    let (mut micros, mut unit, mut tail) = (0, MICROS_PER_SEC, rest.get(1..)?);
    let count = tail.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let digits = tail.split_off(..count).filter(|digits| !digits.is_empty())?;
    for digit in digits {
        unit /= 10;
        micros += unit * u64::from(digit - b'0');
    }
    *rest = tail;
    Some(micros)
}

/// Takes `Z`, `+hh:mm` or `-hh:mm`, as seconds ahead of UTC.
fn offset_secs(rest: &mut &[u8]) -> Option<i64> {
    let sign = match octet(rest, b"Zz+-")? {
        b'+' => 1,
        b'-' => -1,
        _ => return Some(0),
    };
    let hours = digits(rest, 2).filter(|&hours| hours < 24)?;
    octet(rest, b":")?;
    let minutes = digits(rest, 2).filter(|&minutes| minutes < 60)?;
    Some(sign * (hours * 3600 + minutes * 60))
}

/// Days of a month.
const fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01, negative before. Years are counted from March, so that a leap day is the last of its year.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    // Months from March on have 153 days in every five.
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    // 719,468 days from 0000-03-01 to 1970-01-01.
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_that_other_programs_count_alike() {
        // `date -u -d TEXT +%s`
        for (text, want) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01T00:00:00.000001Z", Some(1)),
            ("1969-12-31T23:59:59Z", Some(0)),
            ("0001-01-01T00:00:00Z", Some(0)),
            ("0000-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T00:00:00Z", Some(951_782_400_000_000)),
            ("2021-07-18T00:00:00.123456789Z", Some(1_626_566_400_123_456)),
            ("2024-02-29T12:34:56.5Z", Some(1_709_210_096_500_000)),
            ("2024-12-31t23:59:60z", Some(1_735_689_600_000_000)),
            ("2025-01-01T02:00:00+02:00", Some(1_735_689_600_000_000)),
            ("2024-12-31T18:30:00-05:30", Some(1_735_689_600_000_000)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400_000_000)),
            ("9999-12-31T23:59:59.999Z", Some(253_402_300_799_999_000)),
            ("", None),
            ("2021-07-18", None),
            ("2021-07-18T00:00:00", None),
            ("2021-07-18 00:00:00Z", None),
            ("2021-07-18T00:00:00.Z", None),
            ("2021-07-18T00:00:00ZZ", None),
            ("2021-07-18T00:00Z", None),
            ("2021-7-18T00:00:00Z", None),
            ("2021-02-29T00:00:00Z", None),
            ("1900-02-29T00:00:00Z", None),
            ("2021-04-31T00:00:00Z", None),
            ("2021-13-01T00:00:00Z", None),
            ("2021-00-01T00:00:00Z", None),
            ("2021-01-00T00:00:00Z", None),
            ("2021-01-01T24:00:00Z", None),
            ("2021-01-01T00:60:00Z", None),
            ("2021-01-01T00:00:61Z", None),
            ("2021-01-01T00:00:00+24:00", None),
            ("2021-01-01T00:00:00+0200", None),
            ("+021-01-01T00:00:00Z", None),
            ("12021-01-01T00:00:00Z", None),
            ("٢٠٢١-01-01T00:00:00Z", None),
        ] {
            assert_eq!(micros_since_1970(text), want, "{text}");
        }
    }
}
