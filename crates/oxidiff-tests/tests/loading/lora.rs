//! Compares low-rank adapters with Python diffusers.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use oxidiff::{
    DType, Device, Error, Generator, Generators, LoraLoader, LoraOptions, OutputType, Pipeline,
    StableDiffusionPipeline, Tensor, TextToImage,
};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize_to_file};

use crate::fixture::{Recorded, assert_close, every_third_pixel, fixtures};

const MODEL: f32 = 1e-4;
const IMAGE: f32 = 1e-3;

fn file(name: &str) -> String {
    fixtures().join(format!("formats/lora/{name}.safetensors")).to_str().unwrap().to_owned()
}

fn pipeline() -> StableDiffusionPipeline {
    let mut pipeline =
        StableDiffusionPipeline::from_pretrained(fixtures().join("pipelines/sd1").to_str().unwrap()).unwrap();
    pipeline.set_progress_bar(false);
    pipeline
}

fn named(name: &str) -> LoraOptions {
    LoraOptions { adapter_name: Some(name.into()), ..Default::default() }
}

fn embed(pipeline: &StableDiffusionPipeline, prompt: &str) -> Tensor<3> {
    let tokens = pipeline.tokenizer.tokenize(&[prompt], 24).unwrap();
    pipeline.text_encoder.forward(&tokens.input_ids, None).unwrap().last_hidden_state
}

/// Compares the embedding of a text, a prediction of the UNet and an image with those recorded under `name`.
#[track_caller]
fn check(pipeline: &mut StableDiffusionPipeline, name: &str) {
    let recorded = Recorded::open(&PathBuf::from(file("outputs")));
    let text = embed(pipeline, "a red apple");
    assert_close(&format!("{name}, text"), text.clone(), recorded.floats(&format!("{name}.text")), MODEL);

    let noise = Generator::manual_seed(3).randn::<4>([2, 4, 6, 8], DType::F32, &Device::flex());
    let text = Tensor::cat(vec![embed(pipeline, "dog"), text], 0);
    let predicted = pipeline.unet.forward(noise, 300.0, text).unwrap();
    assert_close(&format!("{name}, unet"), predicted, recorded.floats(&format!("{name}.unet")), MODEL);

    let key = format!("{name}.image");
    if recorded.has(&key) {
        let arguments = TextToImage {
            negative_prompt: vec!["dog".into()],
            num_inference_steps: 2,
            height: Some(48),
            width: Some(64),
            generator: Some(Generators::One(Generator::manual_seed(4))),
            output_type: OutputType::Array,
            ..TextToImage::new("a red apple")
        };
        let image = pipeline.call(arguments).unwrap().images.into_tensor().unwrap();
        assert_close(&format!("{name}, image"), every_third_pixel(image), recorded.floats(&key), IMAGE);
    }
}

/// The parameters, bit for bit.
fn weights(pipeline: &StableDiffusionPipeline) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(folder.path()).unwrap();
    ["unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"]
        .map(|file| fs::read(folder.path().join(file)).unwrap())
        .into()
}

#[test]
fn every_layout_gives_what_python_computes() {
    check(&mut pipeline(), "none");
    for name in ["peft", "diffusers", "kohya", "kohya_mixed", "metadata"] {
        let mut pipeline = pipeline();
        pipeline.load_lora_weights(&file(name), &LoraOptions::default()).unwrap();
        assert_eq!(pipeline.get_active_adapters(), ["default_0"]);
        check(&mut pipeline, name);
    }
}

#[test]
fn adapters_are_mixed_scaled_fused_and_unloaded_as_in_python() {
    let mut pipeline = pipeline();
    let original = weights(&pipeline);
    pipeline.load_lora_weights(&file("kohya"), &named("first")).unwrap();
    pipeline.set_lora_scale(0.4).unwrap();
    check(&mut pipeline, "scaled");
    pipeline.set_lora_scale(1.0).unwrap();
    check(&mut pipeline, "kohya");
    pipeline.load_lora_weights(&file("metadata"), &named("second")).unwrap();
    assert_eq!(pipeline.get_active_adapters(), ["second"]);
    check(&mut pipeline, "newest");
    pipeline.set_adapters(&[("first", 0.7), ("second", -0.5)]).unwrap();
    check(&mut pipeline, "both");
    pipeline.fuse_lora(0.5, None).unwrap();
    assert_eq!(pipeline.fused_loras(), ["first", "second"]);
    check(&mut pipeline, "fused");
    pipeline.unfuse_lora();
    check(&mut pipeline, "unfused");
    pipeline.disable_lora();
    check(&mut pipeline, "disabled");
    assert!(weights(&pipeline) == original);
    pipeline.enable_lora();
    pipeline.set_adapters(&[("second", 1.3)]).unwrap();
    check(&mut pipeline, "second");
    pipeline.delete_adapters(&["second"]).unwrap();
    assert_eq!(pipeline.get_list_adapters(), [("unet", vec!["first"]), ("text_encoder", vec!["first"])]);
    assert_eq!(pipeline.get_active_adapters(), ["first"]);
    pipeline.set_adapters(&[("first", 1.0)]).unwrap();
    pipeline.fuse_lora(1.0, None).unwrap();
    pipeline.set_adapters(&[("first", 2.0)]).unwrap();
    check(&mut pipeline, "fused_then_set");
    pipeline.unload_lora_weights();
    check(&mut pipeline, "fused_and_unloaded");
    assert!(pipeline.get_active_adapters().is_empty());
    assert!(weights(&pipeline) != original);
}

#[test]
fn a_newly_loaded_adapter_takes_the_place_of_fused_ones() {
    let mut pipeline = pipeline();
    pipeline.load_lora_weights(&file("kohya"), &named("first")).unwrap();
    pipeline.fuse_lora(1.0, None).unwrap();
    pipeline.load_lora_weights(&file("metadata"), &named("second")).unwrap();
    assert!(pipeline.fused_loras().is_empty());
    check(&mut pipeline, "newest");
}

#[test]
fn what_was_disabled_without_adapters_does_not_disable_later_ones() {
    let mut pipeline = pipeline();
    pipeline.disable_lora();
    pipeline.load_lora_weights(&file("kohya"), &named("first")).unwrap();
    check(&mut pipeline, "kohya");
}

#[test]
fn a_weight_with_which_the_model_overflows_is_refused() {
    let mut pipeline = pipeline();
    pipeline.load_lora_weights(&file("kohya"), &named("first")).unwrap();
    let error = pipeline.set_adapters(&[("first", 1e300)]).unwrap_err().to_string();
    assert!(error.contains("`first` times 1e300") && error.contains("overflows"), "{error}");
    pipeline.set_adapters(&[("first", 1.0)]).unwrap();
    check(&mut pipeline, "kohya");
}

#[test]
fn unloading_restores_every_bit() {
    let mut pipeline = pipeline();
    let original = weights(&pipeline);
    pipeline.load_lora_weights(&file("peft"), &LoraOptions::default()).unwrap();
    assert!(weights(&pipeline) != original);
    let copy = pipeline.clone();
    pipeline.unload_lora_weights();
    assert!(weights(&pipeline) == original);
    assert!(weights(&copy) != original);
}

#[test]
fn unloading_keeps_fused_adapters_and_drops_the_rest() {
    let mut pipeline = pipeline();
    pipeline.load_lora_weights(&file("kohya"), &named("first")).unwrap();
    let first = weights(&pipeline);
    pipeline.load_lora_weights(&file("metadata"), &named("second")).unwrap();
    pipeline.set_adapters(&[("first", 1.0), ("second", 1.0)]).unwrap();
    pipeline.fuse_lora(1.0, Some(&["first"])).unwrap();
    pipeline.unload_lora_weights();
    assert!(weights(&pipeline) == first);
}

#[test]
fn names_are_checked() {
    let mut pipeline = pipeline();
    pipeline.load_lora_weights(&file("peft"), &named("a")).unwrap();
    let error = pipeline.load_lora_weights(&file("kohya"), &named("a")).unwrap_err();
    assert!(error.to_string().contains("`a`"), "{error}");
    pipeline.load_lora_weights(&file("kohya"), &LoraOptions::default()).unwrap();
    assert_eq!(pipeline.get_active_adapters(), ["default_1"]);
    let errors = [
        pipeline.set_adapters(&[("b", 1.0)]).unwrap_err(),
        pipeline.fuse_lora(1.0, Some(&["b"])).unwrap_err(),
        pipeline.delete_adapters(&["b"]).unwrap_err(),
        pipeline.set_adapters(&[("a", f64::NAN)]).unwrap_err(),
        pipeline.set_lora_scale(f64::INFINITY).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
    }
    pipeline.fuse_lora(1.0, Some(&["a"])).unwrap();
    let error = pipeline.delete_adapters(&["a"]).unwrap_err();
    assert!(error.to_string().contains("fused"), "{error}");
}

#[test]
fn a_folder_names_its_file_or_is_searched() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let load = |options: &LoraOptions| {
        let mut pipeline = pipeline();
        pipeline.load_lora_weights(folder.path().to_str().unwrap(), options).map(|()| weights(&pipeline))
    };
    let error = load(&LoraOptions::default()).unwrap_err();
    assert!(matches!(error, Error::MissingFile { .. }), "{error}");
    fs::copy(file("kohya"), folder.path().join("style.safetensors")).unwrap();
    fs::copy(file("metadata"), folder.path().join("optimizer.safetensors")).unwrap();
    fs::copy(file("peft"), inner.join("pytorch_lora_weights.safetensors")).unwrap();
    let kohya = load(&LoraOptions::default()).unwrap();
    let by_name = LoraOptions { weight_name: Some("optimizer.safetensors".into()), ..Default::default() };
    assert!(load(&by_name).unwrap() != kohya);
    let inside = LoraOptions { subfolder: Some("inner".into()), ..Default::default() };
    let peft = load(&inside).unwrap();
    assert!(peft != kohya);
    fs::copy(file("peft"), folder.path().join("pytorch_lora_weights.safetensors")).unwrap();
    assert!(load(&LoraOptions::default()).unwrap() == peft);
}

/// The error for an adapter file with changed tensors.
fn error_of(from: &str, change: impl Fn(&mut BTreeMap<String, (Vec<usize>, Vec<u8>)>)) -> String {
    let bytes = fs::read(file(from)).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)> = read
        .iter()
        .map(|(key, view)| (key.to_owned(), (view.shape().to_vec(), view.data().to_vec())))
        .collect();
    change(&mut tensors);
    let folder = tempfile::tempdir().unwrap();
    let changed = folder.path().join("changed.safetensors");
    let views = tensors
        .iter()
        .map(|(key, (shape, data))| (key, TensorView::new(Dtype::F16, shape.clone(), data).unwrap()));
    serialize_to_file(views, None, &changed).unwrap();
    let mut pipeline = pipeline();
    let original = weights(&pipeline);
    let error = pipeline.load_lora_weights(changed.to_str().unwrap(), &LoraOptions::default()).unwrap_err();
    assert!(weights(&pipeline) == original && pipeline.get_active_adapters().is_empty());
    assert!(error.to_string().contains("changed.safetensors"), "{error}");
    error.to_string()
}

#[test]
fn files_that_are_no_lora_are_refused() {
    let name = "lora_unet_mid_block_attentions_0_proj_in";
    for (part, kind) in [
        ("hada_w1_a", "several kinds"),
        ("lokr_w1", "several kinds"),
        ("lora_mid.weight", "shape"),
        ("oft_blocks", "OFT"),
        ("diff_b", "full fine-tuning"),
        ("dora_scale", "shape"),
        ("lora_magnitude_vector", "does not belong"),
    ] {
        let message = error_of("kohya", |tensors| {
            tensors.insert(format!("{name}.{part}"), (vec![1], vec![0, 0]));
        });
        assert!(message.contains(kind) && message.contains(part), "{message}");
    }
    let strange = format!("{name}.strange");
    let message = error_of("kohya", |tensors| {
        tensors.insert(strange.clone(), (vec![1], vec![0, 0]));
    });
    assert!(message.contains(&strange), "{message}");
    let message = error_of("peft", |tensors| {
        tensors.insert("unet.conv_in.weight".into(), (vec![1], vec![0, 0]));
    });
    assert!(message.contains("unet.conv_in.weight"), "{message}");
    let message = error_of("peft", |tensors| {
        *tensors = tensors.iter().map(|(key, value)| (format!("transformer.{key}"), value.clone())).collect();
    });
    assert!(message.contains("no tensor belongs to a layer of the unet or the text_encoder"), "{message}");
    assert!(message.contains("`transformer.text_encoder.") && message.contains(" more"), "{message}");
    let message = error_of("peft", |tensors| {
        let rename =
            |key: &String| key.replace("attentions", "attention").replace("encoder.layers", "layers");
        *tensors = tensors.iter().map(|(key, value)| (rename(key), value.clone())).collect();
        tensors.retain(|key, _| key.contains("attention.") || key.contains("text_model.layers"));
    });
    assert!(message.contains("no tensor belongs"), "{message}");
    assert!(error_of("peft", BTreeMap::clear).contains("no tensors"));
}

#[test]
fn layers_must_be_complete_and_fit() {
    let layer = "unet.mid_block.attentions.0.proj_in.lora_B.weight";
    let message = error_of("peft", |tensors| {
        tensors.remove(layer).unwrap();
    });
    assert!(message.contains("mid_block.attentions.0.proj_in") && message.contains("up (B)"), "{message}");
    for shape in [vec![32, 3], vec![3, 32, 1, 1], vec![96, 1, 1, 1], vec![0, 3, 1, 1]] {
        let message = error_of("peft", |tensors| {
            let (old, data) = tensors.get_mut(layer).unwrap();
            data.resize(2 * shape.iter().product::<usize>(), 0);
            *old = shape.clone();
        });
        assert!(message.contains("mid_block.attentions.0.proj_in") && message.contains("shape"), "{message}");
    }
    let alpha = "lora_unet_mid_block_attentions_0_proj_in.alpha";
    let message = error_of("kohya", |tensors| {
        tensors.insert(alpha.into(), (vec![2], vec![0; 4]));
    });
    assert!(message.contains("alpha"), "{message}");
}

#[test]
fn tensors_for_layers_that_the_model_lacks_are_left_out() {
    let mut pipeline = pipeline();
    let folder = tempfile::tempdir().unwrap();
    let more = folder.path().join("more.safetensors");
    let bytes = fs::read(file("peft")).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let mut views: Vec<(String, TensorView)> = read.tensors();
    let down = read.tensor("unet.mid_block.attentions.0.proj_in.lora_A.weight").unwrap();
    views.push(("unet.mid_block.attentions.7.proj_in.lora_A.weight".into(), down));
    serialize_to_file(views, None, &more).unwrap();
    pipeline.load_lora_weights(more.to_str().unwrap(), &LoraOptions::default()).unwrap();
    check(&mut pipeline, "peft");
}
