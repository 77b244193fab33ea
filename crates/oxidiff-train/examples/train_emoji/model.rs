//! The shape of the model, which is that of another pipeline, and the pipeline that is written.

use std::error::Error;
use std::path::{Path, PathBuf};

use oxidiff::image::RgbImage;
use oxidiff::training::Trained;
use oxidiff::{
    AutoencoderKL, CLIPTextModel, CLIPTokenizer, Config, Device, Generator, Model, Pipeline, Scheduler,
    StableDiffusionComponents, StableDiffusionPipeline, TextToImage, UNet2DConditionModel,
    scheduler_from_config,
};

/// How samples are drawn.
const SAMPLE_STEPS: usize = 25;
const GUIDANCE_SCALE: f64 = 4.0;
const SAMPLES_AT_ONCE: usize = 4;

const GENERATION_CONFIG: &str = "generation_config.json";

/// The pipeline whose shape the model has.
pub struct Shape {
    folder: PathBuf,
    tokenizer: CLIPTokenizer,
    pub scheduler: Box<dyn Scheduler>,
}

impl Shape {
    /// Reads what does not depend on weights.
    pub fn of(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let file = folder.join("scheduler/scheduler_config.json");
        let config = Config::from_file(&file)?;
        let class = config.class_name().ok_or_else(|| format!("{}: has no `_class_name`", file.display()))?;
        Ok(Self {
            folder: folder.to_path_buf(),
            tokenizer: CLIPTokenizer::from_pretrained(folder.join("tokenizer"))?,
            scheduler: scheduler_from_config(class, &config)?,
        })
    }

    /// A part of the pipeline with random weights.
    fn part<M: Model>(&self, name: &str, seed: u64) -> Result<M, Box<dyn Error>> {
        let model =
            M::from_config(&Config::from_file(self.folder.join(name).join("config.json"))?, &Device::flex())?;
        Ok(with_random_weights(model, seed))
    }

    /// The autoencoder with random weights, and with the scaling factor that normalised latents have.
    pub fn vae(&self, seed: u64) -> Result<AutoencoderKL, Box<dyn Error>> {
        let config = Config::from_file(self.folder.join("vae/config.json"))?;
        let mut config = AutoencoderKL::from_config(&config, &Device::flex())?.config().clone();
        (config.scaling_factor, config.shift_factor) = (1.0, None);
        (config.latents_mean, config.latents_std) = (None, None);
        Ok(with_random_weights(AutoencoderKL::init(&config, &Device::flex())?, seed))
    }

    /// The text encoder with random weights.
    pub fn text_encoder(&self, seed: u64) -> Result<CLIPTextModel, Box<dyn Error>> {
        self.part("text_encoder", seed)
    }

    /// The UNet with random weights.
    pub fn unet(&self, seed: u64) -> Result<UNet2DConditionModel, Box<dyn Error>> {
        self.part("unet", seed)
    }

    /// The tokens of captions.
    pub fn tokens(
        &self,
        captions: &[&str],
        text_encoder: &CLIPTextModel,
    ) -> Result<Vec<Vec<u32>>, Box<dyn Error>> {
        let most = text_encoder.config().max_position_embeddings;
        let length = self.tokenizer.model_max_length().map_or(most, |length| length.min(most));
        Ok(self.tokenizer.tokenize(captions, length)?.input_ids)
    }

    /// The pipeline with these models.
    pub fn pipeline(
        &self,
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
    ) -> Result<StableDiffusionPipeline, Box<dyn Error>> {
        let mut pipeline = StableDiffusionPipeline::new(StableDiffusionComponents {
            vae: Box::new(vae),
            tokenizer: self.tokenizer.clone(),
            scheduler: self.scheduler.clone(),
            unet,
            text_encoder,
            safety_checker: None,
            feature_extractor: None,
            image_encoder: None,
        })?;
        pipeline.set_progress_bar(false);
        Ok(pipeline)
    }

    /// Writes the pipeline, with the number of steps and the guidance that the other one asks for.
    pub fn save(&self, pipeline: &mut StableDiffusionPipeline, output: &Path) -> Result<(), Box<dyn Error>> {
        pipeline.save_pretrained(output)?;
        let defaults = self.folder.join(GENERATION_CONFIG);
        if defaults.is_file() {
            oxidiff::write_whole(&output.join(GENERATION_CONFIG), &std::fs::read(defaults)?)?;
        }
        Ok(())
    }

    /// An image of each prompt.
    pub fn samples(
        &self,
        pipeline: &mut StableDiffusionPipeline,
        prompts: &[String],
        seed: u64,
    ) -> Result<Vec<RgbImage>, Box<dyn Error>> {
        let mut images = Vec::new();
        for (index, prompts) in prompts.chunks(SAMPLES_AT_ONCE).enumerate() {
            let output = pipeline.call(TextToImage {
                num_inference_steps: SAMPLE_STEPS,
                guidance_scale: GUIDANCE_SCALE,
                generator: Some(Generator::manual_seed(seed + index as u64).into()),
                ..TextToImage::from(prompts.to_vec())
            })?;
            images.extend(output.images.into_images().into_iter().map(|image| image.into_rgb8()));
        }
        Ok(images)
    }
}

/// Parameters are made when they are first read, in the order of the model's fields.
fn with_random_weights<M: Model>(model: M, seed: u64) -> M {
    Device::flex().seed(seed);
    model.read(&mut |_, _, _| {});
    model
}
