//! Trains a small Stable Diffusion from random weights, on a folder of pictures with captions: an autoencoder first, then a text
//! encoder and a UNet in its latents. The shape is that of the model in `models/emoji-diffusion`.
//!
//! ```text
//! cargo run --release -p oxidiff-train --example train_emoji -- PICTURES OUTPUT --minutes 30
//! ```
//!
//! `prepare.py` makes such a folder of a few emoji.

mod arguments;
mod autoencoder;
mod diffusion;
mod latents;
mod model;
mod pictures;
mod stage;
mod training;

use clap::Parser;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    training::train(&arguments::Arguments::parse())?;
    Ok(())
}
