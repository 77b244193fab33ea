//! What the families have in common whose transformers predict the velocity of latents in patches of 2 by 2: FLUX.1 and its kin.

mod latents;
mod step;

use burn::tensor::Tensor;

pub(crate) use self::latents::PackedFlow;
pub(crate) use self::step::Stepper;
use super::callback::StepCallback;
use super::patches::{self, PATCH_SIZE};
use crate::image_processor::OutputType;
use crate::pipelines::request::AnyTensor;
use crate::random::Generators;

/// The scheduler's timestep at which there is nothing but noise.
pub(crate) const NOISE_TIMESTEP: f32 = 1000.0;

/// The place of a token: of which image it is, from top to bottom, and from left to right.
pub(crate) type Place = [f32; 3];

/// What a call specifies about the run and its result.
pub(crate) struct Settings {
    /// How strongly to follow the prompt, for models that were trained to be told so.
    pub guidance_scale: f64,
    /// How far to go beyond the prediction with the negative prompt, towards that with the prompt.
    pub true_cfg_scale: f64,
    pub num_inference_steps: usize,
    pub sigmas: Option<Vec<f32>>,
    /// Height and width of the images in pixels.
    pub size: [Option<usize>; 2],
    /// The number of images.
    pub images: usize,
    pub num_images_per_prompt: usize,
    pub latents: Option<AnyTensor>,
    pub generator: Generators,
    pub output_type: OutputType,
    pub callback: Option<StepCallback>,
}

/// The places of the tokens of an image with latents of this height and width.
pub(crate) fn places(image: f32, [height, width]: [usize; 2]) -> Vec<Place> {
    let [rows, columns] = [height, width].map(|side| side / PATCH_SIZE);
    let row = |row: usize| (0..columns).map(move |column| [image, row as f32, column as f32]);
    (0..rows).flat_map(row).collect()
}

/// Latents as tokens.
pub(crate) fn tokens(latents: Tensor<4>) -> Tensor<3> {
    patches::to_tokens(patches::cut(latents))
}
