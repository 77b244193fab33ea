//! A new word for Stable Diffusion (Gal et al. 2022, <https://arxiv.org/abs/2208.01618>): `textual_inversion.py`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use oxidiff::training::{ParameterGradients, Recording, StateFile, TokenEmbeddings, Trained};
use oxidiff::{CLIPTextModel, Model, Pipeline, UNet2DConditionInputs, UNet2DConditionModel};

use crate::batches::Batch;
use crate::data::Dataset;
use crate::error::Result;
use crate::latent_diffusion::{Example, NoiseOptions};
use crate::learner::Learner;
use crate::options::{CommonOptions, Differences, ModelOptions, RateCourse, with_defaults};
use crate::random::Random;
use crate::report::{Family, Method, ModelCard};
use crate::sources::{ConceptImages, LearnableProperty};
use crate::stable_diffusion::StableDiffusion;
use crate::stop::Stop;
use crate::task::{Due, SampleImages, Task};
use crate::trainer::{Outcome, train};
use crate::validation::Validation;

/// The options of `oxidiff train textual-inversion`: the flags of `textual_inversion.py`.
#[derive(Args, Clone, Debug)]
#[command(
    mut_arg("output_dir", |it| it.default_value("text-inversion-model")),
    mut_arg("max_train_steps", |it| it.default_value("5000"))
)]
pub struct TextualInversionOptions {
    /// What to begin with.
    #[command(flatten)]
    pub model: ModelOptions,
    /// What all trainings share.
    #[command(flatten)]
    pub common: CommonOptions,
    /// The folder of the images
    #[arg(long, value_name = "DIR")]
    pub train_data_dir: PathBuf,
    /// The new word, which no prompt has otherwise, such as `<cat-toy>`
    #[arg(long, value_name = "WORD")]
    pub placeholder_token: String,
    /// A known word to begin with, of one token, such as toy
    #[arg(long, value_name = "WORD")]
    pub initializer_token: String,
    /// What the images have in common
    #[arg(long, value_enum, default_value_t = LearnableProperty::Object)]
    pub learnable_property: LearnableProperty,
    /// How many vectors the word has
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub num_vectors: u32,
    /// How often each image is in an epoch
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub repeats: u32,
    /// Take the middle of images that are not square; by default they are distorted
    #[arg(long)]
    pub center_crop: bool,
    /// After how many steps to write what was learned
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    pub save_steps: u64,
    /// Write the whole pipeline, with the new word
    #[arg(long)]
    pub save_as_full_pipeline: bool,
    /// A prompt with the new word to make images of, to show the progress
    #[arg(long, value_name = "PROMPT")]
    pub validation_prompt: Option<String>,
    /// How many images to make of it
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub num_validation_images: u32,
    /// After how many steps to make them
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub validation_steps: u64,
}

impl TextualInversionOptions {
    /// The defaults, for a model, a folder of images, the new word, and a known one to begin with.
    pub fn new(
        pretrained_model_name_or_path: &str,
        train_data_dir: impl AsRef<Path>,
        placeholder_token: &str,
        initializer_token: &str,
        output_dir: impl AsRef<Path>,
    ) -> Self {
        with_defaults(&[
            ("pretrained-model-name-or-path", Path::new(pretrained_model_name_or_path)),
            ("train-data-dir", train_data_dir.as_ref()),
            ("placeholder-token", Path::new(placeholder_token)),
            ("initializer-token", Path::new(initializer_token)),
            ("output-dir", output_dir.as_ref()),
        ])
    }
}

/// Trains a new word until the end, or until `stop` asks to stop. The result is `learned_embeds.safetensors` in `output_dir`,
/// which [`load_textual_inversion`](oxidiff::TextualInversionLoader::load_textual_inversion) reads.
///
/// # Errors
/// When an option makes no sense, the model, the images or a checkpoint cannot be read, or the folder cannot be written.
pub fn textual_inversion(options: &TextualInversionOptions, stop: &Stop) -> Result<Outcome> {
    let differences =
        Differences { run_name: "textual_inversion", loss_tag: "loss", rate: RateCourse::Steps };
    let TextualInversionOptions { model, common, .. } = options;
    common.check()?;
    model.check(true)?;
    let dataset = Dataset::open_plain_folder(&options.train_data_dir)?;
    let mut random = common.random();
    let (mut frozen, unet, text_encoder) = StableDiffusion::load(model, common.dtype()?, common.resolution)?;
    let (word, known) = (&options.placeholder_token, &options.initializer_token);
    let count = options.num_vectors as usize;
    let embeddings = TokenEmbeddings::new(word, known, count, &mut frozen.tokenizer, &text_encoder)?;
    skip_resized_table(&mut random, &frozen, &text_encoder, count);
    let data = common.data(ConceptImages {
        dataset: Arc::new(dataset),
        placeholder: embeddings.prompt(),
        property: options.learnable_property,
        repeats: options.repeats as usize,
        resolution: common.resolution,
        center_crop: options.center_crop,
    });
    let prepared = common.prepare(&data, &differences)?;
    let mut task = TextualInversionTask {
        options: options.clone(),
        frozen,
        unet,
        text_encoder,
        learner: Learner::new(embeddings, prepared.adam_w, None),
    };
    train(&mut task, &data, &prepared.plan, random, prepared.report, stop)
}

/// Draws what transformers draws for a larger table of embeddings: a whole table, and then the new rows.
fn skip_resized_table(
    random: &mut Random,
    frozen: &StableDiffusion,
    text_encoder: &CLIPTextModel,
    count: usize,
) {
    let features = text_encoder.config().hidden_size;
    random.torch.randn_vec::<f32>(frozen.tokenizer.vocab_size() * features);
    random.torch.randn_vec::<f32>(count * features);
}

struct TextualInversionTask {
    options: TextualInversionOptions,
    /// With the new word in the tokenizer.
    frozen: StableDiffusion,
    unet: UNet2DConditionModel,
    /// Without the new word.
    text_encoder: CLIPTextModel,
    learner: Learner<TokenEmbeddings>,
}

impl TextualInversionTask {
    fn weights(&self) -> StateFile {
        let mut file = StateFile::new();
        self.learner.trained().export(&mut file);
        file
    }

    /// The text encoder with the new word.
    fn trained_text_encoder(&self) -> Result<CLIPTextModel> {
        let mut text_encoder = self.text_encoder.clone();
        self.learner.trained().apply(&mut text_encoder, self.frozen.diffusion.dtype)?;
        Ok(text_encoder)
    }
}

impl Task for TextualInversionTask {
    fn learn(
        &mut self,
        batch: Batch,
        parts: usize,
        random: &mut Random,
    ) -> Result<(f32, ParameterGradients)> {
        let Example { noisy, timesteps, target } =
            self.frozen.diffusion.example(batch.images, NoiseOptions::default(), &mut random.torch)?;

        let dtype = self.frozen.diffusion.dtype;
        let mut text_encoder = Recording::frozen(&self.text_encoder, dtype);
        let leaves = self.learner.trained().record(&mut text_encoder, dtype)?;
        let text = self.frozen.text(&batch.captions, &text_encoder)?;
        let unet = Recording::frozen(&self.unet, dtype);
        let inputs = UNet2DConditionInputs::default();
        let noisy = noisy.autodiff();
        let prediction =
            self.options.common.predict(|| unet.forward_with(noisy, &timesteps, text, inputs))?;
        drop((unet, text_encoder));
        let loss = self.frozen.diffusion.loss(prediction, target.autodiff(), &timesteps, None)?;
        let value = loss.clone().into_scalar::<f32>();
        Ok((value, leaves.take(&mut (loss / parts as f64).backward())))
    }

    fn update(&mut self, gradients: &ParameterGradients, learning_rate: f64) {
        self.learner.update(gradients, learning_rate);
    }

    fn save(&self, folder: &Path, state: &mut StateFile) -> Result<()> {
        self.weights().write(&folder.join(WEIGHTS))?;
        self.learner.trained().save_values(state, "word");
        self.learner.save(state);
        Ok(())
    }

    fn load(&mut self, _folder: &Path, state: &StateFile) -> Result<()> {
        let trained = self.learner.trained().clone().with_values(state, "word")?;
        self.learner.load(trained, state)
    }

    fn due_after_epoch(&self, _epoch: u64, is_last: bool) -> Due {
        Due { samples: is_last && self.options.validation_prompt.is_some(), model: is_last, interim: false }
    }

    fn due_after_step(&self, step: u64) -> Due {
        let is_time = step.is_multiple_of(self.options.validation_steps);
        let samples = is_time && self.options.validation_prompt.is_some();
        Due { samples, model: false, interim: step.is_multiple_of(self.options.save_steps) }
    }

    fn samples(&self, stop: &Stop) -> Result<Option<SampleImages>> {
        let prompts = Vec::from_iter(self.options.validation_prompt.clone());
        let mut pipeline = self.frozen.solver_pipeline(self.unet.clone(), self.trained_text_encoder()?)?;
        let images = self.options.num_validation_images;
        let validation =
            Validation { prompts: &prompts, images, steps: Some(25), seed: self.options.common.seed };
        validation.samples(&mut pipeline, stop)
    }

    fn write(&self, folder: &Path) -> Result<()> {
        if self.options.save_as_full_pipeline {
            let mut pipeline = self.options.model.load_pipeline()?;
            pipeline.tokenizer = self.frozen.tokenizer.clone();
            self.learner.trained().apply(&mut pipeline.text_encoder, oxidiff::DType::F32)?;
            pipeline.save_pretrained(folder)?;
        }
        Ok(self.weights().write(&folder.join(WEIGHTS))?)
    }

    fn write_interim(&self, folder: &Path, step: u64) -> Result<()> {
        Ok(self.weights().write(&folder.join(format!("learned_embeds-steps-{step}.safetensors")))?)
    }

    fn card(&self) -> ModelCard {
        let TextualInversionOptions { model, common, .. } = &self.options;
        let mut hyperparameters = common.hyperparameters();
        hyperparameters.push(("Vectors".to_owned(), self.options.num_vectors.to_string()));
        ModelCard {
            base_model: Some(model.pretrained_model_name_or_path.clone()),
            placeholder_token: Some(self.options.placeholder_token.clone()),
            hyperparameters,
            ..ModelCard::new(Method::TextualInversion, Family::StableDiffusion, common.name())
        }
    }
}

/// The file of the new word.
const WEIGHTS: &str = "learned_embeds.safetensors";
