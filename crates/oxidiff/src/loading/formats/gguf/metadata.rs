//! The metadata: values by name.

use std::collections::{BTreeMap, HashMap};

use super::cursor::Cursor;
use crate::error::Result;

/// Lists in lists, at most this deep.
const DEEPEST: usize = 4;
/// The fewest bytes of an entry: the length of its name, its type and a byte.
const FEWEST_BYTES: u64 = 13;

/// A value, of the kinds that anything is made of here.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Integer(i128),
    Text(String),
    Integers(Vec<i128>),
    /// What was skipped: other numbers, the lists of a vocabulary.
    Other,
}

/// Values by name.
pub(super) struct Metadata(BTreeMap<String, Value>);

impl Metadata {
    /// # Errors
    /// When the file ends before, a name is there twice, or a value has an unknown type.
    pub fn read(cursor: &mut Cursor<'_>, count: u64) -> Result<Self> {
        cursor.check_count(count, FEWEST_BYTES, "metadata")?;
        let mut values = BTreeMap::new();
        for index in 0..count {
            let key = cursor.text(|| format!("the name of metadata {index}"))?;
            let kind = cursor.u32(|| format!("the type of metadata `{key}`"))?;
            let value = value(cursor, &key, kind, 0)?;
            if values.contains_key(&key) {
                return Err(cursor.error(format!("metadata `{key}` are there twice")));
            }
            values.insert(key, value);
        }
        Ok(Self(values))
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// The texts by name.
    pub fn texts(self) -> HashMap<String, String> {
        let texts = self.0.into_iter().filter_map(|(key, value)| match value {
            Value::Text(text) => Some((key, text)),
            _ => None,
        });
        texts.collect()
    }
}

/// The value of type `kind` that comes next.
fn value(cursor: &mut Cursor<'_>, key: &str, kind: u32, depth: usize) -> Result<Value> {
    const TEXT: u32 = 8;
    const LIST: u32 = 9;
    let what = || format!("metadata `{key}`");
    match kind {
        // It may be of any encoding where nothing reads it.
        TEXT => Ok(match std::str::from_utf8(cursor.raw_text(what)?) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Other,
        }),
        LIST if depth < DEEPEST => {
            let kind = cursor.u32(what)?;
            let count = cursor.u64(what)?;
            cursor.check_count(count, fewest_bytes(kind), &format!("values in the {}", what()))?;
            let mut integers = Some(Vec::new());
            for _ in 0..count {
                match (value(cursor, key, kind, depth + 1)?, &mut integers) {
                    (Value::Integer(integer), Some(integers)) => integers.push(integer),
                    _ => integers = None,
                }
            }
            Ok(integers.map_or(Value::Other, Value::Integers))
        }
        LIST => Err(cursor.error(format!("metadata `{key}` are lists in lists in lists"))),
        kind => number(cursor, key, kind),
    }
}

/// The fewest bytes of a value of this type.
fn fewest_bytes(kind: u32) -> u64 {
    match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        _ => 8,
    }
}

fn number(cursor: &mut Cursor<'_>, key: &str, kind: u32) -> Result<Value> {
    let len = match kind {
        0..=7 | 10..=12 => fewest_bytes(kind),
        other => return Err(cursor.error(format!("metadata `{key}` have the unknown type {other}"))),
    };
    let bytes = cursor.bytes(len, || format!("metadata `{key}`"))?;
    let is_signed = matches!(kind, 1 | 3 | 5 | 11);
    let is_negative = is_signed && bytes.last().is_some_and(|byte| byte >> 7 == 1);
    let mut wide = [if is_negative { 0xff } else { 0 }; size_of::<i128>()];
    wide[..bytes.len()].copy_from_slice(bytes);
    Ok(match kind {
        // Numbers with a fraction, and what is true or false.
        6 | 7 | 12 => Value::Other,
        _ => Value::Integer(i128::from_le_bytes(wide)),
    })
}
