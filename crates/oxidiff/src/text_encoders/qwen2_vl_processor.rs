//! The processor of Qwen2-VL and Qwen2.5-VL: texts with images become the inputs of the model.

use std::any::Any;
use std::path::Path;

use image::DynamicImage;

use super::clip_tokenizer::TokenizedText;
use super::qwen2_tokenizer::Qwen2Tokenizer;
use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::folder::Folder;
use crate::pipelines::component::Component;
use crate::vision::{ImageProcessor, Qwen2VLImageProcessor, Qwen2VLImages};

/// The token in the place of an image.
const IMAGE: &str = "<|image_pad|>";
/// Where transformers 5 keeps the configuration of the image processor.
const CONFIG: &str = "processor_config.json";
/// Where it was before.
const IMAGE_CONFIG: &str = "preprocessor_config.json";

/// Turns texts with images into the inputs of a
/// [`Qwen2_5_VLForConditionalGeneration`](crate::Qwen2_5_VLForConditionalGeneration).
///
/// ```no_run
/// use oxidiff::{Qwen2VLProcessor, image::DynamicImage};
///
/// let processor = Qwen2VLProcessor::from_pretrained("Qwen-Image-Edit/processor")?;
/// let text = "<|vision_start|><|image_pad|><|vision_end|>Make the sky red.";
/// let inputs = processor.process(&[text], &[DynamicImage::new_rgb8(280, 140)])?;
/// assert_eq!(inputs.images.unwrap().image_grid_thw, [[1, 10, 20]]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Qwen2VLProcessor {
    /// Cuts images into patches.
    pub image_processor: Qwen2VLImageProcessor,
    /// Splits texts into tokens.
    pub tokenizer: Qwen2Tokenizer,
}

/// The result of a [`Qwen2VLProcessor`].
#[derive(Clone, Debug)]
pub struct Qwen2VLProcessed {
    /// The tokens, `[batch, tokens]`.
    pub input_ids: Vec<Vec<u32>>,
    /// 1 for tokens of the text and 0 for those that fill it up, of the same shape.
    pub attention_mask: Vec<Vec<u32>>,
    /// 1 for tokens of images and 0 for others, of the same shape.
    pub mm_token_type_ids: Vec<Vec<u32>>,
    /// The images of all texts, if there are any.
    pub images: Option<Qwen2VLImages>,
}

impl Component for Qwen2VLProcessor {
    fn class(&self) -> (&'static str, String) {
        ("transformers", Self::CLASSES[0].to_owned())
    }

    fn save(&self, folder: &Path) -> Result<()> {
        Self::save_pretrained(self, folder)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Qwen2VLProcessor {
    /// The names that the class has.
    pub(crate) const CLASSES: [&str; 2] = ["Qwen2VLProcessor", "Qwen2_5_VLProcessor"];

    /// Loads a processor from a folder that holds the files of a tokenizer, and `preprocessor_config.json` or
    /// `processor_config.json`.
    ///
    /// # Errors
    /// When a file is missing, or has a field that the classes do not understand.
    pub fn from_pretrained(folder: impl AsRef<Path>) -> Result<Self> {
        Self::load(&Folder::Directory(folder.as_ref().to_path_buf()))
    }

    pub(crate) fn load(folder: &Folder) -> Result<Self> {
        Ok(Self { image_processor: image_processor(folder)?, tokenizer: Qwen2Tokenizer::load(folder)? })
    }

    /// Writes the files of the tokenizer and of the image processor into `folder`, which is created if it does not exist.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save_pretrained(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        self.tokenizer.save_pretrained(folder)?;
        self.image_processor.save_pretrained(folder)
    }

    /// Tokenizes texts, filled up to the length of the longest, with as many tokens for each `<|image_pad|>` as its image needs.
    /// `images` are those of all texts, in order.
    ///
    /// # Errors
    /// When there are not as many images as `<|image_pad|>`, a text cannot be tokenized, or an image cannot be used.
    pub fn process(&self, texts: &[impl AsRef<str>], images: &[DynamicImage]) -> Result<Qwen2VLProcessed> {
        if texts.is_empty() {
            return Err(Error::argument("texts", "must hold at least one text"));
        }
        let places: usize = texts.iter().map(|text| text.as_ref().matches(IMAGE).count()).sum();
        if places != images.len() {
            let message = format!("{} are given, but the texts have {places} `{IMAGE}`", images.len());
            return Err(Error::argument("images", message));
        }
        let images = if images.is_empty() { None } else { Some(self.image_processor.patches(images)?) };
        let grids = images.iter().flat_map(|images| &images.image_grid_thw);
        let merged = self.image_processor.merged();
        let mut counts = grids.map(|grid| grid.iter().product::<usize>() / merged);
        let expanded: Vec<String> = texts
            .iter()
            .map(|text| {
                let mut parts = text.as_ref().split(IMAGE);
                let first = parts.next().unwrap_or_default().to_owned();
                parts.fold(first, |text, part| {
                    text + &IMAGE.repeat(counts.next().expect("counted before")) + part
                })
            })
            .collect();
        let TokenizedText { input_ids, attention_mask, .. } =
            self.tokenizer.tokenize_longest(&expanded, None)?;
        let image = self.tokenizer.token_to_id(IMAGE);
        if images.is_some() && image.is_none() {
            let message = format!("`{IMAGE}` is not in the vocabulary, so that there is no place for images");
            return Err(Error::Tokenizer { origin: Self::CLASSES[0].into(), message });
        }
        let is_image = |id: &u32| u32::from(Some(*id) == image);
        let mm_token_type_ids = input_ids.iter().map(|row| row.iter().map(is_image).collect()).collect();
        Ok(Qwen2VLProcessed { input_ids, attention_mask, mm_token_type_ids, images })
    }
}

/// The image processor of the folder of a processor.
fn image_processor(folder: &Folder) -> Result<Qwen2VLImageProcessor> {
    const FIELD: &str = "image_processor";
    if folder.has(IMAGE_CONFIG) || !folder.has(CONFIG) {
        return Qwen2VLImageProcessor::load(folder);
    }
    let text = folder.read(CONFIG, Qwen2VLProcessor::CLASSES[0])?;
    let origin = folder.locate(CONFIG).display().to_string();
    let whole = Config::parse(&text, &origin)?;
    let part = whole.get(FIELD).filter(|part| part.is_object()).ok_or_else(|| {
        Error::config(&origin, FIELD, format!("must be an object, and there is no `{IMAGE_CONFIG}`"))
    })?;
    let part = Config::parse(part.to_string().as_bytes(), &origin)?;
    Qwen2VLImageProcessor::from_config(&part)
}
