//! Values of options that clap does not know.

use std::path::Path;

use bytesize::ByteSize;
use oxidiff::{ControlPreprocessor, FreeU, IpAdapterScale};

use crate::arguments::Lora;

pub(crate) fn whole_number(value: &str) -> Result<usize, String> {
    value.parse().map_err(|_| "must be a whole number from 0".to_owned())
}

pub(crate) fn number(value: &str) -> Result<f64, String> {
    value.parse().map_err(|_| "must be a number".to_owned())
}

pub(crate) fn at_least_one(value: &str) -> Result<usize, String> {
    at_most(usize::MAX, value)
}

/// A whole number from 1 to `most`.
pub(crate) fn at_most(most: usize, value: &str) -> Result<usize, String> {
    let message = || format!("must be a whole number from 1 to {most}");
    value.parse().ok().filter(|number| (1..=most).contains(number)).ok_or_else(message)
}

/// A number of bytes with a unit, such as 12GiB or 800 MB.
pub(crate) fn size_of_memory(value: &str) -> Result<u64, String> {
    match value.parse() {
        Ok(ByteSize(bytes)) if bytes > 0 => Ok(bytes),
        _ => Err("must be a number of bytes above 0 with a unit, such as 12GiB or 800MB".into()),
    }
}

/// A file and a scale. A colon that no number follows is part of the file's name, unless what is before it is a file.
pub(crate) fn lora(value: &str) -> Result<Lora, String> {
    let starts_a_number = |text: &str| text.starts_with(|first: char| "+-.0123456789".contains(first));
    let exists = |file: &str| Path::new(file).exists();
    let (file, scale) = match value.rsplit_once(':') {
        Some((file, scale)) => match scale.parse::<f64>() {
            Ok(number) if number.is_finite() && starts_a_number(scale) => (file, number),
            _ if exists(file) && !exists(value) => {
                return Err(format!("the scale after the last colon must be a finite number, not `{scale}`"));
            }
            _ => (value, 1.0),
        },
        None => (value, 1.0),
    };
    if file.is_empty() {
        return Err("names no file".to_owned());
    }
    Ok(Lora { file: file.to_owned(), scale })
}

pub(crate) fn control_preprocessor(value: &str) -> Result<ControlPreprocessor, String> {
    value.parse().map_err(|error| match error {
        oxidiff::Error::InvalidArgument { message, .. } => message,
        other => other.to_string(),
    })
}

/// Four numbers.
pub(crate) fn freeu(value: &str) -> Result<FreeU, String> {
    let numbers = value.split(',').map(|part| number(part.trim())).collect::<Result<Vec<_>, _>>()?;
    match numbers[..] {
        [s1, s2, b1, b2] if numbers.iter().all(|number| number.is_finite()) => Ok(FreeU { s1, s2, b1, b2 }),
        _ => Err("must be four finite numbers".to_owned()),
    }
}

/// A number, several numbers, or JSON.
pub(crate) fn ip_adapter_scale(value: &str) -> Result<IpAdapterScale, String> {
    if value.trim_start().starts_with(['{', '[']) {
        let json = serde_json::from_str(value).map_err(|error| format!("is not JSON: {error}"))?;
        return IpAdapterScale::from_json(&json).map_err(|error| match error {
            oxidiff::Error::InvalidArgument { message, .. } => message,
            other => other.to_string(),
        });
    }
    let numbers = value.split(',').map(|part| number(part.trim())).collect::<Result<Vec<_>, _>>()?;
    Ok(match numbers[..] {
        [one] => one.into(),
        _ => numbers.into(),
    })
}

/// A seed as torch's `manual_seed` takes it: negative numbers count back from 2^64.
pub(crate) fn seed(value: &str) -> Result<u64, String> {
    let (least, most) = (i64::MIN, u64::MAX);
    let number: i128 = value.parse().map_err(|_| format!("must be a whole number from {least} to {most}"))?;
    if !(i128::from(least)..=i128::from(most)).contains(&number) {
        return Err(format!("must be from {least} to {most}"));
    }
    Ok(number as u64)
}
