//! From pictures to the images that ControlNets follow, by name: `canny`, `invert`, `tile`, `depth`.

mod canny;
mod depth;
mod tile;

use std::str::FromStr;

use image::{DynamicImage, RgbImage};

pub use canny::canny;

use crate::error::{Error, Result};
use crate::loading::LoadOptions;
use crate::models::model::Model;
use crate::vision::{DPTForDepthEstimation, DPTImageProcessor, ImageProcessor};

/// How to make the image that a ControlNet follows out of a picture.
///
/// ```
/// use oxidiff::{ControlPreprocessor, image::DynamicImage};
///
/// let edges: ControlPreprocessor = "canny:50,150".parse()?;
/// let image = edges.load(&Default::default())?.apply(&DynamicImage::new_rgb8(64, 64))?;
/// assert_eq!((image.width(), image.height()), (64, 64));
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum ControlPreprocessor {
    /// White edges on black, by Canny's algorithm with a lower and an upper threshold: `canny`, or `canny:100,200`.
    Canny {
        /// Edges that are weaker than this are dropped.
        low: f64,
        /// Edges that are stronger than this are kept, and with them weaker ones that continue them.
        high: f64,
    },
    /// Light and dark exchanged, for drawings in black on white: `invert`.
    Invert,
    /// The picture itself, with sides that are multiples of 64: `tile`, or `tile:1024` for a shorter side of that length.
    Tile {
        /// The length of the shorter side in pixels, before it is rounded.
        resolution: Option<u32>,
    },
    /// The depth that a DPT model estimates, from a folder or the hub: `depth:Intel/dpt-large`.
    Depth {
        /// The folder, or the name on the hub.
        model: String,
    },
}

/// Reads a name with its options: `canny:100,200`.
///
/// # Errors
/// When there is no such name, or an option has another form.
impl FromStr for ControlPreprocessor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const ARGUMENT: &str = "control_preprocessor";
        let wrong = |message: String| Err(Error::argument(ARGUMENT, message));
        let (name, options) = match text.split_once(':') {
            Some((name, options)) => (name, Some(options)),
            None => (text, None),
        };
        match (name, options) {
            ("canny", None) => Ok(Self::Canny { low: 100.0, high: 200.0 }),
            ("canny", Some(options)) => {
                let thresholds: Vec<f64> = options
                    .split(',')
                    .filter_map(|text| text.trim().parse().ok())
                    .filter(|it: &f64| it.is_finite())
                    .collect();
                match thresholds[..] {
                    [low, high] if options.split(',').count() == 2 => Ok(Self::Canny { low, high }),
                    _ => wrong(format!(
                        "`canny` takes two thresholds, such as `canny:100,200`, not `{options}`"
                    )),
                }
            }
            ("invert", None) => Ok(Self::Invert),
            ("tile", None) => Ok(Self::Tile { resolution: None }),
            ("tile", Some(options)) => match options.parse() {
                Ok(resolution) if (1..=1 << 15).contains(&resolution) => {
                    Ok(Self::Tile { resolution: Some(resolution) })
                }
                _ => wrong(format!(
                    "`tile` takes a number of pixels up to 32768, such as `tile:1024`, not `{options}`"
                )),
            },
            ("depth", Some(model)) if !model.is_empty() => Ok(Self::Depth { model: model.to_owned() }),
            ("depth", _) => wrong("`depth` needs a model: `depth:Intel/dpt-large`".to_owned()),
            ("invert", Some(_)) => wrong("`invert` takes no options".to_owned()),
            (other, _) => {
                wrong(format!("there is no `{other}`; available: `canny`, `invert`, `tile`, `depth:MODEL`"))
            }
        }
    }
}

/// A [`ControlPreprocessor`] with everything that it needs.
#[derive(Debug)]
pub struct LoadedPreprocessor(Loaded);

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of these in a program")]
enum Loaded {
    Canny([f64; 2]),
    Invert,
    Tile(Option<u32>),
    Depth(DPTForDepthEstimation, DPTImageProcessor),
}

impl ControlPreprocessor {
    /// Loads the model that it needs, if any.
    ///
    /// # Errors
    /// When the model cannot be loaded.
    pub fn load(&self, options: &LoadOptions) -> Result<LoadedPreprocessor> {
        Ok(LoadedPreprocessor(match self {
            Self::Canny { low, high } => Loaded::Canny([*low, *high]),
            Self::Invert => Loaded::Invert,
            Self::Tile { resolution } => Loaded::Tile(*resolution),
            Self::Depth { model } => Loaded::Depth(
                DPTForDepthEstimation::from_pretrained_with(model, options)?,
                DPTImageProcessor::from_pretrained_with(model, options)?,
            ),
        }))
    }
}

impl LoadedPreprocessor {
    /// The image to follow, in RGB: of the size of the picture, except for `tile`.
    ///
    /// # Errors
    /// When the picture has no pixels, `tile` would leave none, or its depth cannot be estimated.
    pub fn apply(&self, picture: &DynamicImage) -> Result<DynamicImage> {
        if picture.width() == 0 || picture.height() == 0 {
            return Err(Error::argument("control_image", "has no pixels"));
        }
        Ok(match &self.0 {
            Loaded::Canny([low, high]) => DynamicImage::from(canny(picture, *low, *high)).to_rgb8().into(),
            Loaded::Invert => {
                let mut inverted: RgbImage = picture.to_rgb8();
                inverted.as_mut().iter_mut().for_each(|byte| *byte = 255 - *byte);
                inverted.into()
            }
            Loaded::Tile(resolution) => tile::resized(picture, *resolution)?,
            Loaded::Depth(model, processor) => depth::estimate(picture, model, processor)?,
        })
    }
}
