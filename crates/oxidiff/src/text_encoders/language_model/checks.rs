//! What the configurations of language models must not contradict.

use crate::error::{Error, Result};

fn invalid(field: &str, message: String) -> Result<()> {
    Err(Error::config("", field, message))
}

/// Checks that each size is possible.
///
/// # Errors
/// When one is not; the error names the field.
pub fn check_sizes(sizes: &[(&str, usize)]) -> Result<()> {
    match sizes.iter().find(|(_, value)| *value == 0 || *value > 1 << 24) {
        Some((field, value)) => invalid(field, format!("cannot be {value}")),
        None => Ok(()),
    }
}

/// Checks the heads of queries, those of keys, and their length.
///
/// # Errors
/// When queries cannot share heads of keys, or features of a head cannot be rotated in pairs.
pub fn check_heads([heads, key_heads]: [usize; 2], head_dim: usize) -> Result<()> {
    if !heads.is_multiple_of(key_heads) {
        let message = format!("{key_heads} heads of keys do not divide {heads} heads of queries");
        return invalid("num_key_value_heads", message);
    }
    if !head_dim.is_multiple_of(2) {
        return invalid("head_dim", format!("is {head_dim}, but pairs of features are rotated"));
    }
    Ok(())
}

/// Checks the number of layers, and that all of them have full attention: as `layer_types` says, or else as the first
/// `full_layers` have it.
///
/// # Errors
/// When there are too many layers, or one has another kind of attention.
pub fn check_layers(count: usize, layer_types: Option<&[String]>, full_layers: usize) -> Result<()> {
    let Some(types) = known_types(count, layer_types)? else {
        if full_layers < count {
            return invalid("use_sliding_window", "is true, but only full attention is supported".into());
        }
        return Ok(());
    };
    match types.iter().find(|kind| *kind != "full_attention") {
        Some(other) => invalid("layer_types", format!("has `{other}`; only `full_attention` is supported")),
        None => Ok(()),
    }
}

/// The kinds of attention of `count` layers, if the configuration has them.
///
/// # Errors
/// When there are too many layers, or fewer kinds.
pub fn known_types(count: usize, layer_types: Option<&[String]>) -> Result<Option<&[String]>> {
    if count > 1024 {
        return Err(Error::config("", "num_hidden_layers", "must be at most 1024"));
    }
    let Some(types) = layer_types else { return Ok(None) };
    types.get(..count).map(Some).ok_or_else(|| {
        Error::config("", "layer_types", format!("has {} values for {count} layers", types.len()))
    })
}
