//! Images that are given in a row for each model, not for each prompt.

use super::ControlImages;
use crate::pipelines::request::{Argument, ArgumentKind, FromArgument};

/// The images that T2I-Adapters follow, or a ControlNet for several types of images: values in [0, 1].
///
/// They are given as those of ControlNets ([`ControlImages`]), for each adapter or for each type. An adapter with one channel takes
/// them in grey, one with three in colour; tensors must have the channels of the model.
///
/// ```
/// use oxidiff::{FollowedImages, PipelineImageInput, image::DynamicImage};
///
/// let sketch = DynamicImage::new_luma8(64, 64);
/// // For one adapter or type: an image for all prompts, or one for each prompt.
/// let one: FollowedImages = sketch.clone().into();
/// // For several: an image for each.
/// let both: FollowedImages = vec![sketch.clone(), sketch.clone()].into();
/// // For several, with an image for each of two prompts.
/// let batches: FollowedImages = vec![PipelineImageInput::Images(vec![sketch.clone(), sketch]); 2].into();
/// # let _ = (one, both, batches);
/// ```
#[derive(Clone, Debug, Default)]
pub struct FollowedImages(ControlImages);

impl<T: Into<ControlImages>> From<T> for FollowedImages {
    fn from(images: T) -> Self {
        Self(images.into())
    }
}

impl From<FollowedImages> for Argument {
    fn from(images: FollowedImages) -> Self {
        images.0.into()
    }
}

/// A list of lists has a row for each adapter or type, with an image for each prompt, as in Python.
impl FromArgument for FollowedImages {
    const KIND: ArgumentKind = ArgumentKind::Images;

    fn from_argument(argument: Argument) -> std::result::Result<Self, String> {
        let is_list = |item: &Argument| matches!(item, Argument::List(_));
        match argument {
            Argument::List(rows) if rows.iter().any(is_list) => {
                let rows = rows.into_iter().map(|row| ControlImages::from_argument(row)?.joined());
                Ok(Self(ControlImages::Each(rows.collect::<std::result::Result<_, _>>()?)))
            }
            argument => Ok(Self(ControlImages::from_argument(argument)?)),
        }
    }
}

impl FollowedImages {
    /// The images, which are not turned round.
    pub(in crate::pipelines::common) fn rows(&self) -> &ControlImages {
        &self.0
    }
}
