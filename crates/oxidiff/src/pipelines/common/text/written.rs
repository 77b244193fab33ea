//! Texts that a pipeline's language model writes.

use crate::error::Result;
use crate::pipelines::common::interruption;
use crate::pipelines::common::progress::denoising_bar;
use crate::random::Generators;
use crate::text_encoders::Generation;

/// The most tokens of a text.
const MOST_TOKENS: usize = 512;

/// Lets `generate` write texts, and shows how far it is. Tokens are drawn with a copy of the call's first generator, so that the noise of
/// images does not depend on how long texts become: in Python, the texts are those after `torch.manual_seed` with the same seed.
///
/// # Errors
/// Those of `generate`, when there is no generator, and when the call is interrupted.
pub(crate) fn write_texts(
    generators: &Generators,
    temperature: Option<f64>,
    progress_bar: bool,
    generate: impl FnOnce(Generation<'_>) -> Result<Vec<Vec<u32>>>,
) -> Result<Vec<Vec<u32>>> {
    let mut generators = generators.clone().into_first()?;
    let bar = denoising_bar(MOST_TOKENS, progress_bar);
    let written = generate(Generation {
        max_new_tokens: MOST_TOKENS,
        temperature,
        generator: generators.of_item(0)?,
        progress: &mut |step| {
            bar.set_position(step.done as u64);
            interruption::check()
        },
    });
    bar.finish_and_clear();
    written
}
