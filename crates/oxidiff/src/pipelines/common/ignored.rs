//! Arguments that have no effect in a call. Python ignores them silently.

/// Warns of an argument if it was given in vain, and says why it has no effect.
pub(crate) fn warn_of_ignored(argument: &str, is_given: bool, why: &str) {
    if is_given {
        tracing::warn!("`{argument}` has no effect: {why}");
    }
}

/// Warns of a negative prompt in a call without guidance.
pub(crate) fn warn_of_unguided(argument: &str, negative_prompt: &[String]) {
    let why = "the call uses no guidance, which `guidance_scale` turns on above 1 if the model takes it";
    warn_of_ignored(argument, !negative_prompt.is_empty(), why);
}
