//! Files: saving, other layouts, and what is damaged.

use std::path::Path;

use oxidiff::{
    DiffusionPipeline, FluxComponents, FluxPipeline, FluxTransformer2DModel, Model, Pipeline,
    SingleFileOptions,
};
use safetensors::tensor::{SafeTensors, TensorView};
use serde_json::Value;

use super::adapters::latents;
use super::{checkpoint, error, expect, load, recorded};
use crate::fixture;

#[test]
fn a_saved_pipeline_makes_the_same_image() {
    let folder = checkpoint();
    let mut pipeline = load::<FluxPipeline>(folder.path()).unwrap();
    let expected = latents(&mut pipeline);
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let mut again = load::<FluxPipeline>(saved.path()).unwrap();
    assert_eq!(fixture::difference(latents(&mut again), expected), 0.0);
    // The files say what Python's say.
    for file in ["model_index.json", "transformer/config.json", "vae/config.json"] {
        let ours: Value = fixture::json(&saved.path().join(file));
        let theirs: Value = fixture::json(&recorded("checkpoint").join(file));
        for (field, value) in theirs.as_object().unwrap() {
            let equal = match (ours.get(field).and_then(Value::as_f64), value.as_f64()) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => ours.get(field) == Some(value),
            };
            assert!(equal || field.starts_with("_name"), "{file}: {field}");
        }
    }
}

/// The tensors of a file, under other names.
pub type Tensors = Vec<(String, Vec<usize>, Vec<u8>)>;

pub fn write(file: &Path, tensors: &Tensors) {
    let views = tensors.iter().map(|(key, shape, data)| {
        (key.clone(), TensorView::new(safetensors::Dtype::F32, shape.clone(), data).unwrap())
    });
    std::fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// The layers outside of blocks that have other names in the layout of the authors, and those inside.
const OUTSIDE: [(&str, &str); 9] = [
    ("x_embedder", "img_in"),
    ("context_embedder", "txt_in"),
    ("time_text_embed.timestep_embedder.linear_1", "time_in.in_layer"),
    ("time_text_embed.timestep_embedder.linear_2", "time_in.out_layer"),
    ("time_text_embed.guidance_embedder.linear_1", "guidance_in.in_layer"),
    ("time_text_embed.guidance_embedder.linear_2", "guidance_in.out_layer"),
    ("time_text_embed.text_embedder.linear_1", "vector_in.in_layer"),
    ("time_text_embed.text_embedder.linear_2", "vector_in.out_layer"),
    ("proj_out", "final_layer.linear"),
];
const DOUBLE: [(&str, &str); 12] = [
    ("norm1.linear", "img_mod.lin"),
    ("norm1_context.linear", "txt_mod.lin"),
    ("attn.to_out.0", "img_attn.proj"),
    ("attn.to_add_out", "txt_attn.proj"),
    ("attn.norm_q", "img_attn.norm.query_norm"),
    ("attn.norm_k", "img_attn.norm.key_norm"),
    ("attn.norm_added_q", "txt_attn.norm.query_norm"),
    ("attn.norm_added_k", "txt_attn.norm.key_norm"),
    ("ff.net.0.proj", "img_mlp.0"),
    ("ff.net.2", "img_mlp.2"),
    ("ff_context.net.0.proj", "txt_mlp.0"),
    ("ff_context.net.2", "txt_mlp.2"),
];
const SINGLE: [(&str, &str); 4] = [
    ("norm.linear", "modulation.lin"),
    ("proj_out", "linear2"),
    ("attn.norm_q", "norm.query_norm"),
    ("attn.norm_k", "norm.key_norm"),
];

/// The transformer of a checkpoint in the layout of its authors.
pub fn original_transformer(folder: &Path, prefix: &str) -> Tensors {
    let file = folder.join("transformer/diffusion_pytorch_model.safetensors");
    let bytes = std::fs::read(file).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let get = |key: &str| {
        let view = stored.tensor(key).unwrap_or_else(|_| panic!("no {key}"));
        (view.shape().to_vec(), view.data().to_vec())
    };
    let mut out = Tensors::new();
    let mut push = |name: String, (shape, data): (Vec<usize>, Vec<u8>)| {
        out.push((format!("{prefix}{name}"), shape, data));
    };
    // One after another, as rows of one matrix.
    let joined = |keys: &[String]| {
        let mut all = keys.iter().map(|key| get(key));
        let (mut shape, mut data) = all.next().unwrap();
        for (more, bytes) in all {
            shape[0] += more[0];
            data.extend(bytes);
        }
        (shape, data)
    };
    for (diffusers, original) in OUTSIDE {
        for parameter in ["weight", "bias"] {
            push(format!("{original}.{parameter}"), get(&format!("{diffusers}.{parameter}")));
        }
    }
    for parameter in ["weight", "bias"] {
        let (shape, data) = get(&format!("norm_out.linear.{parameter}"));
        let (scale, shift) = data.split_at(data.len() / 2);
        push(format!("final_layer.adaLN_modulation.1.{parameter}"), (shape, [shift, scale].concat()));
    }
    for block in 0..2 {
        for (names, list, original_list) in [
            (&DOUBLE[..], "transformer_blocks", "double_blocks"),
            (&SINGLE[..], "single_transformer_blocks", "single_blocks"),
        ] {
            for (diffusers, original) in names {
                let (from, to) =
                    (format!("{list}.{block}.{diffusers}"), format!("{original_list}.{block}.{original}"));
                if original.contains("norm.") {
                    push(format!("{to}.scale"), get(&format!("{from}.weight")));
                    continue;
                }
                for parameter in ["weight", "bias"] {
                    push(format!("{to}.{parameter}"), get(&format!("{from}.{parameter}")));
                }
            }
        }
        for parameter in ["weight", "bias"] {
            let of = |list: &str, layers: &[&str]| {
                let keys = layers.iter().map(|layer| format!("{list}.{block}.{layer}.{parameter}"));
                joined(&keys.collect::<Vec<_>>())
            };
            let image = of("transformer_blocks", &["attn.to_q", "attn.to_k", "attn.to_v"]);
            let text = of("transformer_blocks", &["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"]);
            let both = of("single_transformer_blocks", &["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"]);
            push(format!("double_blocks.{block}.img_attn.qkv.{parameter}"), image);
            push(format!("double_blocks.{block}.txt_attn.qkv.{parameter}"), text);
            push(format!("single_blocks.{block}.linear1.{parameter}"), both);
        }
    }
    assert_eq!(out.iter().map(|(_, _, data)| data.len()).sum::<usize>(), {
        stored.tensors().iter().map(|(_, view)| view.data().len()).sum::<usize>()
    });
    out
}

#[test]
fn a_transformer_may_be_a_single_file() {
    let folder = checkpoint();
    let mut pipeline = load::<FluxPipeline>(folder.path()).unwrap();
    let expected = latents(&mut pipeline);
    let file = folder.path().join("flux1-dev.safetensors");
    let name = file.to_str().unwrap();
    let options = SingleFileOptions {
        config: Some(folder.path().to_str().unwrap().to_owned()),
        subfolder: Some("transformer".into()),
        ..Default::default()
    };
    let made = |pipeline: &FluxPipeline| {
        let transformer = FluxTransformer2DModel::from_single_file(name, &options).unwrap();
        let components = FluxComponents { transformer, ..(**pipeline).clone() };
        let mut pipeline = FluxPipeline::new(components).unwrap();
        pipeline.set_progress_bar(false);
        latents(&mut pipeline)
    };
    for prefix in ["", "model.diffusion_model."] {
        let tensors = original_transformer(folder.path(), prefix);
        write(&file, &tensors);
        assert_eq!(fixture::difference(made(&pipeline), expected.clone()), 0.0);
        // The published configuration is that of a larger model.
        let published = FluxTransformer2DModel::from_single_file(name, &SingleFileOptions::default());
        expect(&error(published), &["flux1-dev.safetensors", "3072"]);
        let whole = DiffusionPipeline::from_single_file(name, &SingleFileOptions::default());
        expect(&error(whole), &["flux1-dev.safetensors", "a transformer"]);
        let broken = tensors.into_iter().map(|(key, shape, data)| match key.contains("1.linear1.weight") {
            true => (key, vec![223, 32], data[..223 * 32 * 4].to_vec()),
            false => (key, shape, data),
        });
        write(&file, &broken.collect());
        let refused = FluxTransformer2DModel::from_single_file(name, &options);
        expect(&error(refused), &["single_blocks.1.linear1.weight", "[223, 32]", "seven"]);
    }
    // A file may have the names of diffusers, too.
    std::fs::copy(folder.path().join("transformer/diffusion_pytorch_model.safetensors"), &file).unwrap();
    assert_eq!(fixture::difference(made(&pipeline), expected), 0.0);
}

#[test]
fn a_saved_transformer_is_loaded_in_half_precision() {
    let folder = checkpoint();
    let options = oxidiff::LoadOptions { dtype: oxidiff::DType::BF16, ..Default::default() };
    let mut pipeline = FluxPipeline::from_pretrained_with(folder.path().to_str().unwrap(), &options).unwrap();
    pipeline.set_progress_bar(false);
    assert_eq!(pipeline.transformer.dtype(), oxidiff::DType::BF16);
    let made = latents(&mut pipeline);
    let expected = latents(&mut load::<FluxPipeline>(folder.path()).unwrap());
    let scale = expected.clone().abs().max().into_scalar::<f32>();
    assert!(fixture::difference(made / scale, expected / scale) < 0.1);
}
