//! Where the pictures of IP-Adapters count.

use burn::tensor::Tensor;

use super::IpAdapterImages;
use crate::error::{Error, Result};
use crate::image_processor::{PipelineImageInput, PreprocessOptions, VaeImageProcessor};
use crate::pipelines::request::{Argument, FromArgument};
use crate::wording::counted;

/// The masks of each IP-Adapter: for each of its pictures, where that picture counts.
///
/// A mask has the proportions of the resulting image; other proportions are warned about, and the mask is cut off or filled up with
/// zeros at the end, as in Python. In a mask that is a picture, pixels count that are at least half bright.
#[derive(Clone, Debug, Default)]
pub struct IpAdapterMasks(Vec<Option<Masks>>);

#[derive(Clone, Debug)]
enum Masks {
    /// Pictures.
    Drawn(PipelineImageInput),
    /// `[1, pictures, height, width]`, between 0 and 1.
    Values(Tensor<4>),
}

impl IpAdapterMasks {
    /// Masks `[1, pictures, height, width]` with values between 0 and 1, as an [`IPAdapterMaskProcessor`] makes them, for each
    /// adapter; those without a mask count everywhere.
    pub fn from_values(each: Vec<Option<Tensor<4>>>) -> Self {
        Self(each.into_iter().map(|mask| mask.map(Masks::Values)).collect())
    }

    /// Masks as pictures, for each adapter.
    pub fn from_images(each: Vec<PipelineImageInput>) -> Self {
        Self(each.into_iter().map(|images| Some(Masks::Drawn(images))).collect())
    }

    /// The masks of each of `adapters` IP-Adapters, `[1, pictures, height, width]`; none at all if none were given.
    ///
    /// # Errors
    /// When there are masks for another number of adapters, or pictures that cannot be read as masks.
    pub(crate) fn prepare(self, adapters: usize) -> Result<Vec<Option<Tensor<4>>>> {
        const ARGUMENT: &str = "ip_adapter_masks";
        if self.0.is_empty() {
            return Ok(Vec::new());
        }
        let drawn: Option<Vec<PipelineImageInput>> = self
            .0
            .iter()
            .map(|masks| match masks {
                Some(Masks::Drawn(images)) => Some(images.clone()),
                _ => None,
            })
            .collect();
        let each = match drawn {
            Some(drawn) => {
                let drawn = IpAdapterImages::from(drawn).for_each(ARGUMENT, adapters)?;
                drawn.into_iter().map(|images| Some(Masks::Drawn(images))).collect()
            }
            None => self.0,
        };
        if each.len() != adapters {
            let (given, adapters) = (counted(each.len(), "item"), counted(adapters, "IP-Adapter"));
            return Err(Error::argument(ARGUMENT, format!("has {given} for {adapters}: give one for each")));
        }
        let values = |masks| match masks {
            None => Ok(None),
            Some(Masks::Values(values)) => Ok(Some(values)),
            Some(Masks::Drawn(images)) => {
                let masks =
                    IPAdapterMaskProcessor::default().preprocess(&images, PreprocessOptions::default());
                let masks = masks.map_err(|error| match error {
                    Error::InvalidArgument { message, .. } => Error::argument(ARGUMENT, message),
                    other => other,
                })?;
                let [count, _, height, width] = masks.dims();
                Ok(Some(masks.reshape([1, count, height, width])))
            }
        };
        each.into_iter().map(values).collect()
    }
}

impl FromArgument for IpAdapterMasks {
    fn from_argument(argument: Argument) -> std::result::Result<Self, String> {
        let items = match argument {
            // A mask for each adapter, `[adapters, 1, height, width]`.
            Argument::Tensor(tensor) => {
                let masks: Tensor<4> = tensor.try_rank()?;
                return Ok(Self::from_values(masks.split(1, 0).into_iter().map(Some).collect()));
            }
            Argument::List(items) => items,
            item => vec![item],
        };
        let masks = |item| {
            Ok(match item {
                Argument::None => None,
                Argument::Tensor(tensor) => Some(Masks::Values(tensor.try_rank()?)),
                item => Some(Masks::Drawn(PipelineImageInput::from_argument(item)?)),
            })
        };
        items.into_iter().map(masks).collect::<std::result::Result<_, String>>().map(Self)
    }
}

/// Turns pictures into masks for IP-Adapters: 1 where they are at least half bright.
///
/// ```
/// use oxidiff::{IPAdapterMaskProcessor, PreprocessOptions, image::DynamicImage};
///
/// let half = DynamicImage::new_luma8(64, 32).into();
/// let masks = IPAdapterMaskProcessor::default().preprocess(&half, PreprocessOptions::default())?;
/// assert_eq!(masks.dims(), [1, 1, 32, 64]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IPAdapterMaskProcessor(VaeImageProcessor);

impl Default for IPAdapterMaskProcessor {
    fn default() -> Self {
        Self(VaeImageProcessor::of_masks(8))
    }
}

impl IPAdapterMaskProcessor {
    /// The masks, `[masks, 1, height, width]`: sizes are rounded down to multiples of 8.
    ///
    /// # Errors
    /// As [`VaeImageProcessor::preprocess`].
    pub fn preprocess(&self, masks: &PipelineImageInput, options: PreprocessOptions) -> Result<Tensor<4>> {
        self.0.preprocess(masks, options)
    }
}
