//! The date that chat templates ask for.

use std::time::{SystemTime, UNIX_EPOCH};

/// The date and the time of now in UTC, in a format of C's `strftime` with numbers only.
///
/// # Errors
/// When the format asks for something else.
pub(super) fn strftime_now(format: &str) -> Result<String, String> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    strftime(format, seconds)
}

/// `seconds` are those since the beginning of 1970.
fn strftime(format: &str, seconds: u64) -> Result<String, String> {
    let (year, month, day) = date(seconds / 86400);
    let mut text = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        match letters.next() {
            Some('Y') => text += &year.to_string(),
            Some('m') => text += &format!("{month:02}"),
            Some('d') => text += &format!("{day:02}"),
            Some('H') => text += &format!("{:02}", seconds / 3600 % 24),
            Some('M') => text += &format!("{:02}", seconds / 60 % 60),
            Some('S') => text += &format!("{:02}", seconds % 60),
            Some('%') => text.push('%'),
            _ => {
                return Err(format!(
                    "the date format `{format}` is not supported; %Y, %m, %d, %H, %M and %S are"
                ));
            }
        }
    }
    Ok(text)
}

/// Year, month and day of this many days after the beginning of 1970.
fn date(mut days: u64) -> (u64, u64, u64) {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month as u64 + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let format = "%Y-%m-%d %H:%M:%S %%";
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 %"),
            (951_782_400, "2000-02-29 00:00:00 %"),
            (1_735_689_599, "2024-12-31 23:59:59 %"),
            (4_107_542_400, "2100-03-01 00:00:00 %"),
        ] {
            assert_eq!(strftime(format, seconds).unwrap(), text);
        }
        assert!(strftime("%B", 0).unwrap_err().contains("%B"));
        assert!(strftime("%", 0).is_err());
    }
}
