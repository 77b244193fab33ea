//! A model by itself predicts the noise in a sample.

use std::error::Error;

use oxidiff::{DType, Generator, Model, Tensor, UNet2DModel};

/// Returns a noisy sample and the noise that the model predicts in it at timestep 2.
pub fn run(name_or_path: &str) -> Result<[Tensor<4>; 2], Box<dyn Error>> {
    let model = UNet2DModel::from_pretrained(name_or_path)?;
    let config = model.config();
    println!("{}", model.saved_config());

    let [height, width] = config.sample_size.ok_or("the model does not say its size")?.height_width();
    let shape = [1, config.in_channels, height, width];
    let noisy_sample = Generator::manual_seed(0).randn(shape, DType::F32, &model.device());
    println!("{:?}", noisy_sample.dims());

    let noisy_residual = model.forward(noisy_sample.clone(), &[2.0])?;
    Ok([noisy_sample, noisy_residual])
}
