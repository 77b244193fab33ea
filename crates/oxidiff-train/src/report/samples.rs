//! Images that a training makes to show its progress.

use image::RgbImage;

/// Images of the model at one step.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a> {
    /// The number of steps that the model was trained for.
    pub step: u64,
    /// What TensorBoard calls them; the scripts say `validation`, and `test_samples` for unconditional models.
    pub tag: &'a str,
    /// The prompts, which the picture's description and TensorBoard show; none for unconditional models.
    pub prompts: &'a [&'a str],
    /// The images.
    pub images: &'a [RgbImage],
    /// How many images a row has; by default, the picture is nearly square.
    pub columns: Option<usize>,
}
