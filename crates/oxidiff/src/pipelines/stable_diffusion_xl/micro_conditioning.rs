//! Conditions the UNet on the size, the crop and the aesthetic score of its image (section 2.2 of the paper).

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::components::StableDiffusionXLComponents;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::pipelines::common::ignored::warn_of_ignored;

/// The numbers for one image.
#[derive(Clone, Copy, Debug)]
pub(super) enum Conditions {
    /// The size of the original image, its crop, and the size of the result: height and width, top and left.
    Size { original: [usize; 2], crop: [usize; 2], target: [usize; 2] },
    /// The size of the original image, its crop, and its aesthetic score.
    Score { original: [usize; 2], crop: [usize; 2], score: f64 },
}

impl Conditions {
    fn numbers(self) -> Vec<f64> {
        let sides = |sizes: &[[usize; 2]]| sizes.as_flattened().iter().map(|&side| side as f64).collect();
        match self {
            Self::Size { original, crop, target } => sides(&[original, crop, target]),
            Self::Score { original, crop, score } => {
                let mut numbers: Vec<f64> = sides(&[original, crop]);
                numbers.push(score);
                numbers
            }
        }
    }
}

/// The conditions of a call with an image.
#[derive(Clone, Copy, Debug)]
pub(super) struct ImageConditions {
    pub original: Option<[usize; 2]>,
    pub crop: [usize; 2],
    pub target: Option<[usize; 2]>,
    pub negative_original: Option<[usize; 2]>,
    pub negative_crop: [usize; 2],
    pub negative_target: Option<[usize; 2]>,
    /// The aesthetic scores of the prompt and the negative prompt, for a model that is conditioned on them.
    pub scores: Option<[f64; 2]>,
}

impl ImageConditions {
    /// Warns of conditions that the model is not told, as in Python.
    pub fn warn_of_ignored(&self) {
        let scored = "the model is conditioned on aesthetic scores instead";
        let unscored = "without aesthetic scores, the negative prompt has the crop of the prompt";
        if self.scores.is_some() {
            warn_of_ignored("target_size", self.target.is_some(), scored);
            warn_of_ignored("negative_target_size", self.negative_target.is_some(), scored);
        } else {
            warn_of_ignored("negative_crops_coords_top_left", self.negative_crop != [0, 0], unscored);
        }
    }

    /// The conditions of each item of the model's batch: those of the negative prompt come first.
    pub fn rows(&self, result: [usize; 2], images: usize, guided: bool) -> Vec<Conditions> {
        let (original, target) = (self.original.unwrap_or(result), self.target.unwrap_or(result));
        let negative_original = self.negative_original.unwrap_or(original);
        let negative_target = self.negative_target.unwrap_or(target);
        let [negative, positive] = match self.scores {
            // As in Python, the negative prompt has the crop of the prompt.
            None => [(negative_original, negative_target), (original, target)]
                .map(|(original, target)| Conditions::Size { original, crop: self.crop, target }),
            Some([score, negative_score]) => {
                [(negative_original, self.negative_crop, negative_score), (original, self.crop, score)]
                    .map(|(original, crop, score)| Conditions::Score { original, crop, score })
            }
        };
        let mut rows = if guided { vec![negative; images] } else { Vec::new() };
        rows.extend(vec![positive; images]);
        rows
    }
}

impl StableDiffusionXLComponents {
    /// The numbers for each item of the batch as the UNet takes them, `[batch, numbers]`, together with texts of
    /// `pooled` features.
    ///
    /// # Errors
    /// When the UNet takes another count of numbers.
    pub(super) fn time_ids(
        &self,
        conditions: &[Conditions],
        pooled: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor<2>> {
        let rows: Vec<Vec<f64>> = conditions.iter().map(|conditions| conditions.numbers()).collect();
        let given = rows[0].len();
        self.check_count(given, pooled)?;
        let values: Vec<f32> = rows.into_iter().flatten().map(|number| number as f32).collect();
        let ids = TensorData::new(values, [conditions.len(), given]);
        Ok(Tensor::<2>::from_data(ids, device).cast(dtype))
    }

    fn check_count(&self, given: usize, pooled: usize) -> Result<()> {
        let config = self.unet.config();
        let field = |field: &str, message: String| Err(Error::config("unet/config.json", field, message));
        let (Some(each), Some(all)) =
            (config.addition_time_embed_dim, config.projection_class_embeddings_input_dim)
        else {
            return field("addition_embed_type", "must be `text_time` for this pipeline".into());
        };
        if each * given + pooled == all {
            return Ok(());
        }
        let fits = |count: usize| each * count + pooled == all;
        let hint = if fits(5) {
            ": this is the UNet of a refiner, whose pipeline has `requires_aesthetics_score`"
        } else if fits(6) {
            ": this UNet is conditioned on sizes only; set `requires_aesthetics_score` to false"
        } else {
            ""
        };
        let message = format!(
            "is {all}, but {given} numbers of {each} features and a text of {pooled} make {}{hint}",
            each * given + pooled
        );
        field("projection_class_embeddings_input_dim", message)
    }
}
