//! The binary, run as a user runs it.

mod adapters;
mod bad_input;
mod bench;
mod files;
mod generate;
mod generation_config;
mod hub;
mod images;
mod not_finite;
mod readme;
mod sandbox;
#[path = "../../../oxidiff/tests/fixture/true_size.rs"]
mod true_size;
mod values;
mod without_text;
