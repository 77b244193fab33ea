//! Between images and the tensors that an autoencoder encodes and decodes.

mod bitmap;
mod crop_region;
mod images;
mod jpeg_end;
mod load_image;
mod masked_region;
mod overlay;
mod pipeline_image_input;
mod resample;
mod resize_mode;
mod vae_image_processor;

pub(crate) use bitmap::Bitmap;
pub use crop_region::CropRegion;
pub use images::{Images, OutputType};
pub use load_image::{load_image, load_image_unconverted};
pub use pipeline_image_input::PipelineImageInput;
pub use resample::Resample;
pub(crate) use resample::{Arithmetic, resampling_matrix};
pub use resize_mode::ResizeMode;
pub use vae_image_processor::{PreprocessOptions, VaeImageProcessor};
pub(crate) use vae_image_processor::{postprocess, resize_nearest};
