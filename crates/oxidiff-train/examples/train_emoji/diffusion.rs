//! The second stage: text encoder and UNet, together.

use std::error::Error;

use oxidiff::training::{
    AdamW, AdamWConfig, EMAModel, EMAModelConfig, ParameterGradients, Recording, min_snr_weights, target,
    weighted_mse,
};
use oxidiff::{
    AutoencoderKL, CLIPTextModel, DDPMScheduler, DType, Device, Generator, PredictionType, Scheduler, Tensor,
    UNet2DConditionModel,
};

use super::arguments::Arguments;
use super::latents::Latents;
use super::model::Shape;
use super::pictures::Picture;
use super::stage::Stage;

/// The moving average of the weights, whose window grows with the training.
const AVERAGE: EMAModelConfig = EMAModelConfig {
    decay: 0.9995,
    min_decay: 0.0,
    update_after_step: 0,
    use_ema_warmup: true,
    inv_gamma: 1.0,
    power: 0.75,
};

/// Trains both models, and writes the pipeline with their moving averages, now and then and at the end.
pub fn train(
    (mut text_encoder, mut unet): (CLIPTextModel, UNet2DConditionModel),
    vae: &AutoencoderKL,
    shape: &Shape,
    (pictures, latents, prompts): (&[Picture], &[Latents], &[String]),
    arguments: &Arguments,
    stage: &mut Stage,
) -> Result<(), Box<dyn Error>> {
    let noise_scheduler = DDPMScheduler::from_config(shape.scheduler.config())?;
    let prediction_type = match noise_scheduler.config().get("prediction_type") {
        Some(name) => serde_json::from_value(name.clone())?,
        None => PredictionType::Epsilon,
    };
    let timesteps_of_training =
        noise_scheduler.config().get("num_train_timesteps").and_then(|it| it.as_i64());
    let batch = arguments.batch as usize;
    let mut generator = Generator::manual_seed(arguments.seed + 2);
    let mut optimizers = [AdamW::new(AdamWConfig::default()), AdamW::new(AdamWConfig::default())];
    let mut averages = (EMAModel::new(&text_encoder, AVERAGE), EMAModel::new(&unet, AVERAGE));
    let mut shown = 0;

    while !stage.is_over() {
        let (mut clean, mut captions) = (Vec::new(), Vec::new());
        for index in generator.randint_vec(0, latents.len() as i64, batch)? {
            let latents = &latents[index as usize];
            clean.push(latents.draw(&mut generator));
            let caption = pictures[latents.picture].caption(&mut generator)?;
            let is_empty = generator.rand_vec::<f64>(1)[0] < arguments.empty_captions;
            captions.push(if is_empty { "" } else { caption });
        }
        let clean = Tensor::cat(clean, 0);
        let noise = generator.randn(clean.dims(), DType::F32, &Device::flex());
        let timesteps = generator.randint_vec(0, timesteps_of_training.unwrap_or(1000), batch)?;
        let timesteps: Vec<f32> = timesteps.into_iter().map(|timestep| timestep as f32).collect();
        let noisy = noise_scheduler.add_noise(clean.clone(), noise.clone(), &timesteps)?;
        let target = target(&noise_scheduler, prediction_type, clean, noise, &timesteps)?;
        let weights = match arguments.snr_gamma {
            Some(gamma) => min_snr_weights(&noise_scheduler, prediction_type, &timesteps, gamma as f32)?,
            None => vec![1.0; batch],
        };
        let tokens = shape.tokens(&captions, &text_encoder)?;

        let (recorded_text_encoder, text_leaves) =
            Recording::of(&text_encoder, arguments.dtype()).into_parts();
        let (recorded_unet, unet_leaves) = Recording::of(&unet, arguments.dtype()).into_parts();
        let text = recorded_text_encoder.forward(&tokens, None)?.last_hidden_state;
        let prediction =
            recorded_unet.forward_with(noisy.autodiff(), &timesteps, text, Default::default())?;
        let loss = weighted_mse(prediction, target.autodiff(), &weights);
        let value = loss.clone().into_scalar::<f32>();
        // The models must not hold on to their weights while the optimizers change them.
        drop((recorded_text_encoder, recorded_unet));
        let mut gradients = loss.backward();
        let (mut of_text, mut of_unet) = (text_leaves.take(&mut gradients), unet_leaves.take(&mut gradients));
        ParameterGradients::clip_common_norm([&mut of_text, &mut of_unet], 1.0);
        let learning_rate = stage.learning_rate();
        text_encoder = optimizers[0].step(text_encoder, &of_text, learning_rate);
        unet = optimizers[1].step(unet, &of_unet, learning_rate);
        averages.0.step(&text_encoder);
        averages.1.step(&unet);
        stage.step(value, &[])?;

        let due = (stage.progress() * arguments.samples as f64) as u64;
        if due > shown || stage.is_over() {
            shown = due;
            let averaged = (averages.0.copy_to(text_encoder.clone()), averages.1.copy_to(unet.clone()));
            let mut pipeline = shape.pipeline(vae.clone(), averaged.1, averaged.0)?;
            shape.save(&mut pipeline, &arguments.output)?;
            let images = shape.samples(&mut pipeline, prompts, arguments.seed)?;
            stage.show(&images, prompts, None)?;
        }
    }
    Ok(())
}
