//! Compares LoCon, LoHa, LoKr and DoRA, and LoRA with weights for single blocks, with what
//! `tests/fixtures/generate_adapters.py` recorded.

use std::path::{Path, PathBuf};

use oxidiff::{
    AdapterWeight, BlockWeight, BlockWeights, DType, Device, Generator, LoraLoader, LoraOptions, Pipeline,
    StableDiffusionPipeline, Tensor,
};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::json;

use crate::fixture::{Recorded, assert_close, fixtures};

const MODEL: f32 = 1e-4;
const KINDS: [&str; 8] =
    ["locon", "loha", "loha_tucker", "lokr", "lokr_tucker", "dora", "dora_of_inputs", "peft_dora"];

fn file(name: &str) -> PathBuf {
    fixtures().join(format!("adapters/{name}.safetensors"))
}

fn pipeline() -> StableDiffusionPipeline {
    StableDiffusionPipeline::from_pretrained(fixtures().join("pipelines/sd1").to_str().unwrap()).unwrap()
}

fn with(file: &Path) -> oxidiff::Result<StableDiffusionPipeline> {
    let mut pipeline = pipeline();
    let named = LoraOptions { adapter_name: Some("x".into()), ..Default::default() };
    pipeline.load_lora_weights(file.to_str().unwrap(), &named)?;
    Ok(pipeline)
}

/// Compares the embedding of a text and a prediction of the UNet with those recorded under `name`.
#[track_caller]
fn check(pipeline: &StableDiffusionPipeline, name: &str) {
    let recorded = Recorded::open(&file("outputs"));
    let embed = |prompt: &str| {
        let tokens = pipeline.tokenizer.tokenize(&[prompt], 24).unwrap();
        pipeline.text_encoder.forward(&tokens.input_ids, None).unwrap().last_hidden_state
    };
    let text = embed("a red apple");
    assert_close(&format!("{name}, text"), text.clone(), recorded.floats(&format!("{name}.text")), MODEL);
    let noise = Generator::manual_seed(3).randn::<4>([2, 4, 6, 8], DType::F32, &Device::flex());
    let predicted = pipeline.unet.forward(noise, 300.0, Tensor::cat(vec![embed("dog"), text], 0)).unwrap();
    assert_close(&format!("{name}, unet"), predicted, recorded.floats(&format!("{name}.unet")), MODEL);
}

#[test]
fn every_kind_changes_the_weights_as_its_trainer_does() {
    for kind in KINDS {
        let mut pipeline = with(&file(kind)).unwrap();
        check(&pipeline, &format!("{kind}.1.0"));
        pipeline.set_adapters(&[("x", 0.6)]).unwrap();
        check(&pipeline, &format!("{kind}.0.6"));
        pipeline.fuse_lora(1.0, None).unwrap();
        pipeline.unload_lora_weights();
        check(&pipeline, &format!("{kind}.0.6"));
    }
}

#[test]
fn blocks_have_weights_of_their_own() {
    let mut pipeline = with(&fixtures().join("formats/lora/kohya.safetensors")).unwrap();
    let json = [
        json!({"unet": {"down": 0.3, "mid": 0.5, "up": 1.4}}),
        json!({"unet": {"down": {"block_1": [0.2, 1.7]}, "up": {"block_0": 0.1}}, "text_encoder": 0.5}),
        json!({"unet": {"mid": 0.0}, "text_encoder": 0.0}),
    ];
    // The block that the second has for `up` has no attention, which Python ignores.
    let typed = AdapterWeight::Blocks(BlockWeights {
        down: BlockWeight::Each([(1, vec![0.2, 1.7])].into()),
        ..Default::default()
    });
    for (number, weights) in json.iter().enumerate() {
        let weights =
            weights.as_object().unwrap().iter().map(|(model, weight)| match (number, model.as_str()) {
                (1, "unet") => ("unet", typed.clone()),
                (_, model) => (model, AdapterWeight::from_json(weight).unwrap()),
            });
        pipeline.set_adapters_by_model(&[("x", &Vec::from_iter(weights))]).unwrap();
        check(&pipeline, &format!("blocks.{number}"));
    }
}

#[test]
fn weights_for_blocks_that_are_not_there_are_refused() {
    let mut pipeline = with(&fixtures().join("formats/lora/kohya.safetensors")).unwrap();
    for (model, weight, message) in [
        ("unet", json!({"up": {"block_0": 0.5}}), "`up_blocks.0`"),
        ("unet", json!({"down": {"block_1": [0.5, 0.5, 0.5]}}), "3 weights"),
        ("unet", json!({"middle": 1.0}), "`middle`"),
        ("unet", json!({"down": {"one": 1.0}}), "`one`"),
        ("unet", json!("all"), "a number"),
        ("unet", json!({"mid": [1.0, 2.0]}), "one number"),
        ("text_encoder", json!({"mid": 1.0}), "only a UNet"),
    ] {
        let changed = AdapterWeight::from_json(&weight)
            .and_then(|weight| pipeline.set_adapters_by_model(&[("x", &[(model, weight)])]));
        let error = changed.unwrap_err().to_string();
        assert!(error.contains("adapter_weights") && error.contains(message), "{weight}: {error}");
    }
}

/// Writes a copy of a file in which `change` has renamed tensors or given them other shapes, or left them out.
fn changed(
    folder: &Path,
    name: &str,
    change: impl Fn(&str, &[usize]) -> Option<(String, Vec<usize>)>,
) -> PathBuf {
    let bytes = std::fs::read(file(name)).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let views = tensors.tensors().into_iter().filter_map(|(key, view)| {
        let (key, shape) = change(&key, view.shape())?;
        let size = shape.iter().product::<usize>() * view.dtype().bitsize() / 8;
        // Values do not matter.
        let data = view.data().iter().copied().cycle().take(size).collect::<Vec<u8>>();
        Some((key, view.dtype(), shape, data))
    });
    let views = Vec::from_iter(views);
    let path = folder.join("changed.safetensors");
    let views = views.iter().map(|(key, dtype, shape, data)| {
        (key.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    safetensors::serialize_to_file(views, None, &path).unwrap();
    path
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let without = |part: &'static str| {
        move |key: &str, shape: &[usize]| (!key.ends_with(part)).then(|| (key.to_owned(), shape.to_vec()))
    };
    let reshaped = |part: &'static str, new: &'static [usize]| {
        move |key: &str, shape: &[usize]| {
            Some((key.to_owned(), if key.ends_with(part) { new.to_vec() } else { shape.to_vec() }))
        }
    };
    let renamed = |part: &'static str, new: &'static str| {
        move |key: &str, shape: &[usize]| Some((key.replace(part, new), shape.to_vec()))
    };
    type Change = Box<dyn Fn(&str, &[usize]) -> Option<(String, Vec<usize>)>>;
    let cases: [(&str, Change, &str); 11] = [
        ("loha", Box::new(without("hada_w2_b")), "no tensor `hada_w2_b`"),
        ("loha", Box::new(reshaped("hada_w1_b", &[2, 5])), "do not fit a weight"),
        ("loha", Box::new(reshaped("hada_w1_a", &[3, 3])), "`hada_w1_a` has shape [3, 3]"),
        ("loha_tucker", Box::new(without("hada_t1")), "fits no weight"),
        ("lokr", Box::new(without("lokr_w1")), "no tensor `lokr_w1_a`"),
        ("lokr", Box::new(reshaped("lokr_w1", &[7, 7])), "do not fit a weight"),
        ("lokr_tucker", Box::new(reshaped("lokr_t2", &[2])), "`lokr_t2` has shape [2]"),
        ("dora", Box::new(reshaped("dora_scale", &[3, 1])), "`dora_scale` has shape [3, 1]"),
        ("peft_dora", Box::new(reshaped("lora_magnitude_vector", &[3])), "has shape [3]"),
        ("locon", Box::new(without("lora_down.weight")), "no down (A) matrix"),
        ("locon", Box::new(renamed("lora_mid", "oft_blocks")), "OFT"),
    ];
    for (name, change, message) in cases {
        let error = with(&changed(folder.path(), name, change)).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains("changed.safetensors"), "{name}: {error}");
    }
    // An empty matrix, and one that is not finite.
    let error = with(&changed(folder.path(), "loha", reshaped("hada_w1_b", &[0, 5]))).unwrap_err();
    assert!(error.to_string().contains("changed.safetensors"), "{error}");
}
