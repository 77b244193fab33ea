//! The stages, one after the other.

use std::error::Error;
use std::time::{Duration, Instant};

use oxidiff::{AutoencoderKL, Generator, Model, SampleSize, UNet2DConditionModel};

use super::arguments::Arguments;
use super::model::Shape;
use super::stage::{Budget, Stage};
use super::{autoencoder, diffusion, latents, pictures};

/// The losses of the steps.
pub struct Losses {
    /// None if the autoencoder was not trained.
    pub autoencoder: Vec<f32>,
    pub diffusion: Vec<f32>,
}

/// How many samples to draw, if no prompts are given.
const SAMPLES: usize = 16;

/// Trains the model, and writes it to the output folder.
pub fn train(arguments: &Arguments) -> Result<Losses, Box<dyn Error>> {
    let begin = Instant::now();
    let minutes = |minutes: f64| Duration::from_secs_f64(60.0 * minutes);
    let shape = Shape::of(&arguments.like)?;
    let (seed, variation) = (arguments.seed, arguments.variation());
    let new_vae = match &arguments.vae {
        Some(folder) => AutoencoderKL::from_pretrained(&folder.to_string_lossy())?,
        None => shape.vae(seed)?,
    };
    let (text_encoder, unet) = (shape.text_encoder(seed + 1)?, shape.unet(seed + 2)?);
    let (takes, has) = (unet.config().in_channels, new_vae.config().latent_channels);
    if takes != has {
        return Err(
            format!("the UNet takes {takes} channels, but the autoencoder's latents have {has}").into()
        );
    }
    let side = side_of_images(&unet, &new_vae)?;
    if !(arguments.vae_crop as usize).is_multiple_of(new_vae.scale_factor()) {
        return Err(format!("--vae-crop must be a multiple of {}", new_vae.scale_factor()).into());
    }
    let pictures = pictures::load(&arguments.pictures, side)?;
    let prompts = match arguments.prompts.as_slice() {
        [] => pictures::some_captions(&pictures, SAMPLES),
        prompts => prompts.to_vec(),
    };

    let mut losses = Losses { autoencoder: Vec::new(), diffusion: Vec::new() };
    let vae = if arguments.vae.is_some() {
        new_vae
    } else {
        let time = Budget::Time(minutes(arguments.minutes * arguments.vae_share));
        let budget = arguments.vae_steps.map_or(time, Budget::Steps);
        let (rate, batch) = (arguments.vae_learning_rate, arguments.vae_batch);
        let mut stage = Stage::begin("autoencoder", budget, rate, &arguments.output, batch)?;
        let vae = autoencoder::train(new_vae, &pictures, side, arguments, &mut stage)?;
        losses.autoencoder = stage.end()?;
        let vae = autoencoder::normalised(vae, &pictures, side, variation, seed)?;
        vae.save_pretrained(arguments.output.join("vae"))?;
        vae
    };

    let mut generator = Generator::manual_seed(seed);
    let latents = latents::encode(&vae, &pictures, side, (arguments.views, variation), &mut generator)?;
    let left = minutes(arguments.minutes).saturating_sub(begin.elapsed());
    let budget = arguments.steps.map_or(Budget::Time(left), Budget::Steps);
    let (rate, batch) = (arguments.learning_rate, arguments.batch);
    let mut stage = Stage::begin("diffusion", budget, rate, &arguments.output, batch)?;
    let data = (pictures.as_slice(), latents.as_slice(), prompts.as_slice());
    diffusion::train((text_encoder, unet), &vae, &shape, data, arguments, &mut stage)?;
    losses.diffusion = stage.end()?;
    Ok(losses)
}

/// The sides of the images that the UNet was made for, in pixels.
fn side_of_images(unet: &UNet2DConditionModel, vae: &AutoencoderKL) -> Result<u32, Box<dyn Error>> {
    match unet.config().sample_size {
        Some(SampleSize::Square(side)) => Ok(u32::try_from(side * vae.scale_factor())?),
        other => Err(format!("`sample_size` of the UNet is {other:?}, but must be one number").into()),
    }
}
