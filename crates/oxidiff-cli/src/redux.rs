//! FLUX.1 Redux on the command line: images as the end of a prompt.

use anyhow::{Context, bail};
use oxidiff::image::DynamicImage;
use oxidiff::{
    CLIPTextModel, CLIPTokenizer, CallArguments, DiffusionPipeline, FluxPriorRedux, FluxPriorReduxPipeline,
    FluxPriorReduxPipelineOutput, FluxTransformer2DModel, PerControlNet, T5EncoderModel, T5Tokenizer,
};

use crate::arguments::GenerateArguments;
use crate::keywords;

/// The prompt that Redux makes of images and, with the pipeline's text encoders, of the prompt of the command line, which is then no
/// longer among the arguments. Without a prompt, only the images count, as in Python without text encoders.
pub(crate) fn prompt(
    pipeline: &DiffusionPipeline,
    name: &str,
    images: Vec<DynamicImage>,
    arguments: &mut GenerateArguments,
) -> anyhow::Result<FluxPriorReduxPipelineOutput> {
    let components = pipeline.components();
    if components.get::<FluxTransformer2DModel>("transformer").is_none()
        || !pipeline.takes("pooled_prompt_embeds")
    {
        bail!("--redux: {} does not take it", pipeline.class_name());
    }
    let mut options = arguments.load.options()?;
    // The revision is that of the model, and so are the files with other weights.
    options.hub.revision = None;
    options.weights.clear();
    let mut prior = FluxPriorReduxPipeline::from_pretrained_with(name, &options)
        .with_context(|| format!("--redux {name}"))?;
    let prompt: Vec<String> = arguments.take_prompt().into_iter().collect();
    let prompt_2 = arguments.take_keyword("prompt_2").into_iter().collect();
    if prompt.is_empty() {
        (prior.text_encoder, prior.text_encoder_2) = (None, None);
    } else {
        prior.text_encoder = components.get::<CLIPTextModel>("text_encoder").cloned();
        prior.tokenizer = components.get::<CLIPTokenizer>("tokenizer").cloned();
        prior.text_encoder_2 = components.get::<T5EncoderModel>("text_encoder_2").cloned();
        prior.tokenizer_2 = components.get::<T5Tokenizer>("tokenizer_2").cloned();
    }
    let call = FluxPriorRedux {
        prompt,
        prompt_2,
        prompt_embeds_scale: scale(&arguments.prompt_embeds_scale),
        pooled_prompt_embeds_scale: scale(&arguments.pooled_prompt_embeds_scale),
        ..FluxPriorRedux::new(images)
    };
    let takes = |argument: &str| FluxPriorRedux::ALL.iter().any(|info| info.name == argument);
    prior.call(call).map_err(|error| keywords::name_option(error, takes))
}

/// One factor for all images, or one for each.
fn scale(factors: &[f64]) -> PerControlNet {
    match factors {
        [] => PerControlNet::Same(1.0),
        [one] => PerControlNet::Same(*one),
        each => each.to_vec().into(),
    }
}
