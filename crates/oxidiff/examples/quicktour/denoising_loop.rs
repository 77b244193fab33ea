//! The whole denoising loop by hand, with a look at the image every 50 steps.

use std::error::Error;
use std::path::Path;

use oxidiff::image::RgbImage;
use oxidiff::{
    DDPMScheduler, DType, Generator, Generators, Model, Scheduler, StepOptions, Tensor, UNet2DModel,
};

/// Makes an image from noise; every 50 steps, the current image is written to the folder `output`.
pub fn run(name_or_path: &str, output: &Path) -> Result<Tensor<4>, Box<dyn Error>> {
    let model = UNet2DModel::from_pretrained(name_or_path)?;
    let mut scheduler = DDPMScheduler::from_pretrained(name_or_path)?;
    let size = model.config().sample_size.ok_or("the model does not say its size")?;
    let [height, width] = size.height_width();
    let shape = [1, model.config().in_channels, height, width];

    let mut generator = Generators::One(Generator::manual_seed(0));
    let mut sample = generator.randn(shape, DType::F32, &model.device())?;
    for (i, t) in scheduler.timesteps().to_vec().into_iter().enumerate() {
        // 1. Predict the noise residual.
        let residual = model.forward(sample.clone(), &[t])?;

        // 2. Compute the less noisy image: x_t -> x_t-1.
        let options = StepOptions { generator: Some(&mut generator), ..Default::default() };
        sample = scheduler.step(residual, t, sample, options)?.prev_sample;

        // 3. Look at the image.
        if (i + 1) % 50 == 0 {
            println!("image at step {}", i + 1);
            to_image(sample.clone())?.save(output.join(format!("step_{:04}.png", i + 1)))?;
        }
    }
    Ok(sample)
}

/// The first image of a sample `[batch, 3, height, width]` with values roughly in [-1, 1].
fn to_image(sample: Tensor<4>) -> Result<RgbImage, Box<dyn Error>> {
    let [_, _, height, width] = sample.dims();
    let first = sample.narrow(0, 0, 1).permute([0, 2, 3, 1]);
    let values = (first + 1.0) * 127.5;
    let bytes = values.into_data().iter::<f32>().map(|value| value as u8).collect();
    Ok(RgbImage::from_raw(width as u32, height as u32, bytes)
        .ok_or("the sample does not have three channels")?)
}
