//! The easiest way to make a picture: a pipeline from the hub, or from a folder.

use std::error::Error;
use std::path::Path;

use oxidiff::DiffusionPipeline;

/// Makes `image_of_squirrel_painting.png` in the folder `output`.
pub fn run(name_or_path: &str, output: &Path) -> Result<(), Box<dyn Error>> {
    let mut pipeline = DiffusionPipeline::from_pretrained(name_or_path)?;
    println!("{pipeline}");

    let images = pipeline.call("An image of a squirrel in Picasso style")?.images.into_images();
    images[0].save(output.join("image_of_squirrel_painting.png"))?;
    Ok(())
}
