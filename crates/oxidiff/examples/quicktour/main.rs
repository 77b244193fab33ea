//! The quicktour of Diffusers, with one file for each of its sections:
//!
//! ```text
//! cargo run --release --example quicktour -- pipeline models/emoji-diffusion
//! cargo run --release --example quicktour -- swapping-schedulers models/emoji-diffusion
//! cargo run --release --example quicktour -- models google/ddpm-cat-256
//! cargo run --release --example quicktour -- schedulers google/ddpm-cat-256
//! cargo run --release --example quicktour -- denoising-loop google/ddpm-cat-256
//! ```
//!
//! Images are written to the current folder.

mod denoising_loop;
mod models;
mod pipeline;
mod schedulers;
mod swapping_schedulers;

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const SECTIONS: &str = "pipeline, swapping-schedulers, models, schedulers or denoising-loop";
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [section, model] = arguments.as_slice() else {
        return Err(format!("give a section ({SECTIONS}) and a folder or a name on the hub").into());
    };
    let output = Path::new(".");
    match section.as_str() {
        "pipeline" => pipeline::run(model, output),
        "swapping-schedulers" => swapping_schedulers::run(model, output),
        "models" => models::run(model).map(|_| ()),
        "schedulers" => schedulers::run(model).map(|_| ()),
        "denoising-loop" => denoising_loop::run(model, output).map(|_| ()),
        other => Err(format!("no section `{other}`; available: {SECTIONS}").into()),
    }
}
