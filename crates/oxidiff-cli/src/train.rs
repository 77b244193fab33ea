//! `oxidiff train`: the example scripts of diffusers.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Command, Error, Subcommand};
use oxidiff_train::{
    CommonOptions, ControlNetOptions, DreamBoothLoraOptions, DreamBoothLoraSdxlOptions,
    DreamBoothLoraZImageOptions, DreamBoothOptions, INTERRUPTED, Outcome, Stop, TextToImageLoraOptions,
    TextToImageLoraSdxlOptions, TextToImageOptions, TextualInversionOptions, UnconditionalOptions,
};

use crate::standard_output::print_line;

/// What to train.
#[derive(Debug, Subcommand)]
pub(crate) enum TrainCommand {
    /// A model without prompts, from scratch (train_unconditional.py)
    Unconditional(Box<UnconditionalOptions>),
    /// Stable Diffusion 1 or 2 on images with captions (train_text_to_image.py)
    TextToImage(Box<TextToImageOptions>),
    /// A LoRA for Stable Diffusion 1 or 2 on images with captions (train_text_to_image_lora.py)
    TextToImageLora(Box<TextToImageLoraOptions>),
    /// A LoRA for Stable Diffusion XL on images with captions (train_text_to_image_lora_sdxl.py)
    TextToImageLoraSdxl(Box<TextToImageLoraSdxlOptions>),
    /// Stable Diffusion 1 or 2 on a few images of a subject (train_dreambooth.py)
    #[command(name = "dreambooth")]
    DreamBooth(Box<DreamBoothOptions>),
    /// A LoRA for Stable Diffusion 1 or 2 on a few images of a subject (train_dreambooth_lora.py)
    #[command(name = "dreambooth-lora")]
    DreamBoothLora(Box<DreamBoothLoraOptions>),
    /// A LoRA for Stable Diffusion XL on a few images of a subject (train_dreambooth_lora_sdxl.py)
    #[command(name = "dreambooth-lora-sdxl")]
    DreamBoothLoraSdxl(Box<DreamBoothLoraSdxlOptions>),
    /// A LoRA for Z-Image on a few images of a subject (train_dreambooth_lora_z_image.py)
    #[command(name = "dreambooth-lora-z-image")]
    DreamBoothLoraZImage(Box<DreamBoothLoraZImageOptions>),
    /// A new word for Stable Diffusion 1 or 2 (textual_inversion.py)
    TextualInversion(Box<TextualInversionOptions>),
    /// A ControlNet for Stable Diffusion 1 or 2 (train_controlnet.py)
    #[command(name = "controlnet")]
    ControlNet(Box<ControlNetOptions>),
}

/// Flags of the scripts that cannot be followed, and why.
const REFUSED: [(&str, &str); 40] = [
    ("--push-to-hub", UPLOAD),
    ("--hub-token", UPLOAD),
    ("--hub-model-id", UPLOAD),
    ("--hub-private-repo", UPLOAD),
    (
        "--enable-xformers-memory-efficient-attention",
        "xFormers is a library for PyTorch; attention has a kernel of its own here, which needs no flag",
    ),
    (
        "--enable-npu-flash-attention",
        "trainings compute on the CPU, whose attention has a kernel of its own here",
    ),
    (
        "--allow-tf32",
        "trainings compute on the CPU, which has no TF32; --mixed-precision bf16 is faster than f32",
    ),
    ("--use-8bit-adam", "the optimizer keeps its moments in f32"),
    ("--local-rank", "a training runs in one process, on all cores"),
    (
        "--cache-dir",
        "datasets are read from where they are, and models from the cache in the variable HF_HOME",
    ),
    (
        "--dataset-config-name",
        "download one configuration of the dataset, and give its folder as --train-data-dir",
    ),
    ("--preserve-input-precision", "images are read with 8 bits a channel"),
    ("--tracker-project-name", "logs have the names of the scripts"),
    ("--dream-training", "the method is not implemented"),
    ("--dream-detail-preservation", "DREAM training is not implemented"),
    ("--non-ema-revision", "the UNet of --revision is trained"),
    ("--offload-ema", "the average is in the same memory as the weights"),
    ("--foreach-ema", "the average has one implementation"),
    ("--lora-dropout", "low-rank layers are trained without dropout"),
    ("--use-dora", "low-rank layers are trained without the lengths of DoRA"),
    ("--prodigy-beta3", ONLY_ADAM_W),
    ("--prodigy-decouple", ONLY_ADAM_W),
    ("--prodigy-use-bias-correction", ONLY_ADAM_W),
    ("--prodigy-safeguard-warmup", ONLY_ADAM_W),
    ("--lora-bias", "low-rank layers have no bias"),
    ("--tokenizer-name", "the tokenizer is the model's own"),
    ("--tokenizer-max-length", "CLIP takes what its tokenizer says"),
    ("--text-encoder-use-attention-mask", "it is for T5, and only CLIP is supported"),
    ("--skip-save-text-encoder", "pipelines are written whole"),
    ("--class-labels-conditioning", "it is for upscalers in pixels, which are not supported"),
    ("--validation-images", "it is for upscalers in pixels, which are not supported"),
    ("--prior-generation-precision", "images of the class are made in --mixed-precision"),
    ("--validation-scheduler", "images that show the progress are made with the multistep DPM-Solver"),
    ("--no-safe-serialization", "weights are written as safetensors only"),
    ("--debug-loss", "losses are logged for whole steps"),
    ("--do-fp8-training", "trainings compute in f32 or bf16"),
    ("--bnb-quantization-config-path", "bitsandbytes is a library for cards; weights are f32 or bf16"),
    (
        "--offload",
        "trainings compute on the CPU, in one memory; weights that are not used are read again from their files",
    ),
    ("--fsdp-text-encoder", "a training runs in one process, on all cores"),
    ("--set-grads-to-none", "gradients are released after each step in any case"),
];

const UPLOAD: &str = "the result is only written to --output-dir; upload that folder with `hf upload`";

const ONLY_ADAM_W: &str = "the optimizer is AdamW";

/// Whether the words are those of `oxidiff train`.
fn is_train(words: &[OsString]) -> bool {
    words.get(1).is_some_and(|word| word == "train")
}

/// The words with the names of options in the form of the other commands: `--train_data_dir` becomes `--train-data-dir`.
pub(crate) fn with_hyphens(words: &[OsString]) -> Vec<OsString> {
    if !is_train(words) {
        return words.to_vec();
    }
    let convert = |word: &OsString| match word.to_str() {
        Some(text) if text.starts_with("--") => match text.split_once('=') {
            Some((name, value)) => format!("{}={value}", name.replace('_', "-")).into(),
            None => text.replace('_', "-").into(),
        },
        _ => word.clone(),
    };
    words.iter().map(convert).collect()
}

/// Refuses flags of the scripts with a reason, rather than as unknown ones.
///
/// # Errors
/// When there is such a flag.
pub(crate) fn refuse_flags(words: &[OsString], command: impl FnOnce() -> Command) -> Result<(), Error> {
    if !is_train(words) {
        return Ok(());
    }
    for word in words.iter().filter_map(|word| word.to_str()) {
        let name = word.split_once('=').map_or(word, |(name, _)| name);
        if let Some((flag, reason)) = REFUSED.iter().find(|(flag, _)| *flag == name) {
            let message = format!("{flag} is not supported: {reason}");
            return Err(command().error(ErrorKind::UnknownArgument, message));
        }
    }
    Ok(())
}

pub(crate) fn run(command: &TrainCommand) -> anyhow::Result<ExitCode> {
    let stop = Stop::on_interrupt()?;
    let (common, outcome) = match train(command, &stop) {
        Ok(trained) => trained,
        // Images of the class were being made.
        Err(oxidiff_train::Error::Model(oxidiff::Error::Stopped { message })) => {
            eprintln!("stopped: {message}");
            return Ok(ExitCode::from(INTERRUPTED));
        }
        Err(error) => return Err(error.into()),
    };
    match outcome {
        Outcome::Complete(_) => {
            print_line(common.output_dir.display())?;
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Stopped { checkpoint } => {
            let checkpoint = checkpoint.display();
            eprintln!("stopped; go on with --resume-from-checkpoint latest, which is {checkpoint}");
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

/// Runs the training.
fn train<'a>(command: &'a TrainCommand, stop: &Stop) -> oxidiff_train::Result<(&'a CommonOptions, Outcome)> {
    Ok(match command {
        TrainCommand::Unconditional(it) => (&it.common, oxidiff_train::unconditional(it, stop)?),
        TrainCommand::TextToImage(it) => (&it.common, oxidiff_train::text_to_image(it, stop)?),
        TrainCommand::TextToImageLora(it) => (&it.common, oxidiff_train::text_to_image_lora(it, stop)?),
        TrainCommand::TextToImageLoraSdxl(it) => {
            (&it.common, oxidiff_train::text_to_image_lora_sdxl(it, stop)?)
        }
        TrainCommand::DreamBooth(it) => (&it.common, oxidiff_train::dreambooth(it, stop)?),
        TrainCommand::DreamBoothLora(it) => (&it.common, oxidiff_train::dreambooth_lora(it, stop)?),
        TrainCommand::DreamBoothLoraSdxl(it) => (&it.common, oxidiff_train::dreambooth_lora_sdxl(it, stop)?),
        TrainCommand::DreamBoothLoraZImage(it) => {
            (&it.common, oxidiff_train::dreambooth_lora_z_image(it, stop)?)
        }
        TrainCommand::TextualInversion(it) => (&it.common, oxidiff_train::textual_inversion(it, stop)?),
        TrainCommand::ControlNet(it) => (&it.common, oxidiff_train::controlnet(it, stop)?),
    })
}
