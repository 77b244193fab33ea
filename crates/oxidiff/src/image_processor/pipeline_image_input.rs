//! Images as a pipeline takes them.

use burn::tensor::Tensor;
use image::DynamicImage;

/// Input images of a pipeline: Python's `PIL` images, `torch` tensors or `numpy` arrays.
///
/// ```
/// use oxidiff::{Device, PipelineImageInput, Tensor, image::DynamicImage};
///
/// let one: PipelineImageInput = DynamicImage::new_rgb8(64, 64).into();
/// let several: PipelineImageInput = vec![DynamicImage::new_rgb8(64, 64); 2].into();
/// let tensor: PipelineImageInput = Tensor::<4>::zeros([1, 3, 64, 64], &Device::flex()).into();
/// # let _ = (one, several, tensor);
/// ```
#[derive(Clone, Debug)]
pub enum PipelineImageInput {
    /// Images; the size of the first counts for all of them.
    Images(Vec<DynamicImage>),
    /// Images whose pixels are never mixed: they are resized by picking the nearest pixel, as Pillow resizes images of one
    /// bit or with a palette (its modes `1` and `P`).
    Unfiltered(Vec<DynamicImage>),
    /// Values in [0, 1], `[batch, channels, height, width]`, or latents.
    Tensor(Tensor<4>),
    /// Values in [0, 1], `[batch, height, width, channels]`.
    Array(Tensor<4>),
}

impl PipelineImageInput {
    /// The images; `None` for values.
    pub fn images(&self) -> Option<&[DynamicImage]> {
        match self {
            Self::Images(images) | Self::Unfiltered(images) => Some(images),
            Self::Tensor(_) | Self::Array(_) => None,
        }
    }
}

impl From<DynamicImage> for PipelineImageInput {
    fn from(image: DynamicImage) -> Self {
        Self::Images(vec![image])
    }
}

impl From<Vec<DynamicImage>> for PipelineImageInput {
    fn from(images: Vec<DynamicImage>) -> Self {
        Self::Images(images)
    }
}

impl From<Tensor<4>> for PipelineImageInput {
    fn from(tensor: Tensor<4>) -> Self {
        Self::Tensor(tensor)
    }
}
