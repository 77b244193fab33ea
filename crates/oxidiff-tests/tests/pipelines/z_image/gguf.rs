//! Quantised weights from GGUF files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oxidiff::{
    Config, ConvertOptions, DType, Device, Generator, HubOptions, Images, LoadOptions, LoraLoader,
    LoraOptions, Model, OutputType, Pipeline, QuantizationConfig, Qwen3Model, SingleFileOptions, Tensor,
    ZImagePipeline, ZImageTextToImage, ZImageTransformer2DModel, convert,
};
use oxidiff_kernels::QuantisedFormat;
use safetensors::tensor::{Dtype, TensorView};
use tempfile::TempDir;

use super::{TEXT_ENCODER_SEED, checkpoint};
use crate::checkpoints::{draw_part, error, expect};
use crate::fixture::gguf::{self, of_llama_cpp, original_z_image};
use crate::fixture::pictures::values;
use crate::fixture::{Recorded, fixtures};

/// The seed of the script.
const TRANSFORMER_SEED: u64 = 41;
/// What issue and documentation promise for blocks of 8 bits.
const OF_SINGLE_PRECISION: f32 = 2e-2;
/// What products with activations of 8 bits, or of `bf16`, change beside Python, which widens the weights and multiplies in single
/// precision.
const OF_THE_SAME_WEIGHTS: f32 = 1.5e-2;
const WIDENED: f32 = 1e-4;

fn recorded(name: &str) -> PathBuf {
    fixtures().join("gguf").join(name)
}

fn outputs() -> Recorded {
    Recorded::open(&recorded("models.safetensors"))
}

/// How far a tensor is from another, relative to its length.
fn distance<const D: usize>(found: Tensor<D>, expected: Tensor<D>) -> f32 {
    assert_eq!(found.dims(), expected.dims());
    let norm = |x: Tensor<D>| x.square().sum().into_scalar::<f32>().sqrt();
    norm(found - expected.clone()) / norm(expected)
}

#[track_caller]
fn near<const D: usize>(what: &str, found: Tensor<D>, expected: Tensor<D>, most: f32) {
    let distance = distance(found, expected);
    println!("{what}: {distance:.2e}");
    assert!(distance <= most, "{what}: off by {distance}, at most {most} allowed");
}

/// A checkpoint whose matrices have rows of whole blocks, and a file of blocks for its transformer and its text encoder.
struct Quantised {
    folder: TempDir,
    transformer: PathBuf,
    text_encoder: PathBuf,
}

impl Quantised {
    fn new(format: QuantisedFormat) -> Self {
        let folder = checkpoint();
        std::fs::copy(recorded("transformer.json"), folder.path().join("transformer/config.json")).unwrap();
        let text_encoder = folder.path().join("text_encoder/config.json");
        let text = std::fs::read_to_string(&text_encoder).unwrap();
        let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
        config["hidden_size"] = 64.into();
        config["intermediate_size"] = 96.into();
        std::fs::write(&text_encoder, config.to_string()).unwrap();
        draw_part::<ZImageTransformer2DModel>("transformer", TRANSFORMER_SEED, folder.path());
        draw_part::<Qwen3Model>("text_encoder", TEXT_ENCODER_SEED, folder.path());
        let [transformer, text_encoder] =
            ["transformer.gguf", "text_encoder.gguf"].map(|name| folder.path().join(name));
        let dense = |part: &str| gguf::tensors(&folder.path().join(part));
        let tensors = dense("transformer/diffusion_pytorch_model.safetensors");
        gguf::write(&original_z_image(&tensors), format, &transformer);
        gguf::write(&of_llama_cpp(&dense("text_encoder/model.safetensors")), format, &text_encoder);
        Self { folder, transformer, text_encoder }
    }

    fn options(&self, subfolder: &str) -> SingleFileOptions {
        SingleFileOptions {
            config: Some(self.folder.path().to_str().unwrap().to_owned()),
            subfolder: Some(subfolder.to_owned()),
            ..Default::default()
        }
    }

    fn transformer(&self) -> ZImageTransformer2DModel {
        from_file(&self.transformer, &self.options("transformer"))
    }

    /// The pipeline with dense weights, or with those of the files.
    fn pipeline(&self, is_quantised: bool) -> ZImagePipeline {
        let weights: BTreeMap<String, String> = if is_quantised {
            [("transformer", &self.transformer), ("text_encoder", &self.text_encoder)]
                .map(|(part, file)| (part.to_owned(), file.to_str().unwrap().to_owned()))
                .into()
        } else {
            BTreeMap::new()
        };
        let options = LoadOptions { weights, ..Default::default() };
        let folder = self.folder.path().to_str().unwrap();
        let mut pipeline = ZImagePipeline::from_pretrained_with(folder, &options).unwrap();
        pipeline.set_progress_bar(false);
        pipeline
    }
}

fn from_file<M: Model>(file: &Path, options: &SingleFileOptions) -> M {
    M::from_single_file(file.to_str().unwrap(), options).unwrap()
}

fn predict(model: &ZImageTransformer2DModel, name: &str) -> Tensor<4> {
    let [x, caption] = inputs(model, name);
    model.forward(&[x], &[0.3], &[caption.squeeze_dims(&[0, 1])]).unwrap().remove(0).cast(DType::F32)
}

/// The recorded image, and the caption as `[1, 1, tokens, features]`.
fn inputs(model: &ZImageTransformer2DModel, name: &str) -> [Tensor<4>; 2] {
    let recorded = outputs();
    let caption = recorded.floats::<2>(&format!("transformer.{name}.cap_feats")).unsqueeze();
    [recorded.floats(&format!("transformer.{name}.x")), caption].map(|input| input.cast(model.dtype()))
}

#[test]
fn a_transformer_predicts_what_diffusers_predicts_with_the_same_file() {
    let quantised = Quantised::new(QuantisedFormat::Q8_0);
    let model = quantised.transformer();
    for name in ["few", "many"] {
        let expected = |kind: &str| outputs().floats::<4>(&format!("transformer.{name}.{kind}"));
        let found = predict(&model, name);
        near(&format!("{name}, single precision"), found.clone(), expected("f32"), OF_SINGLE_PRECISION);
        near(&format!("{name}, diffusers"), found, expected("q8_0"), OF_THE_SAME_WEIGHTS);
    }
    // In the layout of diffusers, too.
    let folder = quantised.folder.path();
    let tensors = gguf::tensors(&folder.join("transformer/diffusion_pytorch_model.safetensors"));
    let file = folder.join("diffusers.gguf");
    gguf::write(&tensors, QuantisedFormat::Q8_0, &file);
    let same = from_file::<ZImageTransformer2DModel>(&file, &quantised.options("transformer"));
    assert_eq!(distance(predict(&same, "many"), predict(&model, "many")), 0.0);
}

#[test]
fn where_there_are_no_kernels_the_weights_are_widened() {
    let quantised = Quantised::new(QuantisedFormat::Q8_0);
    let device = Device::flex().autodiff();
    let options = SingleFileOptions { device, ..quantised.options("transformer") };
    let model = from_file::<ZImageTransformer2DModel>(&quantised.transformer, &options);
    for name in ["few", "many"] {
        let expected = outputs().floats::<4>(&format!("transformer.{name}.q8_0"));
        let [x, caption] = inputs(&model, name).map(|input| input.autodiff());
        let found = model.forward(&[x], &[0.3], &[caption.squeeze_dims(&[0, 1])]).unwrap().remove(0);
        // diffusers rounds the values of the blocks to half precision; activations of 8 bits would change a hundredth.
        near(name, found.inner(), expected, 1e-3);
    }
}

#[test]
fn a_language_model_with_blocks_of_every_type_embeds_as_in_python() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(recorded("text_encoder.json"), folder.path().join("config.json")).unwrap();
    let config = Some(folder.path().to_str().unwrap().to_owned());
    let tokens = [
        ("few", vec![vec![3, 1, 4]]),
        ("many", vec![(0..20).collect::<Vec<u32>>(), (20..40).rev().collect()]),
    ];
    for (device, most) in [(Device::flex(), OF_THE_SAME_WEIGHTS), (Device::flex().autodiff(), WIDENED)] {
        let is_widened = most == WIDENED;
        let options = SingleFileOptions { config: config.clone(), device, ..Default::default() };
        let model = from_file::<Qwen3Model>(&recorded("text_encoder.gguf"), &options);
        for (name, tokens) in &tokens {
            let found = model.forward(tokens, None).unwrap().last_hidden_state;
            let found = if is_widened { found.inner() } else { found };
            near(name, found, outputs().floats(&format!("text_encoder.{name}")), most);
        }
    }
}

#[test]
fn other_formats_are_as_near_as_their_bits_allow() {
    let dense = outputs().floats::<4>("transformer.many.f32");
    let mut last = 0.0;
    for (format, most) in [
        (QuantisedFormat::Q8_0, 0.02),
        (QuantisedFormat::Q5_1, 0.12),
        (QuantisedFormat::Q5_0, 0.15),
        (QuantisedFormat::Q4_1, 0.25),
        (QuantisedFormat::Q4_0, 0.3),
    ] {
        let distance = distance(predict(&Quantised::new(format).transformer(), "many"), dense.clone());
        println!("{}: {distance:.2e}", format.name());
        assert!(distance <= most, "{}: off by {distance}", format.name());
        assert!(distance >= 0.8 * last, "{}: nearer than with more bits", format.name());
        last = distance;
    }
}

#[test]
fn weights_stay_in_blocks_when_the_type_changes_and_memory_is_released() {
    let quantised = Quantised::new(QuantisedFormat::Q8_0);
    let model = quantised.transformer();
    let before = predict(&model, "many");
    model.release_memory();
    assert_eq!(distance(predict(&model, "many"), before.clone()), 0.0);
    let narrow = model.cast(DType::BF16);
    assert_eq!(narrow.dtype(), DType::BF16);
    near("bf16", predict(&narrow, "many"), before, 3e-2);
    for model in [model, narrow] {
        let folder = tempfile::tempdir().unwrap();
        expect(&error(model.save_pretrained(folder.path())), &["ZImageTransformer2DModel", "quantised"]);
        assert!(!folder.path().join("config.json").exists());
    }
}

fn latents(pipeline: &mut ZImagePipeline) -> Tensor<4> {
    let arguments = ZImageTextToImage {
        height: Some(64),
        width: Some(64),
        num_inference_steps: 2,
        guidance_scale: 0.0,
        generator: Some(Generator::manual_seed(5).into()),
        output_type: OutputType::Latent,
        ..ZImageTextToImage::new("a red apple")
    };
    match pipeline.call(arguments).unwrap().images {
        Images::Latent(latents) => latents,
        _ => panic!("latents were asked for"),
    }
}

/// Writes tensors in single precision.
fn write_tensors(tensors: &[(&str, Tensor<2>)], file: &Path) {
    let data: Vec<(String, [usize; 2], Vec<u8>)> = tensors
        .iter()
        .map(|(key, tensor)| {
            let bytes = tensor.clone().into_data().iter::<f32>().flat_map(f32::to_le_bytes).collect();
            ((*key).to_owned(), tensor.dims(), bytes)
        })
        .collect();
    let views = data.iter().map(|(key, shape, bytes)| {
        (key.clone(), TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    std::fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn matrix(rows: usize, columns: usize, low: f32) -> Tensor<2> {
    values([1, 1, rows, columns], low).reshape([rows, columns])
}

#[test]
fn low_rank_adapters_are_kept_beside_the_blocks() {
    let quantised = Quantised::new(QuantisedFormat::Q8_0);
    let file = quantised.folder.path().join("lora.safetensors");
    let query = "transformer.layers.0.attention.to_q";
    let gate = "transformer.layers.1.feed_forward.w1";
    write_tensors(
        &[
            (&format!("{query}.lora_A.weight"), matrix(3, 96, -1.0)),
            (&format!("{query}.lora_B.weight"), matrix(96, 3, -1.2)),
            (&format!("{gate}.lora_A.weight"), matrix(2, 96, -1.1)),
            (&format!("{gate}.lora_B.weight"), matrix(256, 2, -1.3)),
        ],
        &file,
    );
    let (mut dense, mut blocks) = (quantised.pipeline(false), quantised.pipeline(true));
    let (dense_plain, blocks_plain) = (latents(&mut dense), latents(&mut blocks));
    near("without", blocks_plain.clone(), dense_plain.clone(), 4e-2);
    for pipeline in [&mut dense, &mut blocks] {
        for name in ["one", "other"] {
            let options = LoraOptions { adapter_name: Some(name.into()), ..Default::default() };
            pipeline.load_lora_weights(file.to_str().unwrap(), &options).unwrap();
        }
        pipeline.set_adapters(&[("one", 0.7), ("other", 0.2)]).unwrap();
    }
    let (dense_changed, blocks_changed) = (latents(&mut dense), latents(&mut blocks));
    let change = distance(dense_changed.clone(), dense_plain);
    assert!(change > 0.1, "the adapters change little: {change}");
    near("with", blocks_changed, dense_changed, 4e-2);
    blocks.unload_lora_weights();
    assert_eq!(distance(latents(&mut blocks), blocks_plain), 0.0);

    let other = quantised.folder.path().join("hadamard.safetensors");
    write_tensors(
        &[
            (&format!("{query}.hada_w1_a"), matrix(96, 3, -1.0)),
            (&format!("{query}.hada_w1_b"), matrix(3, 96, -1.0)),
            (&format!("{query}.hada_w2_a"), matrix(96, 3, -1.0)),
            (&format!("{query}.hada_w2_b"), matrix(3, 96, -1.0)),
        ],
        &other,
    );
    let refused = error(blocks.load_lora_weights(other.to_str().unwrap(), &LoraOptions::default()));
    expect(&refused, &["no LoRA", "layers.0.attention.to_q.weight", "quantised"]);
}

#[test]
fn weights_are_only_replaced_where_the_checkpoint_has_them() {
    let quantised = Quantised::new(QuantisedFormat::Q8_0);
    let folder = quantised.folder.path().to_str().unwrap();
    let load = |component: &str, file: &Path| {
        let weights = [(component.to_owned(), file.to_str().unwrap().to_owned())].into();
        error(ZImagePipeline::from_pretrained_with(folder, &LoadOptions { weights, ..Default::default() }))
    };
    expect(&load("unet", &quantised.transformer), &["weights", "`unet`"]);
    expect(&load("transformer", &quantised.text_encoder), &["text_encoder.gguf", "ZImageTransformer2DModel"]);
    expect(&load("transformer", Path::new("missing.gguf")), &["missing.gguf"]);
    let whole = ZImagePipeline::from_single_file(
        quantised.text_encoder.to_str().unwrap(),
        &SingleFileOptions::default(),
    );
    expect(&error(whole), &["a language model, not a whole checkpoint"]);
}

#[test]
fn a_matrix_of_another_shape_than_the_configuration_says_is_refused() {
    let quantised = Quantised::new(QuantisedFormat::Q8_0);
    let file = recorded("text_encoder.gguf");
    let options = quantised.options("text_encoder");
    let refused = error(Qwen3Model::from_single_file(file.to_str().unwrap(), &options));
    expect(&refused, &["text_encoder.gguf", "embed_tokens.weight", "[40, 256]"]);
    let config = Config::from_file(recorded("text_encoder.json")).unwrap();
    assert_eq!(config.get("hidden_size").unwrap(), 256);
}

fn convert_options(format: QuantisedFormat, component: Option<&str>) -> ConvertOptions {
    ConvertOptions {
        quantization: QuantizationConfig::new(format),
        component: component.map(str::to_owned),
        variant: None,
        hub: HubOptions::default(),
    }
}

/// The same blocks, from a model that is rounded while it is loaded, from the file that its folder is converted to, and from a file in
/// its authors' layout that is converted.
#[test]
fn weights_are_rounded_while_they_are_loaded_or_converted() {
    for (format, most) in [(QuantisedFormat::Q8_0, OF_SINGLE_PRECISION), (QuantisedFormat::Q5_0, 0.15)] {
        let quantised = Quantised::new(QuantisedFormat::Q8_0);
        let folder = quantised.folder.path().to_str().unwrap();
        let quantization = Some(QuantizationConfig::new(format));
        let options =
            LoadOptions { quantization, subfolder: Some("transformer".into()), ..Default::default() };
        let rounded = ZImageTransformer2DModel::from_pretrained_with(folder, &options).unwrap();
        let found = predict(&rounded, "many");
        near(format.name(), found.clone(), outputs().floats("transformer.many.f32"), most);

        let file = quantised.folder.path().join("converted.gguf");
        convert(folder, &file, &convert_options(format, Some("transformer"))).unwrap();
        let converted = from_file::<ZImageTransformer2DModel>(&file, &quantised.options("transformer"));
        assert_eq!(distance(predict(&converted, "many"), found.clone()), 0.0);

        let dense =
            gguf::tensors(&quantised.folder.path().join("transformer/diffusion_pytorch_model.safetensors"));
        let original = quantised.folder.path().join("original.safetensors");
        gguf::write_safetensors(&original_z_image(&dense), &original);
        convert(original.to_str().unwrap(), &file, &convert_options(format, None)).unwrap();
        let converted = from_file::<ZImageTransformer2DModel>(&file, &quantised.options("transformer"));
        assert_eq!(distance(predict(&converted, "many"), found), 0.0);
        let again = |to: &Path| convert(file.to_str().unwrap(), to, &convert_options(format, None));
        expect(&error(again(&file)), &["converted.gguf", "the weights are read from this file"]);
        let other = quantised.folder.path().join("again.gguf");
        expect(&error(again(&other)), &["converted.gguf", "quantised already"]);
    }
}

#[test]
fn a_pipeline_rounds_the_parts_that_were_asked_for() {
    let quantised = Quantised::new(QuantisedFormat::Q8_0);
    let load = |quantization: Option<QuantizationConfig>| {
        let options = LoadOptions { quantization, ..Default::default() };
        let folder = quantised.folder.path().to_str().unwrap();
        ZImagePipeline::from_pretrained_with(folder, &options).map(|mut pipeline| {
            pipeline.set_progress_bar(false);
            pipeline
        })
    };
    let saves =
        |model: &dyn Fn(&Path) -> oxidiff::Result<()>| model(tempfile::tempdir().unwrap().path()).is_ok();
    let config = QuantizationConfig::new(QuantisedFormat::Q8_0);
    let mut all = load(Some(config.clone())).unwrap();
    assert!(!saves(&|folder| all.transformer.save_pretrained(folder)));
    assert!(!saves(&|folder| all.text_encoder.save_pretrained(folder)));
    near("all", latents(&mut all), latents(&mut load(None).unwrap()), 4e-2);

    let text_encoder = QuantizationConfig { components: Some(vec!["text_encoder".into()]), ..config.clone() };
    let one = load(Some(text_encoder)).unwrap();
    assert!(saves(&|folder| one.transformer.save_pretrained(folder)));
    assert!(!saves(&|folder| one.text_encoder.save_pretrained(folder)));

    let none = QuantizationConfig { modules_to_not_convert: vec!["layers".into()], ..config.clone() };
    assert!(saves(&|folder| load(Some(none.clone())).unwrap().text_encoder.save_pretrained(folder)));
    let missing = QuantizationConfig { components: Some(vec!["text_encoder_9".into()]), ..config };
    expect(&error(load(Some(missing))), &["quantization_config", "`text_encoder_9`"]);
    let only_read = QuantizationConfig::new(QuantisedFormat::Q3K);
    expect(&error(load(Some(only_read))), &["Q3_K", "only read", "Q8_0"]);
}

#[test]
fn low_rank_adapters_work_on_weights_that_were_rounded_while_they_were_loaded() {
    let quantised = Quantised::new(QuantisedFormat::Q8_0);
    let file = quantised.folder.path().join("lora.safetensors");
    let query = "transformer.layers.0.attention.to_q";
    write_tensors(
        &[
            (&format!("{query}.lora_A.weight"), matrix(3, 96, -1.0)),
            (&format!("{query}.lora_B.weight"), matrix(96, 3, -1.2)),
        ],
        &file,
    );
    let made = |quantization: Option<QuantizationConfig>| {
        let options = LoadOptions { quantization, ..Default::default() };
        let folder = quantised.folder.path().to_str().unwrap();
        let mut pipeline = ZImagePipeline::from_pretrained_with(folder, &options).unwrap();
        pipeline.set_progress_bar(false);
        let plain = latents(&mut pipeline);
        pipeline.load_lora_weights(file.to_str().unwrap(), &LoraOptions::default()).unwrap();
        (plain, latents(&mut pipeline))
    };
    let (dense_plain, dense) = made(None);
    let (_, rounded) = made(Some(QuantizationConfig::new(QuantisedFormat::Q8_0)));
    assert!(distance(dense.clone(), dense_plain) > 0.05);
    near("with", rounded, dense, 4e-2);
}

/// A tensor of a safetensors file: name, type, shape and bytes.
type Stored = (String, Dtype, Vec<usize>, Vec<u8>);

/// Weights of 8 bits with a point that floats, with scales as ComfyUI stores them, against the same values in single precision.
#[test]
fn weights_of_eight_bits_are_multiplied_with_their_scales() {
    use float8::F8E4M3;
    let quantised = Quantised::new(QuantisedFormat::Q8_0);
    let folder = quantised.folder.path();
    let dense =
        original_z_image(&gguf::tensors(&folder.join("transformer/diffusion_pytorch_model.safetensors")));
    let (mut narrow, mut wide) = (Vec::new(), Vec::new());
    for (name, gguf::Plain { shape, values }) in dense {
        let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let key = format!("model.diffusion_model.{name}");
        let Some(layer) = key.strip_suffix(".weight").filter(|_| shape.len() == 2) else {
            narrow.push((key.clone(), Dtype::F32, shape.clone(), bytes(&values)));
            wide.push((key, Dtype::F32, shape, bytes(&values)));
            continue;
        };
        let scale = values.iter().fold(0.0f32, |most, value| most.max(value.abs())) / 448.0;
        let rounded: Vec<F8E4M3> = values.iter().map(|value| F8E4M3::from_f32(value / scale)).collect();
        let values: Vec<f32> = rounded.iter().map(|value| value.to_f32() * scale).collect();
        narrow.push((format!("{layer}.scale_weight"), Dtype::F32, vec![], bytes(&[scale])));
        narrow.push((format!("{layer}.scale_input"), Dtype::F32, vec![], bytes(&[1.0])));
        let rounded = rounded.iter().map(F8E4M3::to_bits).collect();
        narrow.push((key.clone(), Dtype::F8_E4M3, shape.clone(), rounded));
        wide.push((key, Dtype::F32, shape, bytes(&values)));
    }
    narrow.push(("model.diffusion_model.scaled_fp8".into(), Dtype::F8_E4M3, vec![0], vec![]));
    let write = |tensors: &[Stored], name: &str| {
        let views = tensors.iter().map(|(key, dtype, shape, bytes)| {
            (key.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        let file = folder.join(name);
        std::fs::write(&file, safetensors::serialize(views, None).unwrap()).unwrap();
        file
    };
    let load = |file: &Path, quantization: Option<QuantizationConfig>| {
        let options = SingleFileOptions { quantization, ..quantised.options("transformer") };
        ZImageTransformer2DModel::from_single_file(file.to_str().unwrap(), &options)
    };
    let expected = predict(&load(&write(&wide, "wide.safetensors"), None).unwrap(), "many");
    let file = write(&narrow, "narrow.safetensors");
    assert_eq!(distance(predict(&load(&file, None).unwrap(), "many"), expected.clone()), 0.0);
    let rounded = load(&file, Some(QuantizationConfig::new(QuantisedFormat::Q8_0))).unwrap();
    near("rounded", predict(&rounded, "many"), expected, OF_SINGLE_PRECISION);

    let changed = |name: &str, change: &dyn Fn(&mut Stored)| {
        let mut tensors = narrow.clone();
        change(tensors.iter_mut().find(|(key, ..)| key.ends_with(name)).unwrap());
        error(load(&write(&tensors, "changed.safetensors"), None))
    };
    let several = changed(".scale_weight", &|tensor| {
        tensor.2 = vec![2];
        tensor.3 = [tensor.3.clone(), tensor.3.clone()].concat();
    });
    expect(&several, &["changed.safetensors", "scale_weight", "[2]", "one number"]);
    let stray = changed(".scale_weight", &|tensor| tensor.0 = "stray.scale_weight".into());
    expect(&stray, &["stray.scale_weight", "`stray.weight` is not a weight of 8 bits"]);
    let other = changed(".scale_input", &|tensor| {
        let description = br#"{"format": "nvfp4"}"#;
        *tensor = ("layer.comfy_quant".into(), Dtype::U8, vec![description.len()], description.to_vec());
    });
    expect(&other, &["layer.comfy_quant", "`nvfp4`", "float8_e4m3fn"]);
}
