//! The training loop, written out.

use std::path::{Path, PathBuf};

use oxidiff::training::{AdamW, AdamWConfig, Recording, SchedulerType, get_scheduler, mse};
use oxidiff::{
    DDPMPipeline, DDPMScheduler, DType, Device, DownBlockType::*, Generator, Model, Pipeline, SampleSize,
    Scheduler, Tensor, UNet2DConfig, UNet2DModel, Unconditional, UpBlockType::*, VaeImageProcessor,
    load_image,
};

pub struct TrainingConfig {
    pub image_size: usize,
    pub channels: Vec<usize>,
    pub train_batch_size: usize,
    pub num_epochs: usize,
    pub learning_rate: f64,
    pub lr_warmup_steps: u64,
    pub num_inference_steps: usize,
    pub seed: u64,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            image_size: 128,
            channels: vec![128, 128, 256, 256, 512, 512],
            train_batch_size: 16,
            num_epochs: 50,
            learning_rate: 1e-4,
            lr_warmup_steps: 500,
            num_inference_steps: 1000,
            seed: 0,
        }
    }
}

/// Trains on the pictures in a folder and writes a pipeline to `output`. Returns the loss of each step.
pub fn train(
    config: &TrainingConfig,
    pictures: &Path,
    output: &Path,
) -> Result<Vec<f32>, Box<dyn std::error::Error>> {
    let device = Device::flex();
    let mut files = std::fs::read_dir(pictures)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<PathBuf>>>()?;
    files.sort();
    // Attention in the last block but one, as in the tutorial.
    let blocks = config.channels.len();
    let mut down = vec![DownBlock2D; blocks];
    let mut up = vec![UpBlock2D; blocks];
    (down[blocks - 2], up[1]) = (AttnDownBlock2D, AttnUpBlock2D);
    let mut model = UNet2DModel::init(
        &UNet2DConfig {
            sample_size: Some(SampleSize::Square(config.image_size)),
            block_out_channels: config.channels.clone(),
            down_block_types: down,
            up_block_types: up,
            ..Default::default()
        },
        &device,
    )?;
    let noise_scheduler = DDPMScheduler::new(Default::default())?;
    let mut optimizer = AdamW::new(AdamWConfig::default());
    let batches = files.len().div_ceil(config.train_batch_size);
    let steps = (batches * config.num_epochs) as u64;
    let rate =
        get_scheduler(SchedulerType::Cosine, config.learning_rate, config.lr_warmup_steps, steps, None, 1.0)?;
    let mut generator = Generator::manual_seed(config.seed);
    let mut losses = Vec::new();

    for epoch in 0..config.num_epochs {
        let order = generator.randperm_vec(files.len());
        for batch in order.chunks(config.train_batch_size) {
            let mut images = Vec::new();
            for index in batch {
                let picture = load_image(&files[*index as usize])?;
                let size = config.image_size as u32;
                let mut picture =
                    picture.resize_exact(size, size, oxidiff::image::imageops::FilterType::Triangle);
                if generator.rand_vec::<f32>(1)[0] < 0.5 {
                    picture = picture.fliph();
                }
                images.push(VaeImageProcessor::default().preprocess(&picture.into(), Default::default())?);
            }
            let clean = Tensor::cat(images, 0);
            let noise = generator.randn(clean.dims(), DType::F32, &device);
            let timesteps = generator.randint_vec(0, 1000, batch.len())?;
            let timesteps: Vec<f32> = timesteps.into_iter().map(|timestep| timestep as f32).collect();
            let noisy = noise_scheduler.add_noise(clean, noise.clone(), &timesteps)?;

            let recording = Recording::of(&model, DType::F32);
            let loss = mse(recording.model().forward(noisy.autodiff(), &timesteps)?, noise);
            let mut gradients = recording.backward(&loss);
            gradients.clip_norm(1.0);
            model = optimizer.step(model, &gradients, rate.at(losses.len() as u64));
            losses.push(loss.into_scalar());
            eprintln!("epoch {epoch}, step {}: loss {:.4}", losses.len(), losses[losses.len() - 1]);
        }
    }
    let mut pipeline = DDPMPipeline::new(model, noise_scheduler)?;
    pipeline.save_pretrained(output)?;
    let sample = pipeline.call(Unconditional {
        num_inference_steps: Some(config.num_inference_steps),
        generator: Some(generator.into()),
        ..Default::default()
    })?;
    sample.images.into_images()[0].save(output.join("sample.png"))?;
    Ok(losses)
}
