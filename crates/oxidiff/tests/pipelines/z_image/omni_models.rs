//! The parts of Z-Image-Omni alone: the transformer with several images, SigLIP 2, and its image processor.

use std::collections::BTreeMap;

use oxidiff::image::DynamicImage;
use oxidiff::{
    AnyModel, Argument, Config, DType, Device, ImageProcessor, Model, Request, Siglip2ImageProcessor,
    Siglip2VisionModel, Tensor, ZImageInputs, ZImageOmniInputs, ZImageTransformer2DModel,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::omni::recorded;
use super::{error, expect};
use crate::fixture::drawn::drawn;
use crate::fixture::pictures::{picture, values};
use crate::fixture::{Recorded, assert_close, json};

const TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Described {
    seed: u64,
    config: Map<String, Value>,
}

fn described<M: Model>(name: &str) -> M {
    let mut all: BTreeMap<String, Described> = json(&recorded("models.json"));
    let Described { seed, config } = all.remove(name).unwrap_or_else(|| panic!("no {name}"));
    drawn(&Config::from_json(&Value::Object(config).to_string()).unwrap(), seed)
}

fn transformer(name: &str) -> ZImageTransformer2DModel {
    described(&format!("transformer.{name}"))
}

fn outputs() -> Recorded {
    Recorded::open(&recorded("models.safetensors"))
}

fn captions(lengths: &[usize]) -> Vec<Tensor<2>> {
    let of = |(index, length): (usize, &usize)| {
        values([1, 1, *length, 16], -1.0 - index as f32 / 8.0).reshape([*length, 16])
    };
    lengths.iter().enumerate().map(of).collect()
}

fn images(sizes: &[[usize; 2]]) -> Vec<Tensor<4>> {
    let of = |(index, [height, width]): (usize, &[usize; 2])| {
        values([4, 1, *height, *width], -1.0 - index as f32 / 4.0)
    };
    sizes.iter().enumerate().map(of).collect()
}

fn sights(sizes: &[Option<[usize; 2]>]) -> Vec<Option<Tensor<3>>> {
    let of = |(index, size): (usize, &Option<[usize; 2]>)| {
        size.map(|[rows, columns]| {
            values([1, rows, columns, 8], -1.0 - index as f32 / 2.0).reshape([rows, columns, 8])
        })
    };
    sizes.iter().enumerate().map(of).collect()
}

/// The inputs of a call.
#[derive(Clone)]
struct Call {
    x: Vec<Vec<Tensor<4>>>,
    cap_feats: Vec<Vec<Tensor<2>>>,
    siglip_feats: Option<Vec<Vec<Option<Tensor<3>>>>>,
    noise: Vec<Vec<bool>>,
}

impl Call {
    fn one() -> Self {
        Self {
            x: vec![images(&[[6, 10], [4, 8]])],
            cap_feats: vec![captions(&[5, 37, 3])],
            siglip_feats: Some(vec![sights(&[Some([2, 3]), None])]),
            noise: vec![vec![false, true]],
        }
    }

    fn two() -> Self {
        let mut call = Self::one();
        call.x.push(images(&[[6, 4], [8, 6], [6, 8]]));
        call.cap_feats.push(captions(&[33, 2, 6, 9]));
        call.siglip_feats.as_mut().unwrap().push(sights(&[Some([1, 5]), Some([4, 1]), None]));
        call.noise.push(vec![false, false, true]);
        call
    }

    fn none() -> Self {
        Self {
            x: vec![images(&[[6, 10]]), images(&[[4, 8]])],
            cap_feats: vec![captions(&[5]), captions(&[37])],
            siglip_feats: None,
            noise: vec![vec![true], vec![true]],
        }
    }

    fn run(
        &self,
        model: &ZImageTransformer2DModel,
        t: &[f32],
        more: &ZImageInputs,
    ) -> oxidiff::Result<Vec<Tensor<4>>> {
        let inputs = ZImageOmniInputs {
            x: &self.x,
            t,
            cap_feats: &self.cap_feats,
            siglip_feats: self.siglip_feats.as_deref(),
            image_noise_mask: &self.noise,
        };
        model.forward_omni(&inputs, more)
    }
}

#[track_caller]
fn compare(name: &str, made: &[Tensor<4>]) {
    let expected = outputs();
    for (index, made) in made.iter().enumerate() {
        let name = format!("transformer.{name}.{index}");
        assert_close(&name, made.clone(), expected.floats(&name), TOLERANCE);
    }
}

#[test]
fn images_in_prompts_are_followed_as_in_python() {
    let plain = ZImageInputs::default();
    let omni = transformer("omni");
    compare("omni.none", &Call::none().run(&omni, &[0.3], &plain).unwrap());
    compare("omni.one", &Call::one().run(&omni, &[0.3], &plain).unwrap());
    compare("omni.two", &Call::two().run(&omni, &[0.3], &plain).unwrap());
    compare("no_qk_norm.two", &Call::two().run(&transformer("no_qk_norm"), &[0.3, 0.3], &plain).unwrap());
    compare("patches.two", &Call::two().run(&transformer("patches"), &[0.3], &plain).unwrap());
    compare("plain.none", &Call::none().run(&transformer("plain"), &[0.3], &plain).unwrap());
    let unseen = Call { siglip_feats: None, ..Call::two() };
    compare("plain.unseen", &unseen.run(&transformer("plain"), &[0.3], &plain).unwrap());
}

#[test]
fn times_noise_and_patches_may_differ() {
    let (plain, omni) = (ZImageInputs::default(), transformer("omni"));
    compare("times", &Call::two().run(&omni, &[0.0, 0.9], &plain).unwrap());
    let masks = Call { noise: vec![vec![true, false], vec![true, false, true]], ..Call::two() };
    compare("masks", &masks.run(&omni, &[0.4], &plain).unwrap());
    let seen = vec![sights(&[Some([2, 3])]), sights(&[Some([1, 5]), None])];
    compare("short", &Call { siglip_feats: Some(seen), ..Call::two() }.run(&omni, &[0.4], &plain).unwrap());
    // The second item has 352 tokens, the first 256.
    let added: Tensor<3> = values([1, 2, 352, 24], -0.5).reshape([2, 352, 24]);
    let of_item = |item: usize, tokens: usize| added.clone().narrow(0, item, 1).narrow(1, 0, tokens);
    let added = Tensor::cat(vec![of_item(0, 256), of_item(1, 352)], 1);
    let control = ZImageInputs { controlnet_block_samples: [(1, added)].into(), ..Default::default() };
    compare("control", &Call::two().run(&omni, &[0.4], &control).unwrap());
    let video = Call {
        x: vec![vec![values([4, 2, 4, 8], -0.5), values([4, 2, 8, 4], -1.0)]],
        cap_feats: vec![captions(&[5, 7, 3])],
        siglip_feats: Some(vec![sights(&[Some([2, 3]), Some([1, 2])])]),
        noise: vec![vec![false, true]],
    };
    let patches = ZImageInputs { patch_size: 4, f_patch_size: 2, ..Default::default() };
    compare("video", &video.run(&transformer("patches"), &[0.7], &patches).unwrap());
}

#[test]
fn half_precision_is_close() {
    let made =
        Call::two().run(&transformer("omni").cast(DType::BF16), &[0.3], &ZImageInputs::default()).unwrap();
    let expected: Tensor<4> = outputs().floats("transformer.omni.two.0");
    assert_eq!(made[0].dtype(), DType::BF16);
    let scale = expected.clone().abs().max().into_scalar::<f32>();
    assert_close("bf16", made[0].clone().cast(DType::F32) / scale, expected / scale, 5e-2);
}

#[test]
fn the_transformer_is_called_by_name() {
    let call = Call::one();
    let any: AnyModel = transformer("omni").into();
    let sight = call.siglip_feats.as_ref().unwrap()[0][0].clone().unwrap();
    let seen = Argument::List(vec![Argument::from(sight), Argument::None]);
    let request = Request::default()
        .with("x", call.x.clone())
        .with("t", vec![0.3f32])
        .with("cap_feats", call.cap_feats.clone())
        .with("siglip_feats", Argument::List(vec![seen]))
        .with("image_noise_mask", vec![vec![0usize, 1]]);
    let made = any.call(request).unwrap();
    let made: Vec<_> = made.into_iter().map(|(_, sample)| sample.to_rank::<4>("sample").unwrap()).collect();
    compare("omni.one", &made);
    let unseen = Request::default()
        .with("x", Call::none().x)
        .with("t", vec![0.3f32])
        .with("cap_feats", Call::none().cap_feats)
        .with("siglip_feats", Argument::List(vec![Argument::None, Argument::None]))
        .with("image_noise_mask", vec![vec![1usize], vec![1]]);
    let made = any.call(unseen).unwrap();
    let made: Vec<_> = made.into_iter().map(|(_, sample)| sample.to_rank::<4>("sample").unwrap()).collect();
    compare("omni.none", &made);
    let request = Request::default()
        .with("x", call.x)
        .with("t", vec![0.3f32])
        .with("cap_feats", call.cap_feats[0].clone());
    expect(&error(any.call(request)), &["`cap_feats`", "lists"]);
}

#[test]
fn inputs_of_prompts_with_images_that_do_not_fit_are_refused() {
    let model = transformer("omni");
    let refused = |change: fn(&mut Call)| {
        let mut call = Call::two();
        change(&mut call);
        error(call.run(&model, &[0.3], &ZImageInputs::default()))
    };
    expect(&refused(|call| call.x.clear()), &["`x`", "at least one"]);
    expect(&refused(|call| call.x[1].clear()), &["`x`", "an image"]);
    expect(&refused(|call| call.cap_feats.truncate(1)), &["`cap_feats`", "1 items", "2"]);
    expect(&refused(|call| call.cap_feats[1].truncate(2)), &["`cap_feats`", "2 parts for 3 images"]);
    expect(&refused(|call| call.noise.truncate(1)), &["`image_noise_mask`", "1 items"]);
    expect(&refused(|call| call.noise[1].truncate(2)), &["`image_noise_mask`", "2 values for 3 images"]);
    expect(&refused(|call| call.siglip_feats.as_mut().unwrap().truncate(1)), &["`siglip_feats`", "1 items"]);
    expect(
        &refused(|call| call.siglip_feats.as_mut().unwrap()[0].push(None)),
        &["`siglip_feats`", "3 images for 2"],
    );
    let wide = |call: &mut Call| {
        call.siglip_feats.as_mut().unwrap()[0][0] = Some(values([1, 2, 2, 9], 0.0).reshape([2, 2, 9]));
    };
    expect(&refused(wide), &["`siglip_feats`", "[2, 2, 9]", "8"]);
    expect(&refused(|call| call.x[0][0] = values([4, 1, 5, 6], 0.0)), &["`x`", "[4, 1, 5, 6]"]);
    expect(&refused(|call| call.cap_feats[0] = captions(&[5, 250])), &["`cap_feats`", "256 positions"]);
    let plain = transformer("plain");
    let call = Call { siglip_feats: Some(vec![sights(&[None]), sights(&[None])]), ..Call::none() };
    let refused = call.run(&plain, &[0.3], &ZImageInputs::default());
    expect(&error(refused), &["`siglip_feats`", "`siglip_feat_dim`"]);
    let three = Call::two().run(&model, &[0.1, 0.2, 0.3], &ZImageInputs::default());
    expect(&error(three), &["`t`", "3 times for 2"]);
}

fn encoder(name: &str) -> Siglip2VisionModel {
    described(&format!("encoder.{name}"))
}

/// Patches of three images, of which the first two have 12 and 16, the third 9.
fn patches(features: usize) -> (Tensor<3>, Vec<Vec<u32>>, [[usize; 2]; 3]) {
    let shapes = [[3, 4], [4, 4], [1, 9]];
    let mask = shapes.map(|[rows, columns]| (0..16).map(|patch| u32::from(patch < rows * columns)).collect());
    (values([1, 3, 16, features], -1.0).reshape([3, 16, features]), mask.to_vec(), shapes)
}

#[test]
fn images_of_any_proportions_are_seen_as_in_python() {
    let expected = outputs();
    for (name, features) in [("plain", 192), ("no_head", 192), ("channels", 16)] {
        let (pixels, mask, shapes) = patches(features);
        let seen = encoder(name).forward(pixels, &mask, &shapes).unwrap();
        let key = format!("encoder.{name}.hidden");
        assert_close(&key, seen.last_hidden_state, expected.floats(&key), TOLERANCE);
        assert_eq!(seen.pooler_output.is_some(), name != "no_head");
        if let Some(pooled) = seen.pooler_output {
            let key = format!("encoder.{name}.pooled");
            assert_close(&key, pooled, expected.floats(&key), TOLERANCE);
        }
    }
}

#[test]
fn a_vision_model_is_called_by_name_and_saved() {
    let (pixels, mask, shapes) = patches(192);
    let model = encoder("plain");
    let folder = tempfile::tempdir().unwrap();
    model.save_pretrained(folder.path()).unwrap();
    let saved: Value = json(&folder.path().join("config.json"));
    assert_eq!((&saved["num_patches"], &saved["model_type"]), (&json!(16), &json!("siglip2_vision_model")));
    let again = Siglip2VisionModel::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    let any: AnyModel = again.into();
    let mask: Vec<Vec<usize>> =
        mask.iter().map(|row| row.iter().map(|counts| *counts as usize).collect()).collect();
    let request = Request::default()
        .with("pixel_values", pixels)
        .with("pixel_attention_mask", mask)
        .with("spatial_shapes", shapes.map(Vec::from).to_vec());
    let seen = any.call(request).unwrap();
    let names: Vec<&str> = seen.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["last_hidden_state", "pooler_output"]);
    let states = seen[0].1.clone().to_rank::<3>("states").unwrap();
    assert_close("by name", states, outputs().floats("encoder.plain.hidden"), TOLERANCE);
}

#[test]
fn a_whole_siglip_gives_its_vision_half() {
    let model = encoder("plain");
    let folder = tempfile::tempdir().unwrap();
    model.save_pretrained(folder.path()).unwrap();
    let file = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    let stored = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<_> =
        stored.tensors().into_iter().map(|(key, view)| (format!("vision_model.{key}"), view)).collect();
    let bias = stored.tensor("post_layernorm.bias").unwrap();
    tensors.push(("text_model.final_layer_norm.bias".to_owned(), bias.clone()));
    tensors.push(("logit_scale".to_owned(), bias));
    std::fs::write(&file, safetensors::serialize(tensors, None).unwrap()).unwrap();
    let vision: Value = json(&folder.path().join("config.json"));
    let whole = json!({ "model_type": "siglip2", "vision_config": vision, "text_config": {} });
    std::fs::write(folder.path().join("config.json"), whole.to_string()).unwrap();
    let again = Siglip2VisionModel::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    let (pixels, mask, shapes) = patches(192);
    let states = again.forward(pixels, &mask, &shapes).unwrap().last_hidden_state;
    assert_close("whole", states, outputs().floats("encoder.plain.hidden"), TOLERANCE);
}

#[test]
fn patches_that_do_not_fit_are_refused() {
    let model = encoder("plain");
    let (pixels, mask, shapes) = patches(192);
    let call = |pixels: &Tensor<3>, mask: &[Vec<u32>], shapes: &[[usize; 2]]| {
        error(model.forward(pixels.clone(), mask, shapes))
    };
    let narrow = pixels.clone().narrow(2, 0, 191);
    expect(&call(&narrow, &mask, &shapes), &["`pixel_values`", "191", "192"]);
    expect(&call(&pixels, &mask[..2], &shapes), &["`pixel_attention_mask`", "16 values", "3 images"]);
    let empty = vec![vec![0; 16]; 3];
    expect(&call(&pixels, &empty, &shapes), &["`pixel_attention_mask`", "nothing"]);
    expect(&call(&pixels, &mask, &shapes[..2]), &["`spatial_shapes`", "2 for 3"]);
    expect(&call(&pixels, &mask, &[[3, 4], [4, 5], [1, 9]]), &["`spatial_shapes`", "[4, 5]", "16 patches"]);
    expect(&call(&pixels, &mask, &[[3, 4], [4, 0], [1, 9]]), &["`spatial_shapes`", "[4, 0]"]);
    let refused = |field: &str, value: Value| {
        let json: BTreeMap<String, Value> = json(&recorded("models.json"));
        let mut config = json["encoder.plain"]["config"].clone();
        config[field] = value;
        let config = Config::from_json(&config.to_string()).unwrap();
        error(Siglip2VisionModel::from_config(&config, &Device::flex()))
    };
    expect(&refused("num_patches", 15.into()), &["num_patches", "square"]);
    expect(&refused("patch_size", 0.into()), &["patch_size"]);
    expect(&refused("patch_size", vec![16, 14].into()), &["patch_size"]);
    expect(&refused("num_attention_heads", 3.into()), &["num_attention_heads", "8"]);
    expect(&refused("hidden_act", "other".into()), &["hidden_act"]);
}

#[derive(Deserialize)]
struct Prepared {
    name: String,
    processor: String,
    image: (String, u32, u32),
    shape: [usize; 2],
    patches: usize,
}

#[derive(Deserialize)]
struct Processors {
    sizes: Vec<[usize; 6]>,
    configs: BTreeMap<String, Value>,
    images: Vec<Prepared>,
}

fn processor(config: &Value) -> oxidiff::Result<Siglip2ImageProcessor> {
    Siglip2ImageProcessor::from_config(&Config::from_json(&config.to_string()).unwrap())
}

#[test]
fn images_become_the_patches_of_python() {
    let recorded_processors: Processors = json(&recorded("processor.json"));
    let Processors { sizes, configs, images } = recorded_processors;
    assert!(sizes.len() >= 80 && images.len() >= 9);
    let mut processors = BTreeMap::new();
    for [height, width, patch, most, rows, columns] in sizes {
        let config = json!({ "patch_size": patch, "max_num_patches": most });
        let processor = processors.entry((patch, most)).or_insert_with(|| processor(&config).unwrap());
        assert_eq!(processor.resized([height, width]).unwrap(), [rows, columns], "{height}x{width}");
    }
    let expected = Recorded::open(&recorded("processor.safetensors"));
    for Prepared { name, processor: by, image: (mode, width, height), shape, patches } in images {
        let made = processor(&configs[&by]).unwrap().patches(&[picture(&mode, [width, height])]).unwrap();
        let count = shape[0] * shape[1];
        assert_eq!((made.spatial_shapes[0], made.pixel_values.dims()[1]), (shape, patches), "{name}");
        assert_eq!(made.pixel_attention_mask[0].iter().sum::<u32>() as usize, count, "{name}");
        let [_, all, length] = made.pixel_values.dims();
        let pixels: Tensor<2> = made.pixel_values.clone().narrow(1, 0, count).reshape([count, length]);
        assert_close(&name, pixels, expected.floats(&format!("{name}.pixels")), TOLERANCE);
        if all > count {
            let rest = made.pixel_values.narrow(1, count, all - count);
            assert_eq!(rest.abs().max().into_scalar::<f32>(), 0.0);
        }
    }
}

#[test]
fn images_that_cannot_be_cut_into_patches_are_refused() {
    let small = processor(&json!({ "patch_size": 4, "max_num_patches": 6 })).unwrap();
    let refused = |image: DynamicImage| error(small.patches(&[image]));
    expect(&refused(picture("L", [8, 8])), &["`images`", "1 channels"]);
    expect(&refused(picture("RGBA", [8, 8])), &["`images`", "4 channels"]);
    expect(&error(small.patches(&[])), &["`images`", "at least one"]);
    let as_it_is = processor(&json!({ "patch_size": 4, "max_num_patches": 6, "do_resize": false })).unwrap();
    expect(&error(as_it_is.patches(&[picture("RGB", [9, 8])])), &["`images`", "8x9"]);
    expect(&error(as_it_is.patches(&[picture("RGB", [16, 16])])), &["`images`", "6 patches"]);
    for (field, value) in
        [("patch_size", json!(0)), ("patch_size", json!(2000)), ("max_num_patches", json!("many"))]
    {
        let mut config = json!({});
        config[field] = value;
        expect(&error(processor(&config)), &[field]);
    }
    let folder = tempfile::tempdir().unwrap();
    small.save_pretrained(folder.path()).unwrap();
    let saved: Value = json(&folder.path().join("preprocessor_config.json"));
    assert_eq!(saved["image_processor_type"], "Siglip2ImageProcessor");
    assert_eq!((&saved["patch_size"], &saved["max_num_patches"]), (&json!(4), &json!(6)));
}
