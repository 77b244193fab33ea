//! `oxidiff upscale`.

use anyhow::{Context, anyhow};
use oxidiff::{ImageUpscaler, Images, OutputType, UpscaleOptions, load_image_unconverted};

use crate::arguments::UpscaleArguments;
use crate::output::Output;
use crate::standard_output::print_line;

pub(crate) fn run(arguments: &UpscaleArguments) -> anyhow::Result<()> {
    let output = Output::new("OUT", arguments.output.clone(), 1)?;
    let picture = load_image_unconverted(&arguments.input).context("IN")?;
    let upscaler = ImageUpscaler::from_file(&arguments.model).map_err(|error| anyhow!("--model: {error}"))?;
    let options = UpscaleOptions {
        tile: arguments.tile,
        tile_pad: arguments.tile_pad,
        pre_pad: arguments.pre_pad,
        progress_bar: !arguments.no_progress,
    };
    let about_input = |error| match error {
        oxidiff::Error::InvalidArgument { argument: "image", message } => anyhow!("IN: {message}"),
        other => anyhow!(other),
    };
    let images = match output.output_type() {
        OutputType::Array => {
            Images::Array(upscaler.upscale_to_array(&picture, &options).map_err(about_input)?)
        }
        _ => Images::Image(vec![upscaler.upscale(&picture, &options).map_err(about_input)?]),
    };
    for path in output.write(images)? {
        print_line(path.display())?;
    }
    Ok(())
}
