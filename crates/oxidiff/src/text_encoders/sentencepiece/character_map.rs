//! The map that replaces characters before a text is split: a double array (Aoe 1989) from texts to places among the replacements.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};

/// Checks the maps in `tokenizer.json`: with a damaged map, the library would look outside of it.
///
/// # Errors
/// When a map is damaged.
pub(in crate::text_encoders) fn check_normalizer(text: &[u8], origin: &str) -> Result<()> {
    #[derive(Deserialize)]
    struct Tokenizer {
        normalizer: Option<Value>,
    }
    // The library says what else may be wrong.
    let Ok(Tokenizer { normalizer: Some(normalizer) }) = serde_json::from_slice(text) else { return Ok(()) };
    let several = normalizer.get("normalizers").and_then(Value::as_array);
    let all = std::iter::once(&normalizer).chain(several.into_iter().flatten());
    for map in all.filter_map(|normalizer| normalizer.get("precompiled_charsmap")?.as_str()) {
        check(&STANDARD.decode(map).unwrap_or_default(), origin)?;
    }
    Ok(())
}

/// Checks that every way through the array stays in it, and ends at a replacement.
///
/// # Errors
/// When the map is damaged.
pub(in crate::text_encoders) fn check(map: &[u8], origin: &str) -> Result<()> {
    let is_whole = Units::of(map).is_some_and(|units| units.are_whole());
    match is_whole {
        true => Ok(()),
        false => Err(Error::Tokenizer {
            origin: origin.to_owned(),
            message: "`precompiled_charsmap`, the map of characters, is damaged".into(),
        }),
    }
}

struct Units<'a> {
    units: Vec<u32>,
    replacements: &'a str,
}

impl<'a> Units<'a> {
    /// The size of the array in bytes, the array, and the replacements, each of which ends with a zero.
    fn of(map: &'a [u8]) -> Option<Self> {
        let (size, rest) = map.split_first_chunk::<4>()?;
        let size = u32::from_le_bytes(*size) as usize / 4 * 4;
        let (units, replacements) = rest.split_at_checked(size)?;
        let units = units.as_chunks::<4>().0.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
        Some(Self { units, replacements: std::str::from_utf8(replacements).ok()? })
    }

    fn are_whole(&self) -> bool {
        let Some(root) = self.units.first() else { return false };
        let (mut seen, mut open) = (HashSet::new(), vec![offset(*root)]);
        while let Some(base) = open.pop() {
            if !seen.insert(base) {
                continue;
            }
            // A text can continue with any byte.
            if (base | 0xFF) >= self.units.len() {
                return false;
            }
            for byte in 1..=0xFF {
                let place = base ^ byte;
                let unit = self.units[place];
                let label = unit & (1 << 31 | 0xFF);
                if label as usize != byte {
                    continue;
                }
                let next = place ^ offset(unit);
                let has_value = unit >> 8 & 1 == 1;
                let value = self.units.get(next).map(|unit| (unit & !(1 << 31)) as usize);
                if has_value && !value.is_some_and(|value| self.replacements.is_char_boundary(value)) {
                    return false;
                }
                open.push(next);
            }
        }
        true
    }
}

fn offset(unit: u32) -> usize {
    ((unit >> 10) as usize) << ((unit & 1 << 9) >> 6)
}
