//! Wrong arguments and damaged checkpoints: each gives an error that names the problem, never a panic, and leaves no
//! files.

use std::path::{Path, PathBuf};

use oxidiff::{Config, PNDMScheduler, Scheduler};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Map, Value, json};

use crate::sandbox::{ROOT, Sandbox, copy_folder};

/// Runs `generate` with two steps and `arguments`, and requires that it fails with an error that contains all of
/// `words`.
#[track_caller]
fn refused(arguments: &[&str], words: &[&str]) {
    let sandbox = Sandbox::new();
    sandbox.run([&["generate", "red apple"], arguments].concat()).failed_with(words);
    assert!(sandbox.files().is_empty(), "{arguments:?} left {:?}", sandbox.files());
}

#[test]
fn sizes_and_counts() {
    refused(&["--height", "65"], &["--height", "65"]);
    refused(&["--height", "0"], &["--height"]);
    refused(&["--width", "4"], &["--width"]);
    refused(&["--width", "18446744073709551608"], &["--width", "18446744073709551608"]);
    refused(&["--height", "-8"], &["-8"]);
    refused(&["--steps", "0"], &["--steps"]);
    refused(&["--steps", "many"], &["--steps", "many"]);
    refused(&["--num-images", "0"], &["--num-images"]);
    refused(&["--num-images", "18446744073709551615"], &["--num-images"]);
    refused(&["--clip-skip", "3"], &["--clip-skip", "2 layers"]);
    refused(&["--seed", "apple"], &["--seed", "apple"]);
    for scheduler in PNDMScheduler::new(Default::default()).unwrap().compatibles() {
        refused(&["--steps", "18446744073709551615", "--scheduler", scheduler], &["--steps"]);
    }
}

#[test]
fn numbers_that_are_not_finite() {
    refused(&["--guidance-scale", "nan"], &["--guidance-scale", "NaN"]);
    refused(&["--guidance-scale", "inf"], &["--guidance-scale"]);
    refused(&["--guidance-rescale", "nan"], &["--guidance-rescale"]);
    refused(&["--eta", "nan"], &["--eta"]);
}

#[test]
fn options_for_cards() {
    for option in ["--model-cpu-offload", "--sequential-cpu-offload", "--allow-tf32"] {
        refused(&[option], &[option, "--device cuda"]);
    }
    refused(&["--device", "cuda", "--dtype", "bf16", "--allow-tf32"], &["--allow-tf32", "f32 only"]);
}

#[test]
fn schedulers_of_other_models() {
    for scheduler in [
        "FlowMatchEulerDiscreteScheduler",
        "FlowMatchHeunDiscreteScheduler",
        "FlowMatchLCMScheduler",
        "ScoreSdeVeScheduler",
    ] {
        refused(&["--scheduler", scheduler], &[scheduler, "this pipeline"]);
    }
    refused(&["--scheduler", "SCMScheduler"], &["--scheduler", "prediction_type", "trigflow"]);
}

#[test]
fn unknown_names() {
    refused(
        &["--scheduler", "NoSuchScheduler"],
        &["--scheduler", "NoSuchScheduler", "EulerDiscreteScheduler"],
    );
    refused(&["--device", "abacus"], &["--device", "abacus"]);
    refused(&["--dtype", "f8"], &["--dtype", "f8"]);
    refused(&["--model", "no-such-folder"], &["no-such-folder"]);
    refused(&["--model", "./no/such/folder"], &["./no/such/folder"]);
    refused(&["--model", "owner/no-such-model"], &["owner/no-such-model", "HF_HUB_OFFLINE"]);
    refused(&["--no-such-option"], &["--no-such-option"]);
    refused(&["--prompt", "twice"], &["--prompt"]);
    Sandbox::new().run(["generate"]).failed_with(&["PROMPT"]);
    Sandbox::new().run(["inspect", "./no-such-folder"]).failed_with(&["no-such-folder"]);
    Sandbox::new().run(["no-such-command"]).failed_with(&["no-such-command"]);
    Sandbox::new().run([""; 0]).failed_with(&["Usage"]);
}

#[test]
fn devices_that_are_not_built_in() {
    for (device, built_in) in [
        ("cuda", cfg!(feature = "cuda")),
        ("rocm", cfg!(feature = "rocm")),
        ("metal", cfg!(feature = "metal")),
        ("vulkan", cfg!(feature = "vulkan")),
        ("wgpu", cfg!(feature = "wgpu")),
    ] {
        if !built_in {
            refused(&["--device", device], &["--device", device, "--features"]);
        }
    }
}

/// Behaves as on a machine without a graphics card, on any machine: the drivers are configured to find none.
#[cfg(any(feature = "cuda", feature = "vulkan"))]
#[test]
fn devices_that_the_machine_lacks() {
    let hidden = [
        ("CUDA_VISIBLE_DEVICES", ""),
        ("VK_DRIVER_FILES", "/no/such/driver"),
        ("VK_ICD_FILENAMES", "/no/such/driver"),
    ];
    for (device, built_in, name) in
        [("cuda", cfg!(feature = "cuda"), "NVIDIA"), ("vulkan", cfg!(feature = "vulkan"), "Vulkan")]
    {
        if built_in {
            let sandbox = Sandbox::new();
            let generate = ["generate", "red apple", "--device", device];
            sandbox.run_with(&hidden, generate).failed_with(&["`device`", "driver", name]);
            assert!(sandbox.files().is_empty(), "{device} left {:?}", sandbox.files());
        }
    }
}

#[test]
fn outputs_that_cannot_be_written() {
    refused(&["--output", "no-such-folder/x.png"], &["no-such-folder"]);
    refused(&["--output", "x"], &["--output x", ".png"]);
    refused(&["--output", "x.tiff"], &["--output x.tiff", ".png"]);
    refused(&["--output", ""], &["--output"]);
    refused(&["--output", "x.png/"], &["--output x.png/", "folder"]);

    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("x.png")).unwrap();
    sandbox.run(["generate", "red apple", "--output", "x.png"]).failed_with(&["x.png", "directory"]);
    std::fs::create_dir(sandbox.path("y-2.png")).unwrap();
    let several = ["generate", "red apple", "--output", "y.png", "--num-images", "2"];
    sandbox.run(several).failed_with(&["y-2.png", "directory"]);
    assert_eq!(sandbox.files(), ["x.png", "y-2.png"]);
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_read_only() {
    use std::os::unix::fs::PermissionsExt;

    let sandbox = Sandbox::new();
    let folder = sandbox.path("locked");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::write(folder.join("probe"), "").is_ok() {
        eprintln!("skipped: this user may write anywhere");
        return;
    }
    sandbox.run(["generate", "red apple", "--output", "locked/x.png"]).failed_with(&["locked/x.png"]);
}

/// A copy of the emoji model that a test damages.
pub struct Damaged {
    pub sandbox: Sandbox,
}

impl Damaged {
    pub fn new() -> Self {
        let sandbox = Sandbox::new();
        copy_folder(Path::new(&format!("{ROOT}/models/emoji-diffusion")), &sandbox.path("model"));
        Self { sandbox }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.sandbox.path("model").join(file)
    }

    /// Writes the JSON `file` of the undamaged model, with these `values` replaced.
    pub fn set_json(&self, file: &str, values: Value) {
        // Python does not always write valid JSON: a scheduler's configuration holds `-Infinity`.
        let whole = Config::from_file(Path::new(ROOT).join("models/emoji-diffusion").join(file)).unwrap();
        let mut object: Map<String, Value> = whole.values().clone();
        object.extend(values.as_object().unwrap().clone());
        std::fs::write(self.path(file), serde_json::to_vec(&object).unwrap()).unwrap();
    }

    /// Requires that loading fails with an error that contains all of `words`.
    #[track_caller]
    pub fn refused(&self, words: &[&str]) {
        self.refused_with(&[], words);
    }

    /// As [`Self::refused`], with further arguments.
    #[track_caller]
    pub fn refused_with(&self, arguments: &[&str], words: &[&str]) {
        let load = ["generate", "red apple", "--steps", "2", "--guidance-scale", "1", "--model", "model"];
        self.sandbox.run(load.iter().chain(arguments)).failed_with(words);
        assert_eq!(self.sandbox.files(), ["model"]);
    }
}

const UNET_CONFIG: &str = "unet/config.json";
const UNET_WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";
const VAE_WEIGHTS: &str = "vae/diffusion_pytorch_model.safetensors";

/// A copy of the model with these `values` replaced in its JSON `file`.
fn with_json(file: &str, values: Value) -> Damaged {
    let model = Damaged::new();
    model.set_json(file, values);
    model
}

/// A copy of the model whose weights have a header changed by `change`.
fn with_header(change: impl FnOnce(&mut Map<String, Value>)) -> Damaged {
    let model = Damaged::new();
    let file = std::fs::read(model.path(VAE_WEIGHTS)).unwrap();
    let header_len = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let (header, data) = file[8..].split_at(header_len);
    let mut header = serde_json::from_slice(header).unwrap();
    change(&mut header);
    let header = serde_json::to_vec(&header).unwrap();
    let file = [&(header.len() as u64).to_le_bytes(), &*header, data].concat();
    std::fs::write(model.path(VAE_WEIGHTS), file).unwrap();
    model
}

/// A tensor in the file that `with_header` changes.
const TENSOR: &str = "decoder.conv_in.bias";

#[test]
fn truncated_weights() {
    for file in [UNET_WEIGHTS, VAE_WEIGHTS, "text_encoder/model.safetensors"] {
        let model = Damaged::new();
        let whole = std::fs::read(model.path(file)).unwrap();
        for length in [4, 8, 100, whole.len() / 2, whole.len() - 1] {
            std::fs::write(model.path(file), &whole[..length]).unwrap();
            model.refused(&[file, "truncated"]);
        }
    }
}

#[test]
fn headers_with_false_claims() {
    for (field, value) in [
        ("data_offsets", json!([0, u64::MAX])),
        ("data_offsets", json!([1u64 << 40, 1u64 << 41])),
        ("data_offsets", json!([8, 0])),
        ("data_offsets", json!([0, 8])),
        ("data_offsets", json!([-8, 0])),
        ("data_offsets", json!("everywhere")),
        ("shape", json!([-1])),
        ("shape", json!([u64::MAX, u64::MAX])),
        ("shape", json!([1u64 << 40])),
        ("shape", json!([])),
        ("dtype", json!("F12")),
        ("dtype", json!("F32")),
        ("dtype", json!(16)),
    ] {
        with_header(|header| header[TENSOR][field] = value).refused(&[VAE_WEIGHTS]);
    }
    let overlapping = |header: &mut Map<String, Value>| {
        header[TENSOR] = header["decoder.conv_norm_out.bias"].clone();
    };
    with_header(overlapping).refused(&[VAE_WEIGHTS]);
}

#[test]
fn false_header_lengths() {
    for length in [0, 1, 1 << 20, 1 << 40, u64::MAX - 7, u64::MAX] {
        let model = Damaged::new();
        let mut file = std::fs::read(model.path(VAE_WEIGHTS)).unwrap();
        file[..8].copy_from_slice(&length.to_le_bytes());
        std::fs::write(model.path(VAE_WEIGHTS), file).unwrap();
        model.refused(&[VAE_WEIGHTS]);
    }
}

#[test]
fn files_that_are_not_weights() {
    for contents in ["", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "PK\x03\x04"] {
        let model = Damaged::new();
        std::fs::write(model.path(UNET_WEIGHTS), contents).unwrap();
        model.refused(&[UNET_WEIGHTS]);
    }
}

/// A copy of the model whose weights are the results of `change` for its tensors: name, element type, shape, bytes.
fn with_tensors(change: impl Fn(&str, TensorView<'_>) -> Option<(Dtype, Vec<usize>, Vec<u8>)>) -> Damaged {
    let model = Damaged::new();
    let file = std::fs::read(model.path(VAE_WEIGHTS)).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    let changed: Vec<_> =
        tensors.iter().filter_map(|(name, tensor)| Some((name, change(name, tensor)?))).collect();
    let views = changed.iter().map(|(name, (dtype, shape, bytes))| {
        (name.to_string(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    std::fs::write(model.path(VAE_WEIGHTS), safetensors::serialize(views, None).unwrap()).unwrap();
    model
}

#[test]
fn tensors_that_do_not_fit() {
    let same = |tensor: &TensorView<'_>| (tensor.dtype(), tensor.shape().to_vec(), tensor.data().to_vec());
    with_tensors(|name, tensor| (name != TENSOR).then(|| same(&tensor))).refused(&[
        VAE_WEIGHTS,
        TENSOR,
        "missing",
    ]);

    with_tensors(|name, tensor| match name {
        TENSOR => Some((tensor.dtype(), vec![tensor.shape()[0] / 2, 2], tensor.data().to_vec())),
        _ => Some(same(&tensor)),
    })
    .refused(&[VAE_WEIGHTS, TENSOR, "shape"]);

    with_tensors(|name, tensor| match name {
        TENSOR => Some((Dtype::F8_E8M0, tensor.shape().to_vec(), vec![0; tensor.shape()[0]])),
        _ => Some(same(&tensor)),
    })
    .refused(&[VAE_WEIGHTS, TENSOR, "F8_E8M0"]);
}

#[test]
fn weights_that_disagree_with_the_configuration() {
    with_json(UNET_CONFIG, json!({"block_out_channels": [128, 160, 192]})).refused(&[UNET_WEIGHTS, "shape"]);
    with_json(UNET_CONFIG, json!({"layers_per_block": 3})).refused(&[UNET_WEIGHTS, "is missing"]);
    with_json("vae/config.json", json!({"layers_per_block": 1024})).refused(&[VAE_WEIGHTS, "is missing"]);
    with_json("text_encoder/config.json", json!({"hidden_size": 192})).refused(&["text_encoder", "shape"]);
    with_json("vae/config.json", json!({"latent_channels": 4})).refused(&["vae", "shape"]);
}

#[test]
fn missing_parts() {
    for folder in ["unet", "vae", "text_encoder", "tokenizer", "scheduler"] {
        let model = Damaged::new();
        std::fs::remove_dir_all(model.path(folder)).unwrap();
        model.refused(&[folder, "not found"]);
    }
    for file in ["model_index.json", UNET_CONFIG, "scheduler/scheduler_config.json"] {
        let model = Damaged::new();
        std::fs::remove_file(model.path(file)).unwrap();
        model.refused(&[file, "not found"]);
    }
    for file in [UNET_WEIGHTS, "text_encoder/model.safetensors"] {
        let model = Damaged::new();
        std::fs::remove_file(model.path(file)).unwrap();
        model.refused(&["no weights", Path::new(file).file_name().unwrap().to_str().unwrap()]);
    }
    let model = Damaged::new();
    for file in ["tokenizer.json", "vocab.json"] {
        std::fs::remove_file(model.path("tokenizer").join(file)).unwrap();
    }
    model.refused(&["tokenizer", "vocab.json"]);
}

#[test]
fn pickled_weights_that_are_not_pickles() {
    for (weights, pickled) in [
        (UNET_WEIGHTS, "unet/diffusion_pytorch_model.bin"),
        ("text_encoder/model.safetensors", "text_encoder/pytorch_model.bin"),
    ] {
        let model = Damaged::new();
        std::fs::rename(model.path(weights), model.path(pickled)).unwrap();
        model.refused(&[pickled, "safetensors"]);
    }
}

#[test]
fn unknown_classes() {
    let index = "model_index.json";
    with_json(index, json!({"_class_name": "FluxPipeline"})).refused(&["FluxPipeline"]);
    with_json(index, json!({"_class_name": null})).refused(&[index, "_class_name"]);
    with_json(index, json!({"unet": ["diffusers", "UNet3DConditionModel"]}))
        .refused(&["unet", "UNet3DConditionModel"]);
    with_json(index, json!({"scheduler": ["diffusers", "NoSuchScheduler"]})).refused(&["NoSuchScheduler"]);
    with_json(index, json!({"tokenizer": ["transformers", "T5Tokenizer"]})).refused(&["T5Tokenizer"]);
    with_json(index, json!({"vae": null})).refused(&[index, "vae"]);
    with_json(index, json!({"vae": []})).refused(&[index, "vae"]);
    with_json(UNET_CONFIG, json!({"_class_name": "UNet2DModel"})).refused(&[UNET_CONFIG, "UNet2DModel"]);
}

#[test]
fn invalid_json() {
    let files = [
        "generation_config.json",
        "model_index.json",
        UNET_CONFIG,
        "vae/config.json",
        "text_encoder/config.json",
        "scheduler/scheduler_config.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/tokenizer.json",
    ];
    for file in files {
        let model = Damaged::new();
        for contents in ["", "{", "[]", "null", "{\"a\": 1,}", "\u{feff}{}", "{\"a\": \"\\ud800\"}"] {
            std::fs::write(model.path(file), contents).unwrap();
            model.refused(&[file]);
        }
        std::fs::write(model.path(file), b"{\"a\": \"\xff\"}").unwrap();
        model.refused(&[file]);
        std::fs::write(model.path(file), "[".repeat(100_000)).unwrap();
        model.refused(&[file]);
    }
}

/// Requires that each of these `values` for a field of the model's `file` is refused with an error that names both.
#[track_caller]
fn field_refused(file: &str, field: &str, values: &[Value]) {
    let model = Damaged::new();
    for value in values {
        model.set_json(file, json!({field: value}));
        model.refused(&[file, &format!("`{field}")]);
    }
}

#[test]
fn fields_of_the_wrong_type() {
    field_refused(UNET_CONFIG, "in_channels", &[json!("4"), json!(-4), json!(4.5), json!(null), json!(1e30)]);
    field_refused(UNET_CONFIG, "act_fn", &[json!("sillu"), json!(1)]);
    field_refused(UNET_CONFIG, "down_block_types", &[json!("CrossAttnDownBlock2D"), json!(["NoSuchBlock"])]);
    field_refused(UNET_CONFIG, "flip_sin_to_cos", &[json!("yes")]);
    field_refused("vae/config.json", "block_out_channels", &[json!(32), json!([32, "x"]), json!([-1])]);
    field_refused("text_encoder/config.json", "hidden_size", &[json!("large"), json!([192])]);
    field_refused("scheduler/scheduler_config.json", "beta_start", &[json!("small"), json!(null)]);
    field_refused("scheduler/scheduler_config.json", "beta_schedule", &[json!("wave"), json!(3)]);
}

#[test]
fn impossible_numbers() {
    field_refused(UNET_CONFIG, "attention_head_dim", &[json!(0), json!(1u64 << 40), json!([4, 4])]);
    field_refused(UNET_CONFIG, "norm_num_groups", &[json!(0), json!(7), json!(1u64 << 40)]);
    field_refused(UNET_CONFIG, "layers_per_block", &[json!(0), json!(u64::MAX), json!([1, 1, 1u64 << 40])]);
    field_refused(UNET_CONFIG, "transformer_layers_per_block", &[json!(u64::MAX)]);
    field_refused(UNET_CONFIG, "downsample_padding", &[json!(1u64 << 40)]);
    field_refused(UNET_CONFIG, "in_channels", &[json!(0)]);
    field_refused(UNET_CONFIG, "out_channels", &[json!(0)]);
    field_refused(UNET_CONFIG, "conv_in_kernel", &[json!(2)]);
    field_refused("vae/config.json", "norm_num_groups", &[json!(0), json!(5)]);
    field_refused("vae/config.json", "layers_per_block", &[json!(0), json!(u64::MAX)]);
    field_refused("vae/config.json", "scaling_factor", &[json!(0.0)]);
    field_refused("text_encoder/config.json", "num_attention_heads", &[json!(0), json!(5)]);
    field_refused("text_encoder/config.json", "num_hidden_layers", &[json!(u64::MAX)]);
    field_refused("text_encoder/config.json", "vocab_size", &[json!(0)]);
    let scheduler = "scheduler/scheduler_config.json";
    field_refused(scheduler, "num_train_timesteps", &[json!(0), json!(u64::MAX), json!(1u64 << 40)]);
    field_refused(scheduler, "beta_start", &[json!(-1.0), json!(1e30)]);
    field_refused(scheduler, "trained_betas", &[json!([]), json!([2.0])]);
    with_json(scheduler, json!({"clip_sample_range": -1}))
        .refused_with(&["--scheduler", "DDIMScheduler"], &[scheduler, "`clip_sample_range`"]);
}
