//! Configurations as in diffusers: JSON data that outlives the class that read it.
//!
//! A class sees its own fields, typed and with defaults filled in. Fields that it does not know stay in the data, so that
//! swapping a scheduler back and forth loses nothing.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::formats::file_kind;
use super::non_finite;
use crate::error::{Error, Result};

/// The version of diffusers whose behaviour and file formats this library follows; written as `_diffusers_version`.
pub const DIFFUSERS_VERSION: &str = "0.42.1";

/// A configuration: the values of a class's fields, the other contents of its file, and which values are only defaults.
///
/// ```
/// use oxidiff::{Config, PNDMScheduler, EulerDiscreteScheduler, Scheduler};
///
/// let pndm = PNDMScheduler::from_config(&Config::from_json(r#"{"beta_end": 0.012, "steps_offset": 1}"#)?)?;
/// let euler = EulerDiscreteScheduler::from_config(pndm.config())?;
/// assert_eq!(euler.config().get("beta_end").unwrap(), 0.012);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    origin: String,
    values: Map<String, Value>,
    /// Fields that were never set: another class that takes over this configuration uses its own defaults for them.
    defaulted: BTreeSet<String>,
}

impl Config {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// When `text` is not JSON, or not an object.
    pub fn from_json(text: &str) -> Result<Self> {
        Self::parse(text.as_bytes(), "configuration")
    }

    /// Reads a JSON file.
    ///
    /// # Errors
    /// When the file cannot be read, is not JSON, or does not hold an object; the error names the file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read(path).map_err(Error::io(path))?;
        file_kind::check_text(path, &text)?;
        Self::parse(&text, &path.display().to_string())
    }

    pub(crate) fn parse(text: &[u8], origin: &str) -> Result<Self> {
        let not_json =
            |error: &dyn fmt::Display| Error::config(origin, ".", format!("not a JSON object: {error}"));
        let text = std::str::from_utf8(text).map_err(|error| not_json(&error))?;
        let values = serde_json::from_str(&non_finite::quote(text)).map_err(|error| not_json(&error))?;
        Ok(Self { origin: origin.to_owned(), values, defaulted: BTreeSet::new() })
    }

    /// The value of a field: as given, or the default of the class that owns this configuration.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.values.get(field)
    }

    /// The class that wrote this configuration (`_class_name`).
    pub fn class_name(&self) -> Option<&str> {
        self.get("_class_name").and_then(Value::as_str)
    }

    /// Sets a field, as a keyword argument of Python's `from_config` does.
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.defaulted.remove(field);
        self.values.insert(field.to_owned(), value.into());
        self
    }

    /// Removes a field.
    pub(crate) fn without(mut self, field: &str) -> Self {
        self.defaulted.remove(field);
        self.values.remove(field);
        self
    }

    /// Removes the fields that are `null`.
    pub(crate) fn without_nulls(mut self) -> Self {
        self.values.retain(|_, value| !value.is_null());
        self
    }

    /// The source of the configuration, for error messages.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// All fields, in the order of the file.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// The fields that were never set: another class that takes over this configuration uses its own defaults for them.
    pub fn defaulted(&self) -> impl Iterator<Item = &str> {
        self.defaulted.iter().map(String::as_str)
    }

    /// Reads the fields of class `class_name` as `T`, filling in defaults.
    ///
    /// Returns the typed fields and the configuration for the new object: all of `T`'s values, the unknown fields of `self`,
    /// and a note of which values are defaults of `T`. Defaults of the previous class do not carry over, like
    /// `_use_default_values` in diffusers.
    ///
    /// # Errors
    /// When a field has a wrong type or an unknown enum value; the error names file and field.
    pub(crate) fn resolve<T: Serialize + DeserializeOwned>(&self, class_name: &str) -> Result<(T, Config)> {
        let same_class = self.class_name() == Some(class_name);
        let mut given = self.values.clone();
        if !same_class {
            given.retain(|field, _| !self.defaulted.contains(field));
        }

        let typed: T = serde_path_to_error::deserialize(Value::Object(given.clone())).map_err(|error| {
            let field = error.path().to_string();
            Error::config(self.describe(class_name), field, in_plain_words(&error.into_inner().to_string()))
        })?;
        let mut config = Self::of_class(class_name, &typed, given, self.origin.clone());
        if same_class {
            config.defaulted.extend(self.defaulted.iter().cloned());
        }
        Ok((typed, config))
    }

    /// Sets a field without counting it as given: another class that takes over this configuration does not see it.
    pub(crate) fn patched(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.values.insert(field.to_owned(), value.into());
        self
    }

    /// The configuration of an object built from typed fields: all of them count as given.
    pub(crate) fn from_fields<T: Serialize>(class_name: &str, fields: &T) -> Self {
        let Value::Object(given) = to_value(fields) else {
            unreachable!("fields serialize to a JSON object")
        };
        Self::of_class(class_name, fields, given, class_name.to_owned())
    }

    /// The configuration of an object of transformers, whose files do not name the class.
    pub(crate) fn from_transformers_fields<T: Serialize>(fields: &T) -> Self {
        let Value::Object(values) = to_value(fields) else {
            unreachable!("fields serialize to a JSON object")
        };
        Self { origin: String::new(), values, defaulted: BTreeSet::new() }
    }

    fn of_class<T: Serialize>(
        class_name: &str,
        typed: &T,
        given: Map<String, Value>,
        origin: String,
    ) -> Self {
        let Value::Object(fields) = to_value(typed) else {
            unreachable!("fields serialize to a JSON object")
        };
        let defaulted = fields.keys().filter(|field| !given.contains_key(*field)).cloned().collect();
        let mut values = given;
        values.extend(fields);
        values.insert("_class_name".into(), class_name.into());
        values.insert("_diffusers_version".into(), DIFFUSERS_VERSION.into());
        Self { origin, values, defaulted }
    }

    fn describe(&self, class_name: &str) -> String {
        if self.origin.is_empty() { class_name.to_owned() } else { format!("{} ({class_name})", self.origin) }
    }

    /// JSON as saved by diffusers: sorted keys, indented by two spaces.
    pub fn to_json(&self) -> String {
        to_sorted_json(&self.values)
    }
}

fn to_value<T: Serialize>(fields: &T) -> Value {
    serde_json::to_value(fields).expect("configuration fields are plain data")
}

/// A message of serde without the names of Rust's types.
fn in_plain_words(message: &str) -> String {
    let expected = [
        ("expected usize", "expected a whole number from 0"),
        ("expected u64", "expected a whole number from 0"),
        ("expected i64", "expected a whole number"),
        ("expected f64", "expected a number"),
        ("expected a boolean", "expected true or false"),
        ("expected a sequence", "expected a list"),
    ];
    let named =
        expected.iter().find_map(|(words, plain)| Some(message.strip_suffix(words)?.to_owned() + plain));
    named.unwrap_or_else(|| message.to_owned())
}

/// Writes JSON as diffusers does, with `sort_keys=True, indent=2`.
pub(crate) fn to_sorted_json(values: &Map<String, Value>) -> String {
    let mut sorted = values.clone();
    sorted.sort_keys();
    for value in sorted.values_mut() {
        value.sort_all_objects();
    }
    non_finite::unquote(&serde_json::to_string_pretty(&sorted).expect("a JSON value is always writable"))
}

/// Prints as Python does: the class's name, then its JSON.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(class_name) = self.class_name() {
            write!(f, "{class_name} ")?;
        }
        write!(f, "{}", self.to_json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A parser that rounds intermediate results would be off in the last bit, and so would everything computed from it.
    #[test]
    fn numbers_are_read_and_written_to_the_last_bit() {
        for digits in
            ["0.022222222222222222222222222222222222222222", "0.00085", "1.7976931348623157e308", "5e-324"]
        {
            let config = Config::from_json(&format!(r#"{{"number": {digits}}}"#)).unwrap();
            let number: f64 = digits.parse().unwrap();
            assert_eq!(config.get("number").and_then(Value::as_f64), Some(number));
            assert_eq!(Config::from_json(&config.to_json()).unwrap().get("number"), config.get("number"));
        }
    }
}
