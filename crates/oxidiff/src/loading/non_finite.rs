//! Numbers that Python writes into JSON but JSON does not have: `Infinity`, `-Infinity` and `NaN`.
//!
//! Scheduler configurations contain them (`"lambda_min_clipped": -Infinity`). In a [`Config`](super::config::Config) they are
//! strings with the same spelling.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serializer, de};

const NAMES: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// Puts Python's non-finite numbers in quotation marks.
pub(super) fn quote(text: &str) -> Cow<'_, str> {
    if !NAMES.iter().any(|name| text.contains(name)) {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::with_capacity(text.len() + 8);
    for (piece, is_string) in pieces(text) {
        if is_string {
            quoted.push_str(piece);
            continue;
        }
        let mut rest = piece;
        while let Some((at, name)) =
            NAMES.iter().filter_map(|name| Some((rest.find(name)?, name))).min_by_key(|(at, _)| *at)
        {
            quoted.push_str(&rest[..at]);
            quoted.push('"');
            quoted.push_str(name);
            quoted.push('"');
            rest = &rest[at + name.len()..];
        }
        quoted.push_str(rest);
    }
    Cow::Owned(quoted)
}

/// Removes the quotation marks again, from values but not from keys.
pub(super) fn unquote(text: &str) -> String {
    let mut unquoted = String::with_capacity(text.len());
    let mut pieces = pieces(text).peekable();
    while let Some((piece, is_string)) = pieces.next() {
        let is_key = pieces.peek().is_some_and(|(next, _)| next.trim_start().starts_with(':'));
        let bare = piece.trim_matches('"');
        if is_string && !is_key && NAMES.contains(&bare) {
            unquoted.push_str(bare);
        } else {
            unquoted.push_str(piece);
        }
    }
    unquoted
}

/// Splits JSON text into string literals, with their quotation marks, and the text between them.
fn pieces(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let is_string = rest.starts_with('"');
        let end = if is_string { string_end(rest) } else { rest.find('"').unwrap_or(rest.len()) };
        let (piece, tail) = rest.split_at(end);
        rest = tail;
        (!piece.is_empty()).then_some((piece, is_string))
    })
}

/// Length of the string literal that `text` starts with.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// Writes a number that may not be finite; for `#[serde(with = "non_finite")]`.
pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_nan() {
        serializer.serialize_str("NaN")
    } else if *value == f64::INFINITY {
        serializer.serialize_str("Infinity")
    } else if *value == f64::NEG_INFINITY {
        serializer.serialize_str("-Infinity")
    } else {
        serializer.serialize_f64(*value)
    }
}

/// Reads a number that may not be finite; for `#[serde(with = "non_finite")]`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a number")]
    enum Number {
        Finite(f64),
        Named(String),
    }
    match Number::deserialize(deserializer)? {
        Number::Finite(value) => Ok(value),
        Number::Named(name) => match name.as_str() {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => Err(de::Error::invalid_value(de::Unexpected::Str(&name), &"a number")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_names_are_quoted() {
        let text = r#"{"NaN": "a \" NaN", "b": [NaN, -Infinity,Infinity], "c": 1}"#;
        let quoted = quote(text);
        assert_eq!(quoted, r#"{"NaN": "a \" NaN", "b": ["NaN", "-Infinity","Infinity"], "c": 1}"#);
        assert_eq!(unquote(&quoted), text);
    }

    #[test]
    fn text_without_them_stays() {
        let text = r#"{"a": 1, "b": "x"}"#;
        assert_eq!(quote(text), text);
        assert_eq!(unquote(text), text);
        assert_eq!(quote(r#"{"a": "NaN"#), r#"{"a": "NaN"#);
    }
}
