//! The proleptic Gregorian calendar, as far as printing a date needs it.

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SECONDS_PER_DAY: i64 = 86_400;

struct Civil {
    year: i64,
    month: i64,
    day: i64,
}

/// Days since the epoch to a calendar day, counting years from March so that the leap day comes last.
fn civil(days: i64) -> Civil {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Civil { year, month, day }
}

fn name<'a>(names: &[&'a str], index: i64) -> &'a str {
    usize::try_from(index).ok().and_then(|index| names.get(index)).copied().expect("a remainder is in range")
}

pub(crate) fn rfc5322(secs: i64) -> String {
    let days = secs.div_euclid(SECONDS_PER_DAY);
    let rest = secs.rem_euclid(SECONDS_PER_DAY);
    let Civil { year, month, day } = civil(days);
    format!(
        "{}, {day} {} {year:04} {:02}:{:02}:{:02} +0000",
        name(&DAYS, days.rem_euclid(7)),
        name(&MONTHS, month - 1),
        rest / 3600,
        rest / 60 % 60,
        rest % 60,
    )
}

pub(crate) fn rfc3339(micros: i64) -> String {
    let secs = micros.div_euclid(1_000_000);
    let rest = secs.rem_euclid(SECONDS_PER_DAY);
    let Civil { year, month, day } = civil(secs.div_euclid(SECONDS_PER_DAY));
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60,
        micros.rem_euclid(1_000_000),
    )
}

/// Days since the epoch of a calendar day: the inverse of [`civil`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let year_of_era = year.rem_euclid(400);
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Microseconds since the epoch of a time as [`rfc3339`] prints it: UTC, ending in `Z`, the fraction optional.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z')?;
    let (whole, fraction) = match text.split_once('.') {
        None => (text, 0),
        Some((whole, digits)) => {
            let sound = (1..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            (whole, sound.then(|| format!("{digits:0<6}").parse::<i64>().ok())??)
        }
    };
    let number = |range: std::ops::Range<usize>| {
        let digits = whole.get(range).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse::<i64>().ok()
    };
    let separators = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")];
    if whole.len() != 19 || !separators.iter().all(|(at, separator)| whole.get(*at..*at + 1) == Some(*separator)) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let since_epoch = days(year, month, day);
    let Civil { month: real_month, day: real_day, .. } = civil(since_epoch);
    let exists = (1..=12).contains(&month) && (real_month, real_day) == (month, day);
    let sound = exists && hour < 24 && minute < 60 && second < 60;
    sound.then(|| (since_epoch * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second) * 1_000_000 + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(rfc5322(0), "Thu, 1 Jan 1970 00:00:00 +0000");
        assert_eq!(rfc5322(1_795_508_169), "Tue, 24 Nov 2026 08:16:09 +0000");
        assert_eq!(rfc5322(951_782_400), "Tue, 29 Feb 2000 00:00:00 +0000");
        assert_eq!(rfc5322(-1), "Wed, 31 Dec 1969 23:59:59 +0000");
        assert_eq!(rfc3339(1_709_164_800_000_001), "2024-02-29T00:00:00.000001Z");
    }

    #[test]
    fn what_is_printed_is_read_again() {
        for micros in
            [0, 1, -1, 1_709_164_800_000_001, 1_795_508_169_123_456, 951_782_400_000_000, -62_135_596_800_000_000]
        {
            assert_eq!(parse_rfc3339(&rfc3339(micros)), Some(micros), "{}", rfc3339(micros));
        }
        assert_eq!(parse_rfc3339("2026-11-24T08:16:09Z"), Some(1_795_508_169_000_000));
        assert_eq!(parse_rfc3339("2026-11-24T08:16:09.5Z"), Some(1_795_508_169_500_000));
        for bad in [
            "",
            "Z",
            "2026-11-24",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567Z",
            "2026-01-01 00:00:00Z",
            "+026-01-01T00:00:00Z",
            "2026-00-10T00:00:00Z",
        ] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }
}
