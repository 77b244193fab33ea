//! The commands of the README: those of the binary are run, the others must be listed here.

use std::collections::BTreeSet;
use std::path::Path;

use oxidiff::{
    AutoencoderKL, Config, Device, FluxControlNetModel, HunyuanDiT2DControlNetModel, Model, Qwen3Model,
    QwenImageControlNetModel, SD3ControlNetModel, ZImageControlNetModel, ZImageTransformer2DModel,
};
use oxidiff_kernels::QuantisedFormat;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

use crate::gguf;
use crate::sandbox::{ROOT, Sandbox, copy_folder};
use crate::small_models::{
    flux1_config, hunyuan_dit_config, write_aura_flow, write_chroma, write_flux1, write_flux2,
    write_flux2_dev, write_hunyuan_dit, write_initial, write_ip_adapters, write_lumina2, write_pixart,
    write_qwen_image, write_qwen_image_layered, write_redux, write_sana, write_sana_controlnet, write_sd3,
    write_z_image, write_z_image_omni,
};

/// The commands that are not commands of the binary.
const OTHER_COMMANDS: [&str; 6] = [
    "cargo test --release",
    "cargo install --path crates/oxidiff-cli",
    "cargo build --release --features oxidiff-cli/vulkan",
    "cargo test --release --features oxidiff/vulkan --test gpu",
    "cargo run --release --example quicktour -- denoising-loop google/ddpm-cat-256",
    "pip install ./bindings/python",
];

/// The first command of the README: Cargo finds the only binary of the workspace.
const FIRST_COMMAND: &str = r#"cargo run --release -- generate "flat red apple""#;

fn readme() -> String {
    std::fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap()
}

/// The commands, each with the output that the README shows for it.
fn commands(readme: &str) -> Vec<(&str, Vec<&str>)> {
    let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
    for block in readme.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match line.strip_prefix("$ ") {
                Some(command) => commands.push((command, Vec::new())),
                None => commands.last_mut().expect("output comes after a command").1.push(line),
            }
        }
    }
    commands
}

/// Splits a command at its spaces, except between double quotes.
fn words(command: &str) -> Vec<String> {
    command
        .split('"')
        .enumerate()
        .flat_map(|(index, part)| match index % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

#[test]
fn the_commands_work() {
    let readme = readme();
    assert!(
        !readme.contains("```sh") && !readme.contains("```bash"),
        "commands must be in ```console blocks"
    );
    let sandbox = Sandbox::new();
    copy_folder(&Path::new(ROOT).join("models"), &sandbox.path("models"));
    write_z_image(&sandbox.path("Tongyi-MAI/Z-Image-Turbo"));
    write_flux1(&sandbox.path("black-forest-labs/FLUX.1-schnell"), "schnell");
    write_flux2(&sandbox.path("black-forest-labs/FLUX.2-klein-4B"));
    let mut seen = BTreeSet::new();
    for (command, expected) in commands(&readme) {
        if OTHER_COMMANDS.contains(&command) {
            seen.insert(command);
            continue;
        }
        let arguments = if command == FIRST_COMMAND {
            command.strip_prefix("cargo run --release -- ")
        } else {
            command.strip_prefix("oxidiff ")
        };
        let mut arguments = words(arguments.unwrap_or_else(|| panic!("`{command}` is not known")));
        if command.contains("Z-Image") || command.contains("FLUX") {
            arguments.extend(["--height", "64", "--width", "64"].map(str::to_owned));
        }
        let printed = sandbox.run(&arguments).succeeded().stdout;
        // Without a seed in the command, another seed is printed each time.
        if !expected.is_empty() && command.contains("--seed") {
            assert_eq!(printed.lines().collect::<Vec<_>>(), expected, "{command}");
        }
    }
    assert_eq!(seen.len(), OTHER_COMMANDS.len(), "only {seen:?} are in the README");
    assert_eq!(
        sandbox.files(),
        [
            "Tongyi-MAI",
            "apple.webp",
            "black-forest-labs",
            "cat-1.png",
            "cat-2.png",
            "green.png",
            "models",
            "octopus.jpg",
            "octopus.npy",
            "output.png",
            "painted.png"
        ]
    );
}

/// The page's names stand for models that are fetched from the hub; here they are small ones.
#[test]
fn the_commands_of_the_page_about_steering_work() {
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/steering.md")).unwrap();
    let fixtures = Path::new(ROOT).join("tests/fixtures");
    let sandbox = Sandbox::new();
    for (from, to) in [
        ("pipelines/sd1", "sd"),
        ("pipelines/sd1", "sd-with-its-own-unet"),
        ("controlnet/unet", "sd/unet"),
        ("controlnet/controlnet", "edges"),
        ("controlnet/controlnet_1", "depth"),
        ("t2i_adapter/adapter", "sketch"),
        ("ip_adapter/models", "adapters"),
        ("ip_adapter/models/image_encoder", "adapters/image_encoder"),
    ] {
        copy_folder(&fixtures.join(from), &sandbox.path(to));
    }
    for (from, to) in
        [("formats/lora/kohya.safetensors", "style.safetensors"), ("esrgan/x2.pth", "RealESRGAN_x4plus.pth")]
    {
        std::fs::copy(fixtures.join(from), sandbox.path(to)).unwrap();
    }
    image::GrayImage::from_fn(64, 64, |x, _| [if x < 32 { 255 } else { 0 }].into())
        .save(sandbox.path("mask.png"))
        .unwrap();
    let commands = commands(&page);
    assert!(commands.len() >= 8, "{} commands", commands.len());
    for (command, _) in commands {
        let mut arguments = words(command.strip_prefix("oxidiff ").unwrap());
        if arguments[0] == "generate" {
            arguments.extend(["--steps".to_owned(), "2".to_owned()]);
        }
        if arguments.iter().any(|word| word == "--adapter" || word == "--lora") {
            // They were made for another UNet than the ControlNets.
            let model = arguments.iter_mut().find(|word| *word == "sd").unwrap();
            *model = "sd-with-its-own-unet".to_owned();
        }
        sandbox.run(&arguments).succeeded();
    }
}

#[test]
fn the_commands_of_the_page_about_models_work() {
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/models.md")).unwrap();
    let sandbox = Sandbox::new();
    write_z_image(&sandbox.path("Tongyi-MAI/Z-Image-Turbo"));
    copy_folder(&sandbox.path("Tongyi-MAI/Z-Image-Turbo"), &sandbox.path("Tongyi-MAI/Z-Image"));
    write_redux(&sandbox.path("black-forest-labs/FLUX.1-Redux-dev"));
    write_z_image_omni(&sandbox.path("Tongyi-MAI/Z-Image-Omni-Base"));
    let models = Path::new(ROOT).join("tests/fixtures/z_image/models.json");
    let models: Value = serde_json::from_slice(&std::fs::read(models).unwrap()).unwrap();
    let controlnet = Config::from_json(&models["controlnet.layers"]["config"].to_string()).unwrap();
    let controlnet = ZImageControlNetModel::from_config(&controlnet, &Device::flex()).unwrap();
    controlnet.save_pretrained(sandbox.path("controlnet")).unwrap();
    for (name, class_name, transformer) in [
        ("dev", "FluxPipeline", "dev"),
        ("schnell", "FluxPipeline", "schnell"),
        ("Fill-dev", "FluxFillPipeline", "fill"),
        ("Kontext-dev", "FluxKontextPipeline", "dev"),
        ("Canny-dev", "FluxControlPipeline", "control"),
    ] {
        let folder = sandbox.path(&format!("black-forest-labs/FLUX.1-{name}"));
        write_flux1(&folder, transformer);
        let index = folder.join("model_index.json");
        let text = std::fs::read_to_string(&index).unwrap().replace("FluxPipeline", class_name);
        std::fs::write(&index, text).unwrap();
    }
    for (name, config) in [("flux-controlnet", "edges"), ("flux-controlnet-union", "union")] {
        let config = Config::from_json(&flux1_config(&format!("controlnet.{config}")).to_string()).unwrap();
        let controlnet = FluxControlNetModel::from_config(&config, &Device::flex()).unwrap();
        controlnet.save_pretrained(sandbox.path(name)).unwrap();
    }
    write_flux2_dev(&sandbox.path("black-forest-labs/FLUX.2-dev"));
    let flux2 = sandbox.path("black-forest-labs/FLUX.2-klein-4B");
    write_flux2(&flux2);
    for name in ["black-forest-labs/FLUX.2-klein-base-4B", "black-forest-labs/FLUX.2-klein-9b-kv"] {
        copy_folder(&flux2, &sandbox.path(name));
        let index = sandbox.path(name).join("model_index.json");
        let class_name = if name.ends_with("kv") { "Flux2KleinKVPipeline" } else { "Flux2KleinPipeline" };
        let text = std::fs::read_to_string(&index).unwrap().replace("Flux2KleinPipeline", class_name);
        std::fs::write(&index, text).unwrap();
    }
    for (name, class_name) in [
        ("Qwen-Image", "QwenImagePipeline"),
        ("Qwen-Image-Edit", "QwenImageEditPipeline"),
        ("Qwen-Image-Edit-2511", "QwenImageEditPlusPipeline"),
    ] {
        write_qwen_image(&sandbox.path("Qwen").join(name), class_name);
    }
    write_qwen_image_layered(&sandbox.path("Qwen/Qwen-Image-Layered"));
    let models = Path::new(ROOT).join("tests/fixtures/qwen_image/models.json");
    let models: Value = serde_json::from_slice(&std::fs::read(models).unwrap()).unwrap();
    let controlnet = Config::from_json(&models["controlnet.edges"]["config"].to_string()).unwrap();
    let controlnet = QwenImageControlNetModel::from_config(&controlnet, &Device::flex()).unwrap();
    controlnet.save_pretrained(sandbox.path("qwen-image-controlnet")).unwrap();
    let chroma = sandbox.path("lodestones/Chroma1-HD");
    write_chroma(&chroma);
    for (part, file) in [
        ("transformer/diffusion_pytorch_model.safetensors", "Chroma1-HD-Q8_0.gguf"),
        ("text_encoder/model.safetensors", "t5-chroma-Q8_0.gguf"),
    ] {
        let tensors = gguf::tensors(&chroma.join(part));
        let tensors = if part.starts_with("text") { gguf::t5_of_llama_cpp(&tensors) } else { tensors };
        gguf::write(&tensors, QuantisedFormat::Q8_0, &sandbox.path(file));
    }
    let aura_flow = sandbox.path("fal/AuraFlow-v0.3");
    write_aura_flow(&aura_flow);
    let tensors = gguf::tensors(&aura_flow.join("transformer/diffusion_pytorch_model.safetensors"));
    gguf::write(&tensors, QuantisedFormat::Q8_0, &sandbox.path("aura_flow_0.3-Q8_0.gguf"));
    for (name, class_name) in [
        ("PixArt-XL-2-1024-MS", "PixArtAlphaPipeline"),
        ("PixArt-LCM-XL-2-1024-MS", "PixArtAlphaPipeline"),
        ("PixArt-Sigma-XL-2-1024-MS", "PixArtSigmaPipeline"),
    ] {
        write_pixart(&sandbox.path("PixArt-alpha").join(name), class_name);
    }
    let t5 = sandbox.path("PixArt-alpha/PixArt-Sigma-XL-2-1024-MS/text_encoder/model.safetensors");
    let tensors = gguf::t5_of_llama_cpp(&gguf::tensors(&t5));
    gguf::write(&tensors, QuantisedFormat::Q8_0, &sandbox.path("t5-pixart-Q8_0.gguf"));
    let lumina2 = sandbox.path("Alpha-VLLM/Lumina-Image-2.0");
    write_lumina2(&lumina2);
    for (part, file) in [
        ("transformer/diffusion_pytorch_model.safetensors", "lumina2-Q8_0.gguf"),
        ("text_encoder/model.safetensors", "gemma-2-2b-Q8_0.gguf"),
    ] {
        gguf::write(&gguf::tensors(&lumina2.join(part)), QuantisedFormat::Q8_0, &sandbox.path(file));
    }
    for (version, transformer) in
        [("v1.1-Diffusers", "style"), ("v1.2-Diffusers", "plain"), ("v1.2-Diffusers-Distilled", "plain")]
    {
        write_hunyuan_dit(&sandbox.path(&format!("Tencent-Hunyuan/HunyuanDiT-{version}")), transformer);
    }
    let controlnet = Config::from_json(&hunyuan_dit_config("controlnet.plain").to_string()).unwrap();
    let controlnet = HunyuanDiT2DControlNetModel::from_config(&controlnet, &Device::flex()).unwrap();
    controlnet.save_pretrained(sandbox.path("hunyuan-dit-controlnet")).unwrap();
    let sana = sandbox.path("Efficient-Large-Model");
    write_sana(&sana.join("Sana_1600M_1024px_BF16_diffusers"), false);
    write_sana(&sana.join("Sana_Sprint_1.6B_1024px_diffusers"), true);
    write_sana_controlnet(&sandbox.path("sana-controlnet"));
    let sd3 = sandbox.path("stabilityai/stable-diffusion-3.5-medium");
    write_sd3(&sd3);
    for name in [
        "stable-diffusion-3.5-large",
        "stable-diffusion-3.5-large-turbo",
        "stable-diffusion-3-medium-diffusers",
    ] {
        copy_folder(&sd3, &sandbox.path("stabilityai").join(name));
    }
    let models = Path::new(ROOT).join("tests/fixtures/stable_diffusion_3/models.json");
    let models: Value = serde_json::from_slice(&std::fs::read(models).unwrap()).unwrap();
    let controlnet = Config::from_json(&models["controlnet.plain"]["config"].to_string()).unwrap();
    let controlnet = SD3ControlNetModel::from_config(&controlnet, &Device::flex()).unwrap();
    controlnet.save_pretrained(sandbox.path("sd3-controlnet")).unwrap();
    for (part, file) in [
        ("transformer/diffusion_pytorch_model.safetensors", "sd3.5_medium-Q8_0.gguf"),
        ("text_encoder_3/model.safetensors", "t5-v1_1-xxl-encoder-Q8_0.gguf"),
    ] {
        let tensors = gguf::tensors(&sd3.join(part));
        let tensors = match part.starts_with("transformer") {
            true => gguf::original_sd3(&tensors),
            false => gguf::t5_of_llama_cpp(&tensors),
        };
        gguf::write(&tensors, QuantisedFormat::Q8_0, &sandbox.path(file));
    }
    write_ip_adapters(&sandbox);
    for name in ["apple.png", "cat.png", "mask.png", "pose.png", "hat.png"] {
        image::RgbImage::from_pixel(64, 64, [200; 3].into()).save(sandbox.path(name)).unwrap();
    }
    let commands = commands(&page);
    assert!(commands.len() >= 10, "{} commands", commands.len());
    for (command, _) in commands {
        // A published file has the shapes of the published model.
        let command = command.replace("Z-Image-Turbo-Fun-Controlnet-Union.safetensors", "controlnet");
        // The small model has three layers.
        let command = command.replace("--skip-guidance-layers 7,8,9", "--skip-guidance-layers 1");
        let mut command = command;
        for block in ["blocks.8", "blocks.13", "blocks.14"] {
            command = command.replace(&format!("{block} "), "blocks.1 ");
        }
        let mut arguments = words(command.strip_prefix("oxidiff ").unwrap());
        if let Some(steps) = arguments.iter().position(|word| word == "--steps") {
            arguments.drain(steps..=steps + 1);
        }
        for size in ["--height", "--width"] {
            if let Some(at) = arguments.iter().position(|word| word == size) {
                arguments.drain(at..=at + 1);
            }
        }
        arguments.extend(["--steps", "2"].map(str::to_owned));
        if !command.contains("Layered") {
            arguments.extend(["--height", "64", "--width", "64"].map(str::to_owned));
        }
        if command.contains("HunyuanDiT") {
            arguments.extend(["--use-resolution-binning", "false"].map(str::to_owned));
        }
        if command.contains("Kontext") {
            arguments.extend(["--max-area", "4096", "--auto-resize", "false"].map(str::to_owned));
        }
        // There may be no card.
        if command.contains("--device cuda") {
            arguments
                .retain(|word| !["--device", "cuda"].contains(&word.as_str()) && !word.ends_with("-offload"));
        }
        sandbox.run(&arguments).succeeded();
    }
}

/// The page's names stand for published files; here they are small ones.
#[test]
fn the_commands_of_the_page_about_quantisation_work() {
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/quantisation.md")).unwrap();
    let fixtures = Path::new(ROOT).join("tests/fixtures");
    let sandbox = Sandbox::new();
    let model = sandbox.path("Tongyi-MAI/Z-Image-Turbo");
    copy_folder(&fixtures.join("z_image/checkpoint"), &model);
    // Rows of whole blocks.
    std::fs::copy(fixtures.join("gguf/transformer.json"), model.join("transformer/config.json")).unwrap();
    let text_encoder = model.join("text_encoder/config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&text_encoder).unwrap()).unwrap();
    config["hidden_size"] = 64.into();
    config["intermediate_size"] = 96.into();
    std::fs::write(&text_encoder, config.to_string()).unwrap();
    write_initial::<ZImageTransformer2DModel>(&model.join("transformer"));
    write_initial::<Qwen3Model>(&model.join("text_encoder"));
    write_initial::<AutoencoderKL>(&model.join("vae"));
    let transformer = model.join("transformer/diffusion_pytorch_model.safetensors");
    let language_model = model.join("text_encoder/model.safetensors");
    let (tensors, names) = (gguf::tensors(&transformer), gguf::tensors(&language_model));
    gguf::write(
        &gguf::original_z_image(&tensors),
        QuantisedFormat::Q8_0,
        &sandbox.path("z_image_turbo-Q8_0.gguf"),
    );
    gguf::write(&gguf::of_llama_cpp(&names), QuantisedFormat::Q8_0, &sandbox.path("Qwen3-4B-Q8_0.gguf"));
    write_lora(&sandbox.path("style.safetensors"));
    let flux = sandbox.path("black-forest-labs/FLUX.1-schnell");
    write_flux1(&flux, "schnell");
    for (part, file) in [
        ("transformer/diffusion_pytorch_model.safetensors", "flux1-schnell-Q4_K.gguf"),
        ("text_encoder_2/model.safetensors", "t5-v1_1-xxl-encoder-Q4_K.gguf"),
    ] {
        let tensors = gguf::tensors(&flux.join(part));
        let tensors = if part.starts_with("text") { gguf::t5_of_llama_cpp(&tensors) } else { tensors };
        gguf::write(&tensors, QuantisedFormat::Q8_0, &sandbox.path(file));
        // What a file replaces is not needed.
        std::fs::remove_file(flux.join(part)).unwrap();
    }

    let commands = commands(&page);
    assert!(commands.len() >= 3, "{} commands", commands.len());
    for (command, _) in commands {
        let small = "--steps 2 --height 64 --width 64 --seed 1";
        let command = command.replace("--steps 8", small).replace("--steps 4", small);
        let arguments = words(command.strip_prefix("oxidiff ").unwrap());
        let run = sandbox.run(&arguments).succeeded();
        assert_eq!(run.stderr, "", "{command}");
    }
    let generate = ["generate", "a red apple", "--model", "Tongyi-MAI/Z-Image-Turbo"];
    let run = sandbox.run(generate.into_iter().chain(["--transformer", "Qwen3-4B-Q8_0.gguf"]));
    assert_ne!(run.code, Some(0));
    assert!(run.stderr.contains("Qwen3-4B-Q8_0.gguf"), "{}", run.stderr);
}

/// A LoRA for the transformer of [`the_commands_of_the_page_about_quantisation_work`].
fn write_lora(file: &Path) {
    let zeros = vec![0; 4 * 2 * 96];
    let views = [("lora_A", vec![2, 96]), ("lora_B", vec![96, 2])].map(|(half, shape)| {
        let key = format!("transformer.layers.0.attention.to_q.{half}.weight");
        (key, TensorView::new(Dtype::F32, shape, &zeros).unwrap())
    });
    std::fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn the_options_are_those_of_the_binary() {
    let options = |text: &str| -> BTreeSet<String> {
        text.split(|c: char| !(c.is_ascii_lowercase() || c == '-'))
            .filter(|word| word.starts_with("--") && word.len() > 2 && *word != "--help")
            .map(str::to_owned)
            .collect()
    };
    let readme = readme();
    let table: String = readme.lines().filter(|line| line.starts_with("| `")).collect();
    let help = Sandbox::new().run(["generate", "--help"]).succeeded().stdout;
    let (own, of_pipelines) = help.split_once("Options of some pipelines:").unwrap();
    assert_eq!(options(&table), options(own));
    // For the other options, the README only says where they come from.
    for option in
        ["--padding-mask-crop", "--prompt-weighting", "--denoising-end", "--original-size", "--noise-level"]
    {
        assert!(options(of_pipelines).contains(option), "{option}");
    }
}

#[test]
fn the_schedulers_are_those_of_the_library() {
    let readme = readme();
    let row = readme.lines().find(|line| line.starts_with("| Schedulers |")).unwrap();
    let listed: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
    assert_eq!(listed, oxidiff::schedulers::CLASS_NAMES);
}

#[test]
fn the_tests_of_the_tasks_exist() {
    let readme = readme();
    let commands: Vec<&str> = readme
        .split("cargo test --release --test ")
        .skip(1)
        .filter_map(|rest| rest.split('`').next())
        .collect();
    assert!(commands.len() >= 9, "{commands:?}");
    for command in commands {
        // The program, and its module.
        let (program, module) = command.strip_suffix("::").and_then(|words| words.split_once(' ')).unwrap();
        let program = Path::new(ROOT).join("crates/oxidiff-tests/tests").join(program);
        let main = std::fs::read_to_string(program.join("main.rs")).unwrap();
        assert!(main.contains(&format!("\nmod {module};\n")), "{command}");
        let files = [program.join(module).with_extension("rs"), program.join(module).join("mod.rs")];
        assert!(files.iter().any(|file| file.is_file()), "{command}");
    }
}
