//! The binary, run as a user runs it.

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
mod values;
mod without_text;
