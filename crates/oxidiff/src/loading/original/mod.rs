//! Layouts of checkpoints that are one file, as their authors published them: here their keys become those of diffusers and
//! transformers.
//!
//! A layout is a file of this folder and a row of [`LAYOUTS`].

mod aura_flow;
mod configs;
mod controlnet;
mod flux;
pub(crate) mod flux_names;
mod gemma2;
mod lumina2;
pub(crate) mod lumina2_names;
mod open_clip;
mod qwen2_5_vl;
mod qwen3;
mod qwen_image;
mod sana;
mod sd3;
pub(crate) mod sd3_names;
mod sdxl;
mod stable_diffusion;
mod t5;
mod z_image;

use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::folder::EmbeddedFolder;
use crate::loading::formats::state_dict::StateDict;

const UNET: &str = "model.diffusion_model.";
const EMA: &str = "model_ema.";

/// How the checkpoints of a family are laid out.
struct Layout {
    /// Recognises a file by its keys and shapes.
    recognizes: fn(&StateDict) -> bool,
    /// The configurations and tokenizers that fit a file.
    configs: fn(&StateDict) -> &'static EmbeddedFolder,
    models: &'static [OriginalModel],
}

impl Layout {
    fn has(&self, class_name: &str) -> bool {
        self.models.iter().any(|model| model.class_name == class_name)
    }

    /// The classes of its models, for messages.
    fn class_names(&self) -> String {
        self.models.iter().map(|model| model.class_name).collect::<Vec<_>>().join(" or ")
    }
}

/// A model in a file.
struct OriginalModel {
    class_name: &'static str,
    /// The folder of a pipeline that holds the model's configuration.
    subfolder: &'static str,
    /// Takes the model's weights out of the file, under the keys of its class.
    convert: fn(&StateDict, &Config) -> Result<StateDict>,
}

/// All layouts. The first that recognises a file counts; the last recognises every file.
static LAYOUTS: [&Layout; 19] = [
    &controlnet::LAYOUT,
    &flux::FLUX1_TRANSFORMER,
    &flux::CHROMA_TRANSFORMER,
    &flux::FLUX2_TRANSFORMER,
    &flux::FLUX2_AUTOENCODER,
    &aura_flow::LAYOUT,
    &qwen_image::LAYOUT,
    &z_image::LAYOUT,
    &z_image::CONTROLNET,
    &lumina2::LAYOUT,
    &sana::TRANSFORMER,
    &sana::AUTOENCODER,
    &qwen3::LAYOUT,
    &gemma2::LAYOUT,
    &qwen2_5_vl::LAYOUT,
    &sd3::LAYOUT,
    &t5::LAYOUT,
    &sdxl::LAYOUT,
    &stable_diffusion::LAYOUT,
];

/// Keys that only files of other families have, and the family.
const UNSUPPORTED: [(&str, &str); 1] = [("clip_txt_mapper.weight", "Stable Cascade")];

fn layout_of(tensors: &StateDict) -> &'static Layout {
    let layout = LAYOUTS.into_iter().find(|layout| (layout.recognizes)(tensors));
    layout.expect("the last layout recognises every file")
}

/// The channels that the UNet of a file takes. A UNet that is alone in its file may be in the layout of diffusers.
fn input_channels(tensors: &StateDict) -> Option<usize> {
    let kernel = tensors.get("model.diffusion_model.input_blocks.0.0.weight");
    kernel.or_else(|| tensors.get("conv_in.weight"))?.shape().get(1).copied()
}

/// The last dimension of a tensor.
fn width(tensors: &StateDict, key: &str) -> Option<usize> {
    tensors.get(key)?.shape().last().copied()
}

/// The configurations and tokenizers that fit a file.
///
/// # Errors
/// When the file is a checkpoint of a family that is not supported.
pub(crate) fn infer_configs(tensors: &StateDict) -> Result<&'static EmbeddedFolder> {
    if let Some((_, family)) = UNSUPPORTED.into_iter().find(|(key, _)| tensors.contains(key)) {
        return Err(Error::unsupported(
            format!("`{}`, a checkpoint of {family}", tensors.origin()),
            "only Stable Diffusion 1, 2, XL and 3, the transformers of Z-Image, Lumina 2, FLUX.1, FLUX.2, Chroma, AuraFlow, Qwen-Image and Sana, the text encoders of these, and T5, are read from a \
             single file; choose the configuration with `config` if it is one of them",
        ));
    }
    Ok((layout_of(tensors).configs)(tensors))
}

/// Whether a file is a ControlNet.
pub(crate) fn is_controlnet(tensors: &StateDict) -> bool {
    [&controlnet::LAYOUT, &z_image::CONTROLNET].iter().any(|layout| (layout.recognizes)(tensors))
}

/// Whether a file is a transformer without its text encoder and autoencoder.
pub(crate) fn is_transformer(tensors: &StateDict) -> bool {
    let layouts = [
        &flux::FLUX1_TRANSFORMER,
        &flux::CHROMA_TRANSFORMER,
        &flux::FLUX2_TRANSFORMER,
        &aura_flow::LAYOUT,
        &qwen_image::LAYOUT,
        &z_image::LAYOUT,
        &lumina2::LAYOUT,
        &sana::TRANSFORMER,
    ];
    layouts.iter().any(|layout| (layout.recognizes)(tensors)) || sd3::is_alone(tensors)
}

/// Whether a file has the third text encoder of Stable Diffusion 3, which the configurations that fit it leave out.
pub(crate) fn loses_third_text_encoder(tensors: &StateDict) -> bool {
    sd3::has_third_text_encoder(tensors)
}

/// Whether a file is a language model, which is only a part of a pipeline.
pub(crate) fn is_language_model(tensors: &StateDict) -> bool {
    let layouts = [&qwen3::LAYOUT, &gemma2::LAYOUT, &qwen2_5_vl::LAYOUT, &t5::LAYOUT];
    layouts.iter().any(|layout| (layout.recognizes)(tensors))
}

/// Whether a file has a UNet, an autoencoder or a text encoder in the layout of whole checkpoints.
pub(crate) fn has_models(tensors: &StateDict) -> bool {
    let prefixes = [UNET, "first_stage_model.", "cond_stage_model.", "conditioner."];
    tensors.keys().any(|key| prefixes.iter().any(|prefix| key.starts_with(prefix)))
}

/// Whether a file has averages of the UNet's weights over its training (EMA).
pub(crate) fn has_averaged_weights(tensors: &StateDict) -> bool {
    tensors.keys().any(|key| key.starts_with(EMA))
}

/// The file's tensors, with the UNet's weights replaced by their averages over its training (EMA).
///
/// # Errors
/// When the file does not have them.
pub(crate) fn with_averaged_weights(tensors: &StateDict) -> Result<StateDict> {
    let mut averaged = tensors.clone();
    for key in tensors.keys().filter(|key| key.starts_with(UNET)) {
        let flat = key.strip_prefix("model.").unwrap_or(key).replace('.', "");
        let average = tensors.get(&format!("{EMA}{flat}")).ok_or_else(|| {
            tensors
                .error(format!("`extract_ema` asks for averaged weights, but the file has none of `{key}`"))
        })?;
        averaged.insert(key.to_owned(), average.clone());
    }
    Ok(averaged)
}

/// The folder of a pipeline that holds the configuration of a class: of those that fit a file, or else of any.
pub(crate) fn subfolder(tensors: &StateDict, class_name: &str) -> Option<&'static str> {
    let layouts = [layout_of(tensors)].into_iter().chain(LAYOUTS);
    let mut models = layouts.flat_map(|layout| layout.models);
    models.find(|model| model.class_name == class_name).map(|model| model.subfolder)
}

/// Takes the weights of one model out of the file, under the keys of its class.
///
/// # Errors
/// When the file has no such model, or its layout has no model of this class.
pub(crate) fn convert(tensors: &StateDict, class_name: &str, config: &Config) -> Result<StateDict> {
    let layout = layout_of(tensors);
    let Some(model) = layout.models.iter().find(|model| model.class_name == class_name) else {
        // The last layout takes whatever the others do not know: what is no checkpoint of Stable Diffusion is in the layout of diffusers, as
        // are models that were never published in another.
        let is_unknown = std::ptr::eq(layout, &stable_diffusion::LAYOUT)
            && !has_models(tensors)
            && input_channels(tensors).is_none();
        if is_unknown || !LAYOUTS.iter().any(|layout| layout.has(class_name)) {
            return Ok(tensors.clone());
        }
        return Err(Error::unsupported(
            format!("{class_name} from `{}`", tensors.origin()),
            format!("the file's layout is that of {}", layout.class_names()),
        ));
    };
    let converted = (model.convert)(tensors, config)?;
    if converted.is_empty() {
        return Err(tensors.error(format!("the file has no weights of {class_name} in the original layout")));
    }
    Ok(converted)
}
