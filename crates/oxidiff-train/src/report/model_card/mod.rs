//! The card of a trained model: `README.md`, in the form of the example scripts' `save_model_card`.

mod front_matter;
mod markdown;
mod method;
mod usage;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use image::RgbImage;

pub(super) use self::markdown::escaped;
pub use self::method::{Family, Method};

use self::front_matter::{FrontMatter, is_on_hub};
use super::error::{ReportError, Result};
use super::grid::image_grid;
use super::png_file;
use super::whole_file::write_whole;

/// The word that textual inversion learns unless one is given.
const PLACEHOLDER: &str = "<placeholder>";

/// An example of what the model makes.
#[derive(Clone, Debug)]
pub struct CardSample {
    /// The image.
    pub image: RgbImage,
    /// Its prompt.
    pub prompt: Option<String>,
    /// The image that it follows, for a ControlNet; shown on its left.
    pub control_image: Option<RgbImage>,
}

/// The description of a trained model, for the hub and its users.
///
/// ```
/// use oxidiff_train::report::{Family, Method, ModelCard};
///
/// let folder = tempfile::tempdir()?;
/// let card = ModelCard {
///     base_model: Some("stable-diffusion-v1-5/stable-diffusion-v1-5".into()),
///     instance_prompt: Some("a photo of sks dog".into()),
///     hyperparameters: vec![("Learning rate".into(), "1e-4".into())],
///     ..ModelCard::new(Method::DreamBoothLora, Family::StableDiffusion, "dog-lora")
/// };
/// assert_eq!(card.write(folder.path())?, folder.path().join("README.md"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ModelCard {
    /// How the model was trained.
    pub method: Method,
    /// The family of the base model; ignored for [`Method::Unconditional`].
    pub family: Family,
    /// The model's repository on the hub, or its folder.
    pub name: String,
    /// The model that the training began with: a repository or a path.
    pub base_model: Option<String>,
    /// The images that it was trained on: a repository or a path.
    pub dataset: Option<String>,
    /// The prompt for the subject of DreamBooth.
    pub instance_prompt: Option<String>,
    /// The word that textual inversion learned.
    pub placeholder_token: Option<String>,
    /// Whether the text encoder was trained as well.
    pub train_text_encoder: bool,
    /// The VAE that took the place of the base model's.
    pub vae: Option<String>,
    /// Examples, in the order in which the card shows them.
    pub samples: Vec<CardSample>,
    /// The names of the settings, as people read them, and their values.
    pub hyperparameters: Vec<(String, String)>,
    /// The licence, as the hub calls it; by default the family's, and none for [`Method::Unconditional`].
    pub license: Option<String>,
    /// The file of a LoRA or of a learned word; by default the scripts' names.
    pub weight_name: Option<String>,
}

impl ModelCard {
    /// A card with nothing but its title.
    pub fn new(method: Method, family: Family, name: impl Into<String>) -> Self {
        Self {
            method,
            family,
            name: name.into(),
            base_model: None,
            dataset: None,
            instance_prompt: None,
            placeholder_token: None,
            train_text_encoder: false,
            vae: None,
            samples: Vec::new(),
            hyperparameters: Vec::new(),
            license: None,
            weight_name: None,
        }
    }

    /// Writes the samples as `image_0.png` and so on and then `README.md`, whose path is returned, to `folder`. A plot of the
    /// loss that is there, `loss.png`, is part of the card.
    ///
    /// # Errors
    /// When the base model is not known of something that needs it, when a sample is no image, or when a file cannot be
    /// written.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        let contents = self.to_markdown(folder.join("loss.png").is_file())?;
        for (index, sample) in self.samples.iter().enumerate() {
            let path = folder.join(image_name(index));
            let images: Vec<_> = sample.control_image.iter().chain([&sample.image]).cloned().collect();
            let image = image_grid(&images, Some(images.len()))?;
            let png = png_file::encode(&image, sample.prompt.as_deref().unwrap_or_default(), &path)?;
            write_whole(&path, &png)?;
        }
        let path = folder.join("README.md");
        write_whole(&path, contents.as_bytes())?;
        Ok(path)
    }

    /// The contents of the card, with a plot of the loss if there is one.
    ///
    /// # Errors
    /// When the base model is not known of something that needs it.
    pub fn to_markdown(&self, has_loss_plot: bool) -> Result<String> {
        if self.name.trim().is_empty() {
            return Err(ReportError::argument("name", "is empty"));
        }
        if self.method.needs_base_model() && self.base_model.is_none() {
            return Err(ReportError::argument("base_model", "is needed to use the trained weights"));
        }
        let yaml = yaml(&FrontMatter::of(self))?;
        let mut card = format!("---\n{yaml}---\n\n{NOTE}\n\n");
        let title =
            format!("# {} - {}\n\n{}\n\n", self.method.title(), shown(&self.name), self.description());
        card.push_str(&title);
        for (index, sample) in self.samples.iter().enumerate() {
            let prompt = sample.prompt.as_deref().map(|prompt| format!("prompt: {}\n\n", escaped(prompt)));
            let image = format!("![img_{index}](./{})\n\n", image_name(index));
            card.extend([prompt.unwrap_or_default(), image]);
        }
        let (rust, python) = (usage::rust(self), usage::python(self));
        let usage = format!(
            "## How to use it\n\nWith [Diffusers](https://github.com/huggingface/diffusers) in Python:\n\n\
             ```python\n{python}\n```\n\nWith Oxidiff in Rust:\n\n```rust\n{rust}\n```\n"
        );
        card.push_str(&usage);
        self.add_training(&mut card, has_loss_plot);
        Ok(card)
    }

    fn add_training(&self, card: &mut String, has_loss_plot: bool) {
        if self.hyperparameters.is_empty() && !has_loss_plot {
            return;
        }
        card.push_str("\n## Training\n");
        if !self.hyperparameters.is_empty() {
            card.push_str("\nThe key hyperparameters:\n\n");
        }
        for (name, value) in &self.hyperparameters {
            writeln!(card, "* {}: {}", escaped(name), escaped(value)).expect("memory can be written");
        }
        if has_loss_plot {
            card.push_str("\n![The loss of each step and its moving average](./loss.png)\n");
        }
    }

    /// Sentences on what was trained on what.
    fn description(&self) -> String {
        let base = self.base_model.as_deref().map(shown).unwrap_or_default();
        let on_dataset =
            self.dataset.as_deref().map(|dataset| format!(" on the **{}** dataset", shown(dataset)));
        let on_dataset = on_dataset.unwrap_or_default();
        let from_base = if base.is_empty() { String::new() } else { format!(" from **{base}**") };
        let mut sentences = vec![match self.method {
            Method::Unconditional if base.is_empty() => {
                format!("This pipeline makes images without a prompt. It was trained{on_dataset}.")
            }
            Method::Unconditional => {
                format!(
                    "This pipeline makes images without a prompt. It was finetuned{from_base}{on_dataset}."
                )
            }
            Method::TextToImage => format!("This pipeline was finetuned{from_base}{on_dataset}."),
            Method::TextToImageLora => {
                format!("These are LoRA weights for **{base}**. They were finetuned{on_dataset}.")
            }
            Method::DreamBooth => format!("This pipeline was finetuned{from_base}{on_dataset}."),
            Method::DreamBoothLora => format!("These are LoRA weights for **{base}**."),
            Method::TextualInversion => {
                format!("This is a word that was learned for **{base}**{on_dataset}.")
            }
            Method::ControlNet => {
                format!("These are ControlNet weights for **{base}** that were trained{on_dataset}.")
            }
        }];
        if self.method.is_dreambooth() {
            let subject =
                self.instance_prompt.as_deref().map(|prompt| format!(" on \"{}\"", escaped(prompt)));
            sentences.push(format!(
                "The weights were trained{} using [DreamBooth](https://dreambooth.github.io/).",
                subject.unwrap_or_default()
            ));
        }
        if let Some(token) = &self.placeholder_token {
            sentences.push(format!("Write {} in a prompt to use it.", escaped(token)));
        }
        if self.method.is_lora() || self.method.is_dreambooth() {
            let also = if self.train_text_encoder { "was trained as well" } else { "was not trained" };
            sentences.push(format!("The text encoder {also}."));
        }
        if let Some(vae) = &self.vae {
            sentences.push(format!("The VAE used for training: {}.", shown(vae)));
        }
        sentences.join(" ")
    }

    /// The file of the weights in the model's folder.
    fn method_weights(&self) -> &str {
        self.weight_name.as_deref().unwrap_or(match self.method {
            Method::TextualInversion => "learned_embeds.safetensors",
            _ => "pytorch_lora_weights.safetensors",
        })
    }
}

const NOTE: &str =
    "<!-- This card was written at the end of a training. Please proofread and complete it. -->";

fn image_name(index: usize) -> String {
    format!("image_{index}.png")
}

/// The name of a model or a dataset as readers see it: of a path, which means nothing to them, its end.
fn shown(name: &str) -> String {
    let end = Path::new(name).file_name().map(|end| end.to_string_lossy());
    escaped(&end.filter(|_| !is_on_hub(name)).unwrap_or(name.into()))
}

/// One value a line, in quotes where YAML 1.1 or 1.2 would read something else.
fn yaml(front_matter: &FrontMatter) -> Result<String> {
    // Strings of several lines could hold the line that ends the front matter.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(front_matter, options)
        .map_err(|error| ReportError::drawing(Path::new("README.md"), error))
}

#[cfg(test)]
mod tests;
