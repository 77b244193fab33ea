//! The command line of Oxidiff: images from prompts with one binary.
//!
//! A program that registers pipelines of its own ([`oxidiff::register_pipeline`]) before it calls [`main`] has commands that know
//! them.

#![forbid(unsafe_code)]

mod adapters;
mod arguments;
mod bench;
mod controlnets;
mod embedded_model;
mod generate;
mod ip_adapters;
mod keywords;
mod load_arguments;
mod output;
mod parsing;
mod redux;
mod request;
mod standard_output;
mod t2i_adapters;
mod train;
mod upscale;
mod values;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use oxidiff::{DiffusionPipeline, ModelIndex};
use tracing_subscriber::EnvFilter;

use crate::arguments::{Command, ConvertArguments, ModelArguments};
use crate::load_arguments::LoadArguments;
pub use crate::parsing::command;
use crate::standard_output::print_line;

/// The program: reads the words of its command line, follows them, and writes results to the standard output, errors and the log to
/// the standard error.
pub fn main() -> ExitCode {
    let words = Vec::from_iter(std::env::args_os());
    let arguments = match parsing::parse(&words) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are not errors; everything else is bad input.
            let code = if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
            let _ = error.print();
            return code;
        }
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    // <https://no-color.org>: any value but an empty one.
    let no_color = std::env::var_os("NO_COLOR").filter(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && no_color.is_none())
        .without_time()
        .with_target(false)
        .init();

    match follow(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Follows the words of a command line, of which the first one is the name of the program.
///
/// # Errors
/// When a word is wrong, or what it asks for fails.
pub fn run(words: &[OsString]) -> anyhow::Result<ExitCode> {
    follow(parsing::parse(words)?.command)
}

fn follow(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Generate(arguments) => generate::run(*arguments)?,
        Command::Upscale(arguments) => upscale::run(&arguments)?,
        Command::Inspect(arguments) => inspect(&arguments)?,
        Command::Download(arguments) => {
            let folder = oxidiff::download(&arguments.hub_id, &arguments.load.options()?)?;
            print_line(folder.display())?;
        }
        Command::Convert(arguments) => {
            let converted = oxidiff::convert(&arguments.source, &arguments.output, &arguments.options());
            converted.map_err(ConvertArguments::name_option)?;
        }
        Command::Train(command) => return train::run(&command),
        Command::Bench(arguments) => bench::run(&arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn inspect(arguments: &ModelArguments) -> anyhow::Result<()> {
    let index = match &arguments.model {
        Some(model) if is_single_file(model) => {
            ModelIndex::from_single_file(model, &arguments.load.single_file_options(model)?)?
        }
        Some(model) => ModelIndex::from_pretrained(model, &arguments.load.options()?)?,
        None => ModelIndex::from_embedded(&embedded_model::EMOJI_DIFFUSION)?,
    };
    Ok(print_line(index)?)
}

/// Whether a model is a single-file checkpoint: on disk, or a link to one on the hub.
fn is_single_file(model: &str) -> bool {
    Path::new(model).is_file()
        || model.starts_with("https://huggingface.co/")
        || model.starts_with("https://hf.co/")
}

/// Loads the given pipeline, or the embedded one.
fn load(model: Option<&str>, load: &LoadArguments) -> anyhow::Result<DiffusionPipeline> {
    load.set_limits()?;
    if let Some(model) = model.filter(|model| is_single_file(model)) {
        let loaded = DiffusionPipeline::from_single_file(model, &load.single_file_options(model)?);
        return loaded.map_err(|error| load.name_option(error));
    }
    load.refuse_single_file_options()?;
    if model.is_none_or(|model| Path::new(model).is_dir()) {
        load.refuse_revision()?;
    }
    let options = load.options()?;
    let loaded = match model {
        Some(model) => DiffusionPipeline::from_pretrained_with(model, &options),
        None => DiffusionPipeline::from_embedded(&embedded_model::EMOJI_DIFFUSION, &options),
    };
    loaded.map_err(|error| load.name_option(error))
}
