//! Files of all layouts and formats: what is read from them and written to them is what Python reads and writes.

#[path = "../fixture/mod.rs"]
mod fixture;

mod adapters;
mod gguf;
mod load_image;
mod lora;
mod pickle;
mod saving;
mod single_file;
mod textual_inversion;
