//! The binary, run as a user runs it.

mod adapters;
mod bad_input;
mod bench;
mod checkpoint_files;
mod controlnet;
mod controlnet_union;
mod convert;
#[path = "../../../oxidiff-tests/tests/fixture/drawn_weights.rs"]
mod drawn_weights;
mod files;
mod generate;
mod generation_config;
#[path = "../../../oxidiff-tests/tests/fixture/gguf.rs"]
mod gguf;
mod hub;
mod ignored_arguments;
mod images;
mod ip_adapter;
mod layers;
mod new_family;
mod not_finite;
mod prompt_weighting;
mod readme;
mod redux;
mod sandbox;
mod small_models;
mod t2i_adapter;
mod train;
#[path = "../../../oxidiff-tests/tests/fixture/true_size.rs"]
mod true_size;
mod upscale;
mod values;
mod without_text;
