//! How long to wait for a server, according to the environment.

use std::fmt;
use std::time::Duration;

/// The default of `huggingface_hub`.
const DEFAULT: Duration = Duration::from_secs(10);
/// Longer than anyone waits, and short enough for the clocks of all systems.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a server may stay silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeout {
    variable: &'static str,
    pub(super) length: Duration,
}

impl Timeout {
    /// The time-out from the environment variable `variable`, whose `value` is a number of seconds.
    pub(super) fn new(variable: &'static str, value: Option<&str>) -> Result<Self, String> {
        let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else {
            return Ok(Self { variable, length: DEFAULT });
        };
        let length = match value.parse::<f64>() {
            Ok(seconds) if seconds > 0.0 => {
                Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST)
            }
            _ => return Err(format!("{variable} is `{value}`, which is not a positive number of seconds")),
        };
        // Half a nanosecond rounds to 0, which some systems treat as no time-out.
        Ok(Self { variable, length: length.max(Duration::from_millis(1)) })
    }
}

/// The time, and the variable that sets it.
impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s ({} sets this time)", self.length.as_secs_f64(), self.variable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VARIABLE: &str = "HF_HUB_ETAG_TIMEOUT";

    #[test]
    fn seconds_may_be_whole_fractional_or_missing() {
        for (value, seconds) in
            [(None, 10.0), (Some(""), 10.0), (Some("3"), 3.0), (Some(" 0.5 "), 0.5), (Some("1e300"), 86400.0)]
        {
            assert_eq!(Timeout::new(VARIABLE, value).unwrap().length.as_secs_f64(), seconds, "{value:?}");
        }
    }

    #[test]
    fn an_invalid_time_is_named_with_its_variable() {
        for value in ["0", "-1", "soon", "10s", "nan"] {
            let error = Timeout::new(VARIABLE, Some(value)).unwrap_err();
            assert!(error.contains(VARIABLE) && error.contains(&format!("`{value}`")), "{error}");
        }
    }
}
