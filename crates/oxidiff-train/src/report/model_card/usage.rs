//! How to use the model, in Rust and in Python.

use super::method::{Family, Method};
use super::{ModelCard, PLACEHOLDER};

/// The base model of an addition.
fn base(card: &ModelCard) -> &str {
    card.base_model.as_deref().unwrap_or_default()
}

fn prompt(card: &ModelCard) -> String {
    let of_samples = card.samples.iter().find_map(|sample| sample.prompt.clone());
    of_samples.or_else(|| card.instance_prompt.clone()).unwrap_or_else(|| match card.method {
        Method::TextualInversion => {
            format!("a photo of {}", card.placeholder_token.as_deref().unwrap_or(PLACEHOLDER))
        }
        _ => "a photo".to_owned(),
    })
}

/// Lines of Rust.
pub(super) fn rust(card: &ModelCard) -> String {
    let (name, base, prompt) = (quoted_rust(&card.name), quoted_rust(base(card)), quoted_rust(&prompt(card)));
    let weights = quoted_rust(card.method_weights());
    let (types, load, arguments) = match card.method {
        Method::Unconditional => (
            "DiffusionPipeline, Unconditional",
            format!("let mut pipeline = DiffusionPipeline::from_pretrained({name})?;"),
            "Unconditional::default()".to_owned(),
        ),
        Method::TextToImage | Method::DreamBooth => (
            "DiffusionPipeline",
            format!("let mut pipeline = DiffusionPipeline::from_pretrained({name})?;"),
            prompt,
        ),
        Method::TextToImageLora | Method::DreamBoothLora => (
            "DiffusionPipeline, LoraOptions",
            format!(
                "let mut pipeline = DiffusionPipeline::from_pretrained({base})?;
let weights = LoraOptions {{ weight_name: Some({weights}.into()), ..Default::default() }};
pipeline.lora_loader().expect(\"it takes LoRAs\").load_lora_weights({name}, &weights)?;"
            ),
            prompt,
        ),
        Method::TextualInversion => (
            "DiffusionPipeline, TextualInversionOptions",
            format!(
                "let mut pipeline = DiffusionPipeline::from_pretrained({base})?;
let weights = TextualInversionOptions {{ weight_name: Some({weights}.into()), ..Default::default() }};
pipeline.textual_inversion_loader().expect(\"it learns words\").load_textual_inversion({name}, &weights)?;"
            ),
            prompt,
        ),
        Method::ControlNet => {
            let (types, arguments) = match card.family {
                Family::StableDiffusionXl => (
                    "ControlNetModel, DiffusionPipeline, LoadOptions, Model, StableDiffusionXLControlNetTextToImage, load_image",
                    "StableDiffusionXLControlNetTextToImage",
                ),
                _ => (
                    "ControlNetModel, ControlNetTextToImage, DiffusionPipeline, LoadOptions, Model, load_image",
                    "ControlNetTextToImage",
                ),
            };
            let load = format!(
                "let controlnet = ControlNetModel::from_pretrained({name})?;
let options = LoadOptions {{ controlnet: Some(controlnet.into()), ..Default::default() }};
let mut pipeline = DiffusionPipeline::from_pretrained_with({base}, &options)?;"
            );
            (types, load, format!("{arguments}::new({prompt}, load_image(\"control.png\")?)"))
        }
    };
    format!(
        "use oxidiff::{{{types}}};

{load}
let images = pipeline.call({arguments})?.images.into_images();
images[0].save(\"image.png\")?;"
    )
    .replace("use oxidiff::{DiffusionPipeline};", "use oxidiff::DiffusionPipeline;")
}

/// Lines of Python.
pub(super) fn python(card: &ModelCard) -> String {
    let (name, base, prompt) =
        (quoted_python(&card.name), quoted_python(base(card)), quoted_python(&prompt(card)));
    let weights = quoted_python(card.method_weights());
    let from_base = format!("pipeline = DiffusionPipeline.from_pretrained({base})");
    let (imports, load, arguments) = match card.method {
        Method::Unconditional => (
            "from diffusers import DiffusionPipeline",
            format!("pipeline = DiffusionPipeline.from_pretrained({name})"),
            String::new(),
        ),
        Method::TextToImage | Method::DreamBooth => (
            "from diffusers import DiffusionPipeline",
            format!("pipeline = DiffusionPipeline.from_pretrained({name})"),
            prompt,
        ),
        Method::TextToImageLora | Method::DreamBoothLora => (
            "from diffusers import DiffusionPipeline",
            format!("{from_base}\npipeline.load_lora_weights({name}, weight_name={weights})"),
            prompt,
        ),
        Method::TextualInversion => (
            "from diffusers import DiffusionPipeline",
            format!("{from_base}\npipeline.load_textual_inversion({name}, weight_name={weights})"),
            prompt,
        ),
        Method::ControlNet => {
            let (imports, class) = match card.family {
                Family::StableDiffusionXl => (
                    "from diffusers import ControlNetModel, StableDiffusionXLControlNetPipeline\nfrom diffusers.utils import load_image",
                    "StableDiffusionXLControlNetPipeline",
                ),
                _ => (
                    "from diffusers import ControlNetModel, StableDiffusionControlNetPipeline\nfrom diffusers.utils import load_image",
                    "StableDiffusionControlNetPipeline",
                ),
            };
            let load = format!(
                "controlnet = ControlNetModel.from_pretrained({name})
pipeline = {class}.from_pretrained({base}, controlnet=controlnet)"
            );
            (imports, load, format!("{prompt}, image=load_image(\"control.png\")"))
        }
    };
    format!("{imports}\n\n{load}\nimage = pipeline({arguments}).images[0]\nimage.save(\"image.png\")")
}

fn quoted_rust(text: &str) -> String {
    format!("{text:?}")
}

/// A string of JSON is one of Python as well.
fn quoted_python(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
