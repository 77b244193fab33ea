//! The first stage: from pictures to latents and back.

use std::error::Error;

use oxidiff::image::RgbImage;
use oxidiff::training::{AdamW, AdamWConfig, Recording, Trained};
use oxidiff::{AutoencoderKL, DType, Generator, Generators, Model, Tensor, VaeImageProcessor};

use super::arguments::Arguments;
use super::pictures::{self, Picture, Variation};
use super::stage::Stage;

/// What is spent of the budget when whole pictures follow after parts, so that the norms and the attention of the model see
/// them as they are later.
const WHOLE_FROM: f64 = 0.8;

/// How much edges count, beside pixels: the mean error alone would leave them soft.
const EDGES: f64 = 0.5;

/// How much the differences of red, green and blue count: they are small beside those of light and dark, which would be all that
/// the latents hold for a long time.
const COLOURS: f64 = 1.0;

/// The logarithm of the variance with which the latents begin. Noise as large as the latents would hide them.
const FIRST_LOGVAR: f32 = -6.0;

/// Trains the autoencoder on pictures with sides of `side` pixels.
pub fn train(
    mut vae: AutoencoderKL,
    pictures: &[Picture],
    side: u32,
    arguments: &Arguments,
    stage: &mut Stage,
) -> Result<AutoencoderKL, Box<dyn Error>> {
    let variation = arguments.variation();
    let crop = (arguments.vae_crop as u32).min(side);
    let whole = (arguments.vae_batch * u64::from(crop).pow(2) / u64::from(side).pow(2)).max(1);
    let mut generator = Generator::manual_seed(arguments.seed);
    let mut noise = Generators::from(Generator::manual_seed(arguments.seed + 1));
    let mut optimizer = AdamW::new(AdamWConfig::default());
    let mut shown = 0;
    let channels = channels_of_normalisable(&vae)?;
    vae = vae.changed(&mut |name, values| {
        if name == "quant_conv.bias" {
            values[channels..].iter_mut().for_each(|bias| *bias += FIRST_LOGVAR);
        }
    });

    while !stage.is_over() {
        let (count, crop) =
            if stage.progress() < WHOLE_FROM { (arguments.vae_batch, crop) } else { (whole, side) };
        let mut images = Vec::new();
        for index in generator.randint_vec(0, pictures.len() as i64, count as usize)? {
            let view = pictures[index as usize].view(side, variation, &mut generator);
            images.push(pictures::part(&view, crop, &mut generator)?);
        }
        let images = pictures::stack(images)?.autodiff();

        let recording = Recording::of(&vae, DType::F32);
        let posterior = recording.model().encode(images.clone())?;
        let decoded = recording.model().decode(posterior.sample(&mut noise)?)?;
        let difference = decoded - images;
        let pixels = difference.clone().abs().mean();
        let [colours, down, right] = [1, 2, 3].map(|dim| neighbours(difference.clone(), dim));
        let values = posterior.mean.dims().iter().product::<usize>() / count as usize;
        let kl = posterior.kl().mean() / values as f64;
        let loss =
            pixels.clone() + colours * COLOURS + (down + right) * EDGES + kl.clone() * arguments.kl_weight;
        let [pixels, kl, value] = [&pixels, &kl, &loss].map(|it| it.clone().into_scalar::<f32>());
        let mut gradients = recording.backward(&loss);
        gradients.clip_norm(1.0);
        vae = optimizer.step(vae, &gradients, stage.learning_rate());
        stage.step(value, &[("pixels", pixels), ("kl", kl)])?;

        let due = (stage.progress() * arguments.samples as f64) as u64;
        if due > shown {
            shown = due;
            show(&vae, pictures, side, stage)?;
        }
    }
    Ok(vae)
}

/// The mean absolute difference of each position and the next in this dimension.
fn neighbours(x: Tensor<4>, dim: usize) -> Tensor<1> {
    let pairs = x.dims()[dim] - 1;
    (x.clone().narrow(dim, 1, pairs) - x.narrow(dim, 0, pairs)).abs().mean()
}

/// How many pictures to show.
const SHOWN: usize = 8;

/// Shows pictures, and below them what the autoencoder makes of them.
fn show(
    vae: &AutoencoderKL,
    pictures: &[Picture],
    side: u32,
    stage: &mut Stage,
) -> Result<(), Box<dyn Error>> {
    let step = pictures.len().div_ceil(SHOWN);
    let mut images: Vec<RgbImage> =
        pictures.iter().step_by(step).map(|picture| picture.whole(side)).collect();
    let columns = images.len();
    for index in 0..columns {
        let latents = vae.encode(pictures::stack(vec![images[index].clone()])?)?.mode();
        let decoded = VaeImageProcessor::default().postprocess(vae.decode(latents)?, Default::default())?;
        images.extend(decoded.into_images().into_iter().map(|image| image.into_rgb8()));
    }
    stage.show(&images, &[], Some(columns))
}

/// Most views to take the statistics of the latents from.
const MOST_VIEWS: usize = 256;

/// The same autoencoder with latents whose channels have mean 0 and deviation 1 over the pictures, so that its scaling factor
/// is 1: the convolution after the encoder does that, and the one before the decoder undoes it.
pub fn normalised(
    vae: AutoencoderKL,
    pictures: &[Picture],
    side: u32,
    variation: Variation,
    seed: u64,
) -> Result<AutoencoderKL, Box<dyn Error>> {
    let channels = channels_of_normalisable(&vae)?;
    let mut generator = Generator::manual_seed(seed);
    let (mut means, mut squares) = (vec![0.0; channels], vec![0.0; channels]);
    let views = MOST_VIEWS.min(2 * pictures.len().max(8));
    for index in 0..views {
        let view = pictures[index % pictures.len()].view(side, variation, &mut generator);
        let posterior = vae.encode(pictures::stack(vec![view])?)?;
        let second_moment = posterior.mean.clone().square() + posterior.logvar.clone().exp();
        add_channel_means(&mut means, posterior.mode())?;
        add_channel_means(&mut squares, second_moment)?;
    }
    let means: Vec<f64> = means.iter().map(|sum| sum / views as f64).collect();
    let deviations: Vec<f64> =
        squares.iter().zip(&means).map(|(sum, mean)| (sum / views as f64 - mean * mean).sqrt()).collect();
    if deviations.iter().any(|deviation| deviation.is_nan() || *deviation <= 0.0) {
        return Err(format!("the latents of the autoencoder have the deviations {deviations:?}").into());
    }

    let mut decoding = Vec::new();
    vae.read(&mut |name, _, values| {
        if name == "post_quant_conv.weight" {
            decoding = values;
        }
    });
    Ok(vae.changed(&mut |name, values| match name {
        // Rows for the means, then rows for the logarithms of the variances.
        "quant_conv.weight" => {
            for (row, deviation) in values.chunks_exact_mut(2 * channels).zip(&deviations) {
                row.iter_mut().for_each(|weight| *weight = (f64::from(*weight) / deviation) as f32);
            }
        }
        "quant_conv.bias" => {
            for channel in 0..channels {
                let (mean, deviation) = (means[channel], deviations[channel]);
                values[channel] = ((f64::from(values[channel]) - mean) / deviation) as f32;
                values[channels + channel] -= 2.0 * deviation.ln() as f32;
            }
        }
        "post_quant_conv.weight" => {
            for row in values.chunks_exact_mut(channels) {
                for (weight, deviation) in row.iter_mut().zip(&deviations) {
                    *weight = (f64::from(*weight) * deviation) as f32;
                }
            }
        }
        "post_quant_conv.bias" => {
            for (bias, row) in values.iter_mut().zip(decoding.chunks_exact(channels)) {
                let moved: f64 = row.iter().zip(&means).map(|(weight, mean)| f64::from(*weight) * mean).sum();
                *bias = (f64::from(*bias) + moved) as f32;
            }
        }
        _ => {}
    }))
}

/// The number of latent channels of an autoencoder that has the convolutions beside its latents.
fn channels_of_normalisable(vae: &AutoencoderKL) -> Result<usize, Box<dyn Error>> {
    let config = vae.config();
    if !(config.use_quant_conv && config.use_post_quant_conv) {
        return Err("an autoencoder without quant_conv and post_quant_conv cannot be normalised".into());
    }
    Ok(config.latent_channels)
}

/// Adds the mean of each channel of one item.
fn add_channel_means(sums: &mut [f64], latents: Tensor<4>) -> Result<(), Box<dyn Error>> {
    let means: Vec<f32> = latents.mean_dims(&[2, 3]).into_data().try_to_vec::<f32>()?;
    sums.iter_mut().zip(means).for_each(|(sum, mean)| *sum += f64::from(mean));
    Ok(())
}
