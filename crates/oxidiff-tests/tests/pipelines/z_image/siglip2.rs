//! SigLIP 2 and its image processor, as Z-Image-Omni has them.

use std::collections::BTreeMap;

use oxidiff::image::DynamicImage;
use oxidiff::{
    AnyModel, Config, Device, ImageProcessor, Model, Request, Siglip2ImageProcessor, Siglip2VisionModel,
    Tensor,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::omni::recorded;
use super::omni_models::{described, outputs};
use super::{error, expect};
use crate::fixture::pictures::{picture, values};
use crate::fixture::{Recorded, assert_close, json};

const TOLERANCE: f32 = 1e-4;

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
