//! Files: saving, and the layouts of the authors.

use std::collections::BTreeMap;
use std::path::Path;

use oxidiff::{
    AutoencoderDC, Model, Pipeline, SanaInputs, SanaPipeline, SanaTransformer2DModel, SingleFileOptions,
    Tensor,
};
use serde_json::Value;

use super::{checkpoint, error, expect, latents, load, model, recorded};
use crate::fixture::gguf::{self, Plain};
use crate::fixture::pictures::values;
use crate::fixture::{self, json};

#[test]
fn a_saved_pipeline_makes_the_same_image() {
    let folder = checkpoint();
    let mut pipeline = load::<SanaPipeline>(folder.path()).unwrap();
    let expected = latents(&mut pipeline);
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let mut again = load::<SanaPipeline>(saved.path()).unwrap();
    assert_eq!(fixture::difference(latents(&mut again), expected), 0.0);
    for file in ["model_index.json", "transformer/config.json", "vae/config.json"] {
        let ours: Value = json(&saved.path().join(file));
        let theirs: Value = json(&recorded("checkpoint").join(file));
        for (field, value) in theirs.as_object().unwrap() {
            assert!(ours.get(field) == Some(value) || field.starts_with("_name"), "{file}: {field}");
        }
    }
}

/// The tensors of a saved model.
fn saved<M: Model>(net: &M, folder: &Path) -> BTreeMap<String, Plain> {
    net.save_pretrained(folder).unwrap();
    gguf::tensors(&folder.join("diffusion_pytorch_model.safetensors"))
}

/// The rows of tensors, one after the other.
fn joined(tensors: &BTreeMap<String, Plain>, keys: &[String]) -> Plain {
    let mut all = tensors[&keys[0]].clone();
    for key in &keys[1..] {
        all.shape[0] += tensors[key].shape[0];
        all.values.extend(&tensors[key].values);
    }
    all
}

const OUTSIDE: [(&str, &str); 9] = [
    ("patch_embed.proj.", "x_embedder.proj."),
    ("time_embed.emb.timestep_embedder.linear_1.", "t_embedder.mlp.0."),
    ("time_embed.emb.timestep_embedder.linear_2.", "t_embedder.mlp.2."),
    ("time_embed.linear.", "t_block.1."),
    ("caption_projection.linear_1.", "y_embedder.y_proj.fc1."),
    ("caption_projection.linear_2.", "y_embedder.y_proj.fc2."),
    ("caption_norm.", "attention_y_norm."),
    ("proj_out.", "final_layer.linear."),
    ("scale_shift_table", "final_layer.scale_shift_table"),
];
const INSIDE: [(&str, &str); 6] = [
    ("attn1.to_out.0.", "attn.proj."),
    ("attn2.to_q.", "cross_attn.q_linear."),
    ("attn2.to_out.0.", "cross_attn.proj."),
    ("ff.conv_inverted.", "mlp.inverted_conv.conv."),
    ("ff.conv_depth.", "mlp.depth_conv.conv."),
    ("ff.conv_point.", "mlp.point_conv.conv."),
];

/// The transformer as its authors published it.
fn original_transformer(tensors: &BTreeMap<String, Plain>) -> BTreeMap<String, Plain> {
    let mut out = BTreeMap::new();
    for (key, tensor) in tensors {
        let Some((block, rest)) = key.strip_prefix("transformer_blocks.").and_then(|key| key.split_once('.'))
        else {
            let renamed =
                OUTSIDE.iter().find_map(|(own, other)| Some(format!("{other}{}", key.strip_prefix(own)?)));
            out.insert(renamed.unwrap(), tensor.clone());
            continue;
        };
        let of_block = |rest: &str| format!("transformer_blocks.{block}.{rest}");
        let keys = |layers: &[&str], end: &str| -> Vec<String> {
            layers.iter().map(|layer| of_block(&format!("{layer}.{end}"))).collect()
        };
        if let Some(end) = rest.strip_prefix("attn1.to_q.") {
            let all = joined(tensors, &keys(&["attn1.to_q", "attn1.to_k", "attn1.to_v"], end));
            out.insert(format!("blocks.{block}.attn.qkv.{end}"), all);
        } else if let Some(end) = rest.strip_prefix("attn2.to_k.") {
            let all = joined(tensors, &keys(&["attn2.to_k", "attn2.to_v"], end));
            out.insert(format!("blocks.{block}.cross_attn.kv_linear.{end}"), all);
        } else if !["attn1.to_k.", "attn1.to_v.", "attn2.to_v."].iter().any(|layer| rest.starts_with(layer)) {
            let renamed =
                INSIDE.iter().find_map(|(own, other)| Some(format!("{other}{}", rest.strip_prefix(own)?)));
            out.insert(
                format!("blocks.{block}.{}", renamed.unwrap_or_else(|| rest.to_owned())),
                tensor.clone(),
            );
        }
    }
    let unused = Plain { shape: vec![1, 2, 4], values: vec![0.0; 8] };
    out.insert("pos_embed".into(), unused.clone());
    out.insert("y_embedder.y_embedding".into(), unused);
    out
}

fn predicted(net: &SanaTransformer2DModel) -> Tensor<4> {
    let call = SanaInputs {
        hidden_states: values([1, 4, 4, 6], -1.2),
        encoder_hidden_states: values([1, 1, 5, 24], -1.0).reshape::<3, _>([1, 5, 24]),
        encoder_attention_mask: None,
        timestep: &[300.0],
        guidance: None,
        controlnet_block_samples: &[],
    };
    net.forward(&call).unwrap()
}

/// Options with the configuration of a folder.
fn config_of(folder: &Path) -> SingleFileOptions {
    SingleFileOptions { config: Some(folder.to_str().unwrap().to_owned()), ..Default::default() }
}

#[test]
fn a_transformer_is_read_in_the_layout_of_its_authors() {
    let net: SanaTransformer2DModel = model("transformer.plain");
    let folder = tempfile::tempdir().unwrap();
    let tensors = saved(&net, folder.path());
    let original = original_transformer(&tensors);
    let prefixed =
        original.iter().map(|(key, tensor)| (format!("model.diffusion_model.{key}"), tensor.clone()));
    for (name, tensors) in
        [("original", original.clone()), ("comfy", prefixed.collect()), ("diffusers", tensors)]
    {
        let file = folder.path().join(format!("{name}.safetensors"));
        gguf::write_safetensors(&tensors, &file);
        let options = config_of(folder.path());
        let again = SanaTransformer2DModel::from_single_file(file.to_str().unwrap(), &options).unwrap();
        assert_eq!(fixture::difference(predicted(&again), predicted(&net)), 0.0, "{name}");
    }
    let mut odd = original;
    let matrix = odd.get_mut("blocks.1.attn.qkv.weight").unwrap();
    matrix.shape[0] -= 1;
    matrix.values.truncate(95 * 32);
    let file = folder.path().join("odd.safetensors");
    gguf::write_safetensors(&odd, &file);
    let refused = SanaTransformer2DModel::from_single_file(file.to_str().unwrap(), &config_of(folder.path()));
    expect(&error(refused), &["blocks.1.attn.qkv.weight", "divide into 3"]);
}

/// The autoencoder as its authors published it.
fn original_autoencoder(tensors: &BTreeMap<String, Plain>, has_first_stage: bool) -> BTreeMap<String, Plain> {
    let mut out = BTreeMap::new();
    let as_convolution = |mut matrix: Plain| {
        matrix.shape.extend([1, 1]);
        matrix
    };
    for (key, tensor) in tensors {
        let stages = key
            .replace("encoder.down_blocks.", "encoder.stages.")
            .replace("decoder.up_blocks.", "decoder.stages.");
        let [own, other] = if has_first_stage { ["", ""] } else { ["conv.", "conv."] };
        let ends = [
            (format!("encoder.conv_in.{own}"), format!("encoder.project_in.conv.{other}")),
            ("encoder.conv_out.".to_owned(), "encoder.project_out.0.conv.".to_owned()),
            ("decoder.conv_in.".to_owned(), "decoder.project_in.main.conv.".to_owned()),
            ("decoder.norm_out.".to_owned(), "decoder.project_out.0.".to_owned()),
            (format!("decoder.conv_out.{own}"), format!("decoder.project_out.2.conv.{other}")),
        ];
        let end =
            ends.iter().find_map(|(own, other)| Some(format!("{other}{}", key.strip_prefix(own.as_str())?)));
        if let Some(end) = end {
            out.insert(end, tensor.clone());
            continue;
        }
        let mut parts: Vec<&str> = stages.splitn(5, '.').collect();
        let rest = parts.pop().unwrap();
        let block = format!("{}.{}.{}.op_list.{}", parts[0], parts[1], parts[2], parts[3]);
        // Which of several entries this is.
        let (layer, tensor) = if rest.starts_with("to_q") || rest.starts_with("attn.to_q.") {
            let keys = ["to_q", "to_k", "to_v"].map(|part| key.replace("to_q", part));
            ("context_module.main.qkv.conv.weight".to_owned(), as_convolution(joined(tensors, &keys)))
        } else if rest.starts_with("attn.to_k.") || rest.starts_with("attn.to_v.") {
            continue;
        } else if rest.starts_with("attn.to_out.") {
            ("context_module.main.proj.conv.weight".to_owned(), as_convolution(tensor.clone()))
        } else {
            let layer = rest
                .replace("attn.to_qkv_multiscale.0.proj_in", "context_module.main.aggreg.0.0")
                .replace("attn.to_qkv_multiscale.0.proj_out", "context_module.main.aggreg.0.1")
                .replace("attn.norm_out", "context_module.main.proj.norm")
                .replace("conv_out.conv_depth", "local_module.main.depth_conv.conv")
                .replace("conv_out.conv_inverted", "local_module.main.inverted_conv.conv")
                .replace("conv_out.conv_point", "local_module.main.point_conv.conv")
                .replace("conv_out.norm", "local_module.main.point_conv.norm");
            let layer = match layer.split('.').next().unwrap() {
                "conv1" => layer.replace("conv1.", "main.conv1.conv."),
                "conv2" => layer.replace("conv2.", "main.conv2.conv."),
                "norm" => layer.replace("norm.", "main.conv2.norm."),
                "conv" => layer.replace("conv.", "main.conv.conv."),
                _ => layer,
            };
            (layer, tensor.clone())
        };
        out.insert(format!("{block}.{layer}"), tensor);
    }
    out
}

#[test]
fn an_autoencoder_is_read_in_the_layout_of_its_authors() {
    for (name, has_first_stage) in [("vae.convolution", true), ("vae.skipped", false)] {
        // With one scale each, as those that were published, and upsampling in the place that tells the layout.
        let plain: AutoencoderDC = model(name);
        let mut config = plain.config().clone();
        let scales = config.decoder_qkv_multiscales.clone();
        config.encoder_qkv_multiscales = scales;
        let vae = AutoencoderDC::init(&config, &oxidiff::Device::flex()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let tensors = original_autoencoder(&saved(&vae, folder.path()), has_first_stage);
        assert!(
            tensors.contains_key("decoder.stages.1.op_list.0.main.conv.conv.bias"),
            "{:?}",
            tensors.keys()
        );
        let file = folder.path().join("original.safetensors");
        gguf::write_safetensors(&tensors, &file);
        let options = config_of(folder.path());
        let again = AutoencoderDC::from_single_file(file.to_str().unwrap(), &options).unwrap();
        let latents = values([1, 4, 3, 2], -1.0);
        let [made, expected] = [&again, &vae].map(|vae| vae.decode(latents.clone()).unwrap());
        assert_eq!(fixture::difference(made, expected), 0.0, "{name}");
        let image = values([1, 3, 8, 8], -1.0);
        let [made, expected] = [&again, &vae].map(|vae| vae.encode(image.clone()).unwrap());
        assert_eq!(fixture::difference(made, expected), 0.0, "{name}");
    }
}
