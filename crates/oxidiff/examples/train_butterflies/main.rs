//! The tutorial "Train a diffusion model" of Diffusers: an unconditional model learns to draw butterflies.
//!
//! ```text
//! cargo run --release --example train_butterflies -- FOLDER-OF-PICTURES OUTPUT-FOLDER
//! ```

mod butterflies;

use butterflies::TrainingConfig;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [pictures, output] = arguments.as_slice() else {
        return Err("give a folder of pictures, and a folder for the model".into());
    };
    butterflies::train(&TrainingConfig::default(), pictures.as_ref(), output.as_ref())?;
    Ok(())
}
