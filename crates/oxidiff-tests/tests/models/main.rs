//! Single models, image processors and trainings, compared with those of Python.

#[path = "../fixture/mod.rs"]
mod fixture;

mod autoencoder_tiny;
mod calls;
mod control_preprocessors;
mod depth;
mod gemma2;
mod image_processor;
mod qwen_vl;
mod safety_checker;
mod t5;
mod training;
mod unet_2d;
mod upscaling;
mod written_texts;
