//! The binary, run as a user runs it.

mod bad_input;
mod bench;
mod generate;
mod generation_config;
mod images;
mod readme;
mod sandbox;
mod without_text;
