//! The safety checker of Stable Diffusion: it compares the embedding of an image with the embeddings of concepts.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::clip_vision::{CLIPVisionConfig, CLIPVisionOutput, ClipVisionTransformer};
use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::weights::OldKey;
use crate::models::call::call;
use crate::models::finite::is_finite;
use crate::models::layers::linear::Linear;
use crate::models::layers::parameter;
use crate::models::model::{Model, compiled_with_the_library, saved_transformers_config};

/// The number of concepts that an image must not show.
const CONCEPTS: usize = 17;
/// The number of concepts whose presence makes the check of all others stricter.
const SPECIAL_CARE: usize = 3;
/// How much stricter.
const ADJUSTMENT: f32 = 0.01;

/// The configuration of a [`StableDiffusionSafetyChecker`]; fields and defaults are those of transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct CLIPConfig {
    pub architectures: Option<Vec<String>>,
    pub initializer_factor: Option<f64>,
    pub logit_scale_init_value: Option<f64>,
    pub model_type: String,
    pub projection_dim: Option<usize>,
    pub vision_config: Option<CLIPVisionConfig>,
    /// Used by old files instead of `vision_config`; it counts if both are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vision_config_dict: Option<CLIPVisionConfig>,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for CLIPConfig {
    fn default() -> Self {
        Self {
            architectures: Some(vec!["StableDiffusionSafetyChecker".into()]),
            initializer_factor: Some(1.0),
            logit_scale_init_value: Some(2.6592),
            model_type: "clip".into(),
            projection_dim: Some(512),
            vision_config: None,
            vision_config_dict: None,
            other: Map::new(),
        }
    }
}

/// The result of a [`StableDiffusionSafetyChecker`] for a batch of images.
#[derive(Clone, Debug)]
pub struct SafetyCheckerOutput {
    /// Which images show something that they must not.
    pub has_nsfw_concepts: Vec<bool>,
    /// For each image, how far it is above the threshold of each special-care concept.
    pub special_scores: Vec<Vec<f32>>,
    /// For each image, how far it is above the threshold of each concept.
    pub concept_scores: Vec<Vec<f32>>,
    /// The embeddings of the images, `[images, projection_dim]`.
    pub image_embeds: Tensor<2>,
}

/// Checks whether images show something that they must not.
#[derive(Module, Debug)]
pub struct StableDiffusionSafetyChecker {
    vision_model: ClipVisionTransformer,
    visual_projection: Linear,
    /// `[17, projection_dim]`.
    concept_embeds: Param<Tensor<2>>,
    /// `[3, projection_dim]`.
    special_care_embeds: Param<Tensor<2>>,
    /// The thresholds, `[17]`.
    concept_embeds_weights: Param<Tensor<1>>,
    /// The thresholds, `[3]`.
    special_care_embeds_weights: Param<Tensor<1>>,
    #[module(skip)]
    config: CLIPConfig,
}

impl Model for StableDiffusionSafetyChecker {
    type Config = CLIPConfig;

    const CLASS_NAME: &'static str = "StableDiffusionSafetyChecker";
    const LIBRARY: &'static str = "stable_diffusion";
    const WEIGHTS_NAME: &'static str = "model";

    /// Before transformers 5, the vision model contained a second `vision_model`.
    const OLD_KEY: OldKey =
        |key| Some(format!("vision_model.{}", Some(key).filter(|key| key.starts_with("vision_model."))?));

    fn init(config: &CLIPConfig, device: &Device) -> Result<Self> {
        let default = CLIPVisionConfig::default();
        let (field, vision) = match (&config.vision_config_dict, &config.vision_config) {
            (Some(vision), _) => ("vision_config_dict", vision),
            (None, Some(vision)) => ("vision_config", vision),
            (None, None) => ("vision_config", &default),
        };
        let projection = config
            .projection_dim
            .filter(|dim| (1..=1 << 16).contains(dim))
            .ok_or_else(|| Error::config("", "projection_dim", "must be between 1 and 65536"))?;
        let vision_model = ClipVisionTransformer::init(vision, device).map_err(|error| match error {
            Error::Config { field: inner, message, .. } => {
                Error::config("", format!("{field}.{inner}"), message)
            }
            other => other,
        })?;
        Ok(Self {
            vision_model,
            visual_projection: Linear::init(vision.hidden_size, projection, false, device),
            concept_embeds: parameter::constant([CONCEPTS, projection], 1.0, device),
            special_care_embeds: parameter::constant([SPECIAL_CARE, projection], 1.0, device),
            concept_embeds_weights: parameter::constant([CONCEPTS], 1.0, device),
            special_care_embeds_weights: parameter::constant([SPECIAL_CARE], 1.0, device),
            config: config.clone(),
        })
    }

    fn config(&self) -> &CLIPConfig {
        &self.config
    }

    fn place_on_card(&mut self, _: &Device) -> Result<()> {
        // It runs once for an image, and stays on the CPU.
        Ok(())
    }

    fn saved_config(&self) -> Config {
        saved_transformers_config(&self.config)
    }

    compiled_with_the_library!();
}

impl StableDiffusionSafetyChecker {
    /// Embeds images with the vision model of CLIP.
    ///
    /// # Errors
    /// As for [`Self::forward`].
    pub fn embed(&self, clip_input: Tensor<4>) -> Result<CLIPVisionOutput> {
        call(Self::CLASS_NAME, &clip_input.device(), || self.vision_model.forward(clip_input))
    }

    /// Checks images `[images, channels, height, width]`, as prepared by an image processor.
    ///
    /// # Errors
    /// When the images do not have the size that the model expects, or their embeddings are not finite.
    pub fn forward(&self, clip_input: Tensor<4>) -> Result<SafetyCheckerOutput> {
        let image_embeds = self.visual_projection.forward(self.embed(clip_input)?.pooler_output);
        // Every comparison with NaN is false, so such an image would pass.
        if !is_finite(&image_embeds) {
            let message = "the embeddings of the images are not finite, so the images cannot be checked; compute in f32";
            return Err(Error::NonFinite { place: "safety_checker".into(), message: message.into() });
        }
        let special = cosines(&image_embeds, &self.special_care_embeds);
        let concepts = cosines(&image_embeds, &self.concept_embeds);
        let special_thresholds = values(self.special_care_embeds_weights.val());
        let thresholds = values(self.concept_embeds_weights.val());

        let (mut special_scores, mut concept_scores) = (Vec::new(), Vec::new());
        for (special, concepts) in special.iter().zip(&concepts) {
            let mut adjustment = 0.0;
            let mut scores = Vec::new();
            for (cosine, threshold) in special.iter().zip(&special_thresholds) {
                let score = rounded(cosine - threshold + adjustment);
                if score > 0.0 {
                    adjustment = ADJUSTMENT;
                }
                scores.push(score);
            }
            special_scores.push(scores);
            let score = |(cosine, threshold): (&f32, &f32)| rounded(cosine - threshold + adjustment);
            concept_scores.push(concepts.iter().zip(&thresholds).map(score).collect::<Vec<f32>>());
        }
        let has_nsfw_concepts =
            concept_scores.iter().map(|scores| scores.iter().any(|score| *score > 0.0)).collect();
        Ok(SafetyCheckerOutput { has_nsfw_concepts, special_scores, concept_scores, image_embeds })
    }
}

/// Rounds to three decimals, so that a score of at most half a thousandth is 0.
fn rounded(score: f32) -> f32 {
    (score * 1000.0).round_ties_even() / 1000.0
}

/// The cosine of the angle between each image and each concept.
fn cosines(images: &Tensor<2>, concepts: &Param<Tensor<2>>) -> Vec<Vec<f32>> {
    let normalized = |x: Tensor<2>| {
        let length = x.clone().powi_scalar(2).sum_dim(1).sqrt().clamp_min(1e-12);
        x / length
    };
    let concepts = concepts.val();
    let count = concepts.dims()[0];
    let images = normalized(images.clone().cast(DType::F32));
    let products = images.matmul(normalized(concepts.cast(DType::F32)).transpose());
    let products: Vec<f32> = products.into_data().iter().collect();
    products.chunks(count).map(<[f32]>::to_vec).collect()
}

fn values(x: Tensor<1>) -> Vec<f32> {
    x.cast(DType::F32).into_data().iter().collect()
}
