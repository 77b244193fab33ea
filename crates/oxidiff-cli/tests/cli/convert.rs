//! `oxidiff convert`, and `oxidiff generate` with what it wrote.

use crate::sandbox::Sandbox;
use crate::small_models::{write_flux1, write_pixart, write_z_image};

#[test]
fn a_part_of_a_pipeline_must_be_chosen() {
    let sandbox = Sandbox::new();
    write_z_image(&sandbox.path("model"));
    sandbox
        .run(["convert", "model", "out.gguf"])
        .failed_with(&["--component: model is a pipeline", "such as transformer"]);
    sandbox
        .run(["convert", "model", "out.gguf", "--component", "unet"])
        .failed_with(&["--component: model has no part `unet`"]);
    sandbox
        .run(["convert", "model", "missing/out.gguf", "--component", "transformer"])
        .failed_with(&["missing: the folder does not exist"]);
    assert_eq!(sandbox.files(), ["model"]);
}

/// PixArt's transformer was only ever published in the layout of diffusers.
#[test]
fn a_model_without_another_layout_is_read_again() {
    let sandbox = Sandbox::new();
    write_pixart(&sandbox.path("model"), "PixArtAlphaPipeline");
    sandbox.run(["convert", "model", "out.gguf", "--component", "transformer"]).succeeded();
    let generate = |more: &[&str], output: &str| {
        let base =
            ["generate", "a cat", "--model", "model", "--steps", "1", "--seed", "0", "--output", output];
        sandbox.run([&base[..], more].concat()).succeeded();
        image::open(sandbox.path(output)).unwrap()
    };
    let from_file = generate(&["--transformer", "out.gguf"], "file.png");
    assert_eq!(
        from_file,
        generate(&["--quantize", "q8_0", "--components-to-quantize", "transformer"], "load.png")
    );
}

#[test]
fn files_of_other_kinds_and_those_that_are_read_stay_as_they_are() {
    let sandbox = Sandbox::new();
    write_z_image(&sandbox.path("model"));
    let convert = |file: &str| sandbox.run(["convert", "model", file, "--component", "transformer"]);
    std::fs::write(sandbox.path("apple.png"), b"a picture").unwrap();
    convert("apple.png").failed_with(&["FILE.gguf: apple.png: the name must end in .gguf"]);
    assert_eq!(std::fs::read(sandbox.path("apple.png")).unwrap(), b"a picture");
    let weights = sandbox.path("model/transformer/diffusion_pytorch_model.safetensors");
    let before = std::fs::read(&weights).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&weights, sandbox.path("link.gguf")).unwrap();
        convert("link.gguf").failed_with(&["FILE.gguf: link.gguf: the weights are read from this file"]);
    }
    assert!(std::fs::read(&weights).unwrap() == before);
}

#[test]
fn errors_name_the_options_and_what_the_file_holds() {
    let sandbox = Sandbox::new();
    write_z_image(&sandbox.path("z_image"));
    write_flux1(&sandbox.path("flux"), "dev");
    sandbox.run(["convert", "z_image", "z_image.gguf", "--component", "transformer"]).succeeded();
    let generate = |more: &[&str]| sandbox.run([&["generate", "a cat", "--steps", "1"], more].concat());
    generate(&["--transformer", "z_image.gguf"])
        .failed_with(&["--transformer: ", "names no component `transformer`"]);
    generate(&["--quantize", "q8_0", "--components-to-quantize", "dit"])
        .failed_with(&["--components-to-quantize: ", "names no component `dit`"]);
    generate(&["--model", "flux", "--transformer", "z_image.gguf"])
        .failed_with(&["FluxTransformer2DModel from `z_image.gguf`", "that of ZImageTransformer2DModel"]);
}
