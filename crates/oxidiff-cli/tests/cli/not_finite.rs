//! Values that are not finite give an error that says where they came from, never a picture.

use std::path::Path;

use half::f16;
use image::RgbImage;
use oxidiff_kernels::QuantisedFormat;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::json;

use crate::bad_input::Damaged;
use crate::gguf;
use crate::sandbox::{ROOT, Run, Sandbox, copy_folder};
use crate::small_models::write_flux1;

const TEXT_ENCODER: &str = "text_encoder/model.safetensors";
const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
const VAE: &str = "vae/diffusion_pytorch_model.safetensors";

/// A copy of the model with the values of one tensor changed by `change` and stored as `dtype`.
fn with_values(file: &str, key: &str, dtype: Dtype, change: impl Fn(usize, f32) -> f32) -> Damaged {
    let model = Damaged::new();
    let contents = std::fs::read(model.path(file)).unwrap();
    let tensors = SafeTensors::deserialize(&contents).unwrap();
    let tensor = tensors.tensor(key).unwrap();
    assert_eq!(tensor.dtype(), Dtype::F16, "the model is in half precision");
    let halves = tensor.data().as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32());
    let values = halves.enumerate().map(|(index, value)| change(index, value));
    let changed: Vec<u8> = match dtype {
        Dtype::F16 => values.flat_map(|value| f16::from_f32(value).to_le_bytes()).collect(),
        _ => values.flat_map(f32::to_le_bytes).collect(),
    };
    let changed = TensorView::new(dtype, tensor.shape().to_vec(), &changed).unwrap();
    let views = tensors.iter().map(|(name, view)| {
        let view = if name == key { &changed } else { &view };
        (name.to_owned(), TensorView::new(view.dtype(), view.shape().to_vec(), view.data()).unwrap())
    });
    safetensors::serialize_to_file(views.collect::<Vec<_>>(), None, &model.path(file)).unwrap();
    model
}

fn generate(model: &Damaged, arguments: &[&str]) -> Run {
    let usual = ["generate", "red apple", "--steps", "3", "--seed", "0", "--model", "model"];
    model.sandbox.run([&usual[..], arguments].concat())
}

#[test]
fn weights_in_blocks_are_named() {
    let sandbox = Sandbox::new();
    write_flux1(&sandbox.path("model"), "dev");
    let mut tensors = gguf::tensors(&sandbox.path("model/transformer/diffusion_pytorch_model.safetensors"));
    const KEY: &str = "single_transformer_blocks.0.attn.to_k.weight";
    tensors.get_mut(KEY).unwrap().values[5] = f32::INFINITY;
    gguf::write(&tensors, QuantisedFormat::Q8_0, &sandbox.path("broken.gguf"));
    let generate = "generate apple --model model --transformer broken.gguf --height 64 --width 64 --steps 1";
    sandbox.run(generate.split(' ')).failed_with(&[&format!("the weight `{KEY}`"), "not finite"]);
    assert!(!sandbox.path("output.png").exists());
}

#[test]
fn zero_terminal_snr_is_refused_for_models_that_predict_the_noise() {
    let model = Damaged::new();
    model.set_json("model_index.json", json!({"scheduler": ["diffusers", "DDIMScheduler"]}));
    let scheduler = |spacing: &str, prediction: &str| {
        let fields = json!({
            "_class_name": "DDIMScheduler",
            "rescale_betas_zero_snr": true,
            "timestep_spacing": spacing,
            "prediction_type": prediction,
        });
        model.set_json("scheduler/scheduler_config.json", fields);
    };
    for spacing in ["trailing", "linspace"] {
        scheduler(spacing, "epsilon");
        model.refused(&["scheduler_config.json", "rescale_betas_zero_snr", "epsilon", "v_prediction"]);
    }
    // These runs begin where some signal of the image is left, or the model's predictions allow it.
    scheduler("leading", "epsilon");
    generate(&model, &[]).succeeded();
    scheduler("trailing", "v_prediction");
    generate(&model, &[]).succeeded();
}

#[test]
fn a_weight_that_is_nan_is_named() {
    let nan_at = |place: usize| move |index: usize, value: f32| if index == place { f32::NAN } else { value };
    with_values(UNET, "conv_in.bias", Dtype::F16, nan_at(3)).refused(&[
        &format!("model/{UNET}"),
        "`conv_in.bias`",
        "step 1",
    ]);
    with_values(VAE, "decoder.conv_in.bias", Dtype::F16, nan_at(0)).refused(&[
        &format!("model/{VAE}"),
        "`decoder.conv_in.bias`",
        "decoded image",
    ]);
    let model = with_values(VAE, "encoder.conv_in.bias", Dtype::F16, nan_at(0));
    let picture = RgbImage::from_fn(64, 64, |x, y| [(x * 3) as u8, (y * 3) as u8, 128].into());
    picture.save(model.sandbox.path("in.png")).unwrap();
    for mask in [&[][..], &["--mask-image", "in.png"]] {
        let arguments = ["generate", "cat", "--steps", "2", "--model", "model", "--image", "in.png"];
        let words = [&format!("model/{VAE}"), "`encoder.conv_in.bias`", "encoded image"];
        let run = model.sandbox.run([&arguments[..], mask, &["--dtype", "f16"]].concat());
        assert!(!run.stderr.contains("overflows"), "{}", run.stderr);
        run.failed_with(&words);
    }
    let key = "text_model.final_layer_norm.bias";
    let model = Damaged::new();
    let contents = std::fs::read(model.path(TEXT_ENCODER)).unwrap();
    let key = match SafeTensors::deserialize(&contents).unwrap().tensor(key) {
        Ok(_) => key,
        Err(_) => "final_layer_norm.bias",
    };
    with_values(TEXT_ENCODER, key, Dtype::F16, nan_at(1)).refused(&[
        &format!("model/{TEXT_ENCODER}"),
        "final_layer_norm.bias",
        "embedded prompt",
    ]);
}

/// A scheduler that clips would turn an infinite prediction into black and white.
#[test]
fn an_infinite_prediction_is_not_clipped_to_a_picture() {
    let sandbox = Sandbox::new();
    let pipeline = format!("{ROOT}/tests/fixtures/unconditional/pipelines/ddpm");
    copy_folder(Path::new(&pipeline), &sandbox.path("model"));
    let weights = sandbox.path("model").join(UNET);
    let mut contents = std::fs::read(&weights).unwrap();
    let tensors = SafeTensors::deserialize(&contents).unwrap();
    let bias = tensors.tensor("conv_out.bias").unwrap();
    assert_eq!(bias.dtype(), Dtype::F16);
    let start = bias.data().as_ptr().addr() - contents.as_ptr().addr();
    contents[start..start + 2].copy_from_slice(&f16::INFINITY.to_le_bytes());
    std::fs::write(&weights, contents).unwrap();
    let run = sandbox.run(["generate", "--model", "model", "--steps", "2"]);
    run.failed_with(&[&format!("model/{UNET}"), "`conv_out.bias`", "step 1"]);
    assert_eq!(sandbox.files(), ["model"]);
}

#[test]
fn an_autoencoder_that_overflows_in_half_precision_decodes_in_single() {
    let enlarged = |_, value: f32| value * 60000.0;
    let model = with_values(VAE, "decoder.conv_in.weight", Dtype::F16, |index, value| {
        let enlarged = enlarged(index, value);
        // A weight that became infinite could not be used at all.
        enlarged.clamp(-60000.0, 60000.0)
    });
    let run = generate(&model, &["--dtype", "f16"]);
    assert!(run.stderr.contains("overflows in f16") && run.stderr.contains("f32"), "{}", run.stderr);
    run.succeeded();
    let picture = image::open(model.sandbox.path("output.png")).unwrap().to_rgb8();
    let first = picture.get_pixel(0, 0);
    assert!(picture.pixels().any(|pixel| pixel != first), "a picture of one colour");

    // Weights beyond the range of f16 cannot be used in it.
    let model =
        with_values(VAE, "decoder.conv_in.weight", Dtype::F32, |index, value| enlarged(index, value) * 60.0);
    generate(&model, &["--dtype", "f16"]).failed_with(&[VAE, "`decoder.conv_in.weight`", "65504", "f32"]);
    generate(&model, &["--dtype", "f32"]).succeeded();
}
