//! Files: saving, other layouts, and what is damaged.

use std::path::Path;

use oxidiff::{
    AutoencoderKL, AutoencoderKLConfig, AutoencoderKLFlux2, DiffusionPipeline, Flux2KleinComponents,
    Flux2KleinPipeline, Flux2KleinTextToImage, Flux2Transformer2DModel, Generator, Images, Model, Pipeline,
    Qwen3Model, SingleFileOptions, Tensor,
};
use safetensors::tensor::{SafeTensors, TensorView};
use serde_json::{Value, json};

use super::{checkpoint, error, expect, load, recorded};
use crate::fixture;

fn image(pipeline: &mut Flux2KleinPipeline) -> Tensor<4> {
    let arguments = Flux2KleinTextToImage {
        height: Some(32),
        width: Some(48),
        num_inference_steps: 2,
        guidance_scale: 1.0,
        generator: Some(Generator::manual_seed(5).into()),
        output_type: oxidiff::OutputType::Array,
        ..Flux2KleinTextToImage::new("a red apple")
    };
    match pipeline.call(arguments).unwrap().images {
        Images::Array(array) => array,
        _ => panic!("an array was asked for"),
    }
}

#[test]
fn a_saved_pipeline_makes_the_same_image() {
    let folder = checkpoint();
    let mut pipeline = load::<Flux2KleinPipeline>(folder.path()).unwrap();
    let expected = image(&mut pipeline);
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let mut again = load::<Flux2KleinPipeline>(saved.path()).unwrap();
    assert_eq!(fixture::difference(image(&mut again), expected), 0.0);
    // The files say what Python's say; the text encoder is saved without the layer that predicts tokens.
    for file in ["model_index.json", "transformer/config.json", "vae/config.json"] {
        let ours: Value = fixture::json(&saved.path().join(file));
        let theirs: Value = fixture::json(&recorded("checkpoint").join(file));
        for (field, value) in theirs.as_object().unwrap() {
            let equal = match (ours.get(field).and_then(Value::as_f64), value.as_f64()) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => ours.get(field) == Some(value),
            };
            assert!(equal || field.starts_with("_name") || field == "text_encoder", "{file}: {field}");
        }
    }
}

/// The tensors of a file, under other names.
pub type Tensors = Vec<(String, Vec<usize>, Vec<u8>)>;

fn write(file: &Path, tensors: &Tensors) {
    let views = tensors.iter().map(|(key, shape, data)| {
        (key.clone(), TensorView::new(safetensors::Dtype::F32, shape.clone(), data).unwrap())
    });
    std::fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// The transformer in one file, in the layout of its authors.
pub fn original_transformer(folder: &Path, prefix: &str) -> Tensors {
    let bytes = std::fs::read(folder.join("transformer/diffusion_pytorch_model.safetensors")).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let mut out = Tensors::new();
    for (key, view) in stored.tensors() {
        let (shape, data) = (view.shape().to_vec(), view.data().to_vec());
        let fused =
            [("to_q", "to_k", "to_v", "img_attn"), ("add_q_proj", "add_k_proj", "add_v_proj", "txt_attn")];
        if let Some((q, k, v, name)) =
            fused.iter().find(|(q, ..)| key.ends_with(&format!(".attn.{q}.weight")))
        {
            let parts =
                [*q, *k, *v].map(|part| stored.tensor(&key.replace(q, part)).unwrap().data().to_vec());
            let block = key.strip_suffix(&format!(".attn.{q}.weight")).unwrap();
            let block = block.replace("transformer_blocks", "double_blocks");
            out.push((
                format!("{prefix}{block}.{name}.qkv.weight"),
                vec![3 * shape[0], shape[1]],
                parts.concat(),
            ));
            continue;
        }
        if fused.iter().any(|(_, k, v, _)| key.contains(k) || key.contains(v)) {
            continue;
        }
        if key == "norm_out.linear.weight" {
            let (scale, shift) = data.split_at(data.len() / 2);
            let swapped = [shift, scale].concat();
            out.push((format!("{prefix}final_layer.adaLN_modulation.1.weight"), shape, swapped));
            continue;
        }
        let mut name = key.clone();
        for (diffusers, original) in [
            ("single_transformer_blocks.", "single_blocks."),
            ("transformer_blocks.", "double_blocks."),
            ("attn.to_qkv_mlp_proj", "linear1"),
            ("attn.to_out.0", "img_attn.proj"),
            ("attn.to_add_out", "txt_attn.proj"),
            ("attn.to_out.weight", "linear2.weight"),
            ("attn.norm_added_q.weight", "txt_attn.norm.query_norm.scale"),
            ("attn.norm_added_k.weight", "txt_attn.norm.key_norm.scale"),
            ("ff.linear_in", "img_mlp.0"),
            ("ff.linear_out", "img_mlp.2"),
            ("ff_context.linear_in", "txt_mlp.0"),
            ("ff_context.linear_out", "txt_mlp.2"),
            ("x_embedder", "img_in"),
            ("context_embedder", "txt_in"),
            ("time_guidance_embed.timestep_embedder.linear_1", "time_in.in_layer"),
            ("time_guidance_embed.timestep_embedder.linear_2", "time_in.out_layer"),
            ("modulation_img.linear", "modulation_img.lin"),
            ("modulation_txt.linear", "modulation_txt.lin"),
            ("single_stream_modulation.linear", "single_stream_modulation.lin"),
            ("proj_out", "final_layer.linear"),
        ] {
            name = name.replace(diffusers, original);
        }
        let attention = if name.starts_with("double_blocks") { "img_attn." } else { "" };
        name = name
            .replace("attn.norm_q.weight", &format!("{attention}norm.query_norm.scale"))
            .replace("attn.norm_k.weight", &format!("{attention}norm.key_norm.scale"));
        out.push((format!("{prefix}{name}"), shape, data));
    }
    out
}

#[test]
fn a_transformer_may_be_a_single_file() {
    let folder = checkpoint();
    let mut pipeline = load::<Flux2KleinPipeline>(folder.path()).unwrap();
    let expected = image(&mut pipeline);
    let file = folder.path().join("flux2.safetensors");
    let name = file.to_str().unwrap();
    let options = SingleFileOptions {
        config: Some(folder.path().to_str().unwrap().to_owned()),
        subfolder: Some("transformer".into()),
        ..Default::default()
    };
    let made = |pipeline: &Flux2KleinPipeline| {
        let transformer = Flux2Transformer2DModel::from_single_file(name, &options).unwrap();
        let components = Flux2KleinComponents { transformer, ..(**pipeline).clone() };
        let mut pipeline = Flux2KleinPipeline::new(components).unwrap();
        pipeline.set_progress_bar(false);
        image(&mut pipeline)
    };
    for prefix in ["", "model.diffusion_model."] {
        let tensors = original_transformer(folder.path(), prefix);
        write(&file, &tensors);
        assert_eq!(fixture::difference(made(&pipeline), expected.clone()), 0.0);
        // The published configurations are those of larger models.
        let published = Flux2Transformer2DModel::from_single_file(name, &SingleFileOptions::default());
        expect(&error(published), &["flux2.safetensors", "6144"]);
        let whole = DiffusionPipeline::from_single_file(name, &SingleFileOptions::default());
        expect(&error(whole), &["flux2.safetensors", "a transformer"]);
        let broken = tensors.into_iter().map(|(key, shape, data)| match key.contains("1.img_attn.qkv") {
            true => (key, vec![95, 32], data[..95 * 32 * 4].to_vec()),
            false => (key, shape, data),
        });
        write(&file, &broken.collect());
        let refused = Flux2Transformer2DModel::from_single_file(name, &options);
        expect(&error(refused), &["double_blocks.1.img_attn.qkv.weight", "[95, 32]", "three"]);
    }
    // A file may have the names of diffusers, too.
    std::fs::copy(folder.path().join("transformer/diffusion_pytorch_model.safetensors"), &file).unwrap();
    assert_eq!(fixture::difference(made(&pipeline), expected), 0.0);
}

#[test]
fn the_configuration_of_a_single_file_follows_from_its_first_layer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flux2.safetensors");
    // The tensor that is missed first is in a block; its shape tells the model.
    for rows in [3072, 4096, 6144] {
        let tensor = |name: &str, rows: usize, columns: usize| {
            (name.to_owned(), vec![rows, columns], vec![0; 4 * rows * columns])
        };
        write(
            &file,
            &vec![tensor("img_in.weight", rows, 128), tensor("single_stream_modulation.lin.weight", 1, 1)],
        );
        let refused =
            Flux2Transformer2DModel::from_single_file(file.to_str().unwrap(), &SingleFileOptions::default());
        let refused = error(refused);
        expect(&refused, &["flux2.safetensors", &rows.to_string()]);
    }
}

/// The autoencoder in one file, in the layout of its authors.
#[test]
fn an_autoencoder_may_be_a_single_file() {
    let folder = checkpoint();
    let bytes = std::fs::read(folder.path().join("vae/diffusion_pytorch_model.safetensors")).unwrap();
    let mut tensors = Tensors::new();
    for (key, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
        let mut name = key.clone();
        if name.starts_with("quant_conv") {
            name = format!("encoder.{name}");
        } else if name.starts_with("post_quant_conv") {
            name = format!("decoder.{name}");
        }
        for (block, number) in [(0, 3), (1, 2), (2, 1), (3, 0)] {
            name = name
                .replace(&format!("up_blocks.{block}.resnets"), &format!("up.{number}.block"))
                .replace(&format!("up_blocks.{block}.upsamplers.0"), &format!("up.{number}.upsample"))
                .replace(&format!("down_blocks.{block}.resnets"), &format!("down.{block}.block"))
                .replace(&format!("down_blocks.{block}.downsamplers.0"), &format!("down.{block}.downsample"));
        }
        let attention =
            name.contains("mid_block.attentions.0.") && name.contains(".to_") && name.ends_with("weight");
        for (diffusers, original) in [
            ("conv_norm_out", "norm_out"),
            ("mid_block.resnets.0", "mid.block_1"),
            ("mid_block.resnets.1", "mid.block_2"),
            ("mid_block.attentions.0.group_norm", "mid.attn_1.norm"),
            ("mid_block.attentions.0.to_q", "mid.attn_1.q"),
            ("mid_block.attentions.0.to_k", "mid.attn_1.k"),
            ("mid_block.attentions.0.to_v", "mid.attn_1.v"),
            ("mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out"),
            ("conv_shortcut", "nin_shortcut"),
        ] {
            name = name.replace(diffusers, original);
        }
        let mut shape = view.shape().to_vec();
        if attention {
            shape.extend([1, 1]);
        }
        tensors.push((name, shape, view.data().to_vec()));
    }
    tensors.push(("bn.num_batches_tracked".into(), vec![1], vec![0; 4]));
    let file = folder.path().join("ae.safetensors");
    write(&file, &tensors);
    let options = SingleFileOptions {
        config: Some(folder.path().to_str().unwrap().to_owned()),
        subfolder: Some("vae".into()),
        ..Default::default()
    };
    let loaded = AutoencoderKLFlux2::from_single_file(file.to_str().unwrap(), &options).unwrap();
    let saved = folder.path().join("again");
    loaded.save_pretrained(&saved).unwrap();
    let again = std::fs::read(saved.join("diffusion_pytorch_model.safetensors")).unwrap();
    let (again, first) =
        (SafeTensors::deserialize(&again).unwrap(), SafeTensors::deserialize(&bytes).unwrap());
    assert_eq!(again.len(), first.len());
    for (key, view) in first.tensors() {
        let found = again.tensor(&key).unwrap();
        assert!(found.shape() == view.shape() && found.data() == view.data(), "{key}");
    }
    // The published configuration is that of a larger model.
    let published =
        AutoencoderKLFlux2::from_single_file(file.to_str().unwrap(), &SingleFileOptions::default());
    expect(&error(published), &["ae.safetensors", "128"]);
}

#[test]
fn what_is_missing_or_does_not_fit_is_named() {
    let refused = |change: &dyn Fn(&Path)| {
        let folder = checkpoint();
        change(folder.path());
        error(load::<Flux2KleinPipeline>(folder.path()))
    };
    let set = |file: &'static str, field: &'static str, value: Value| {
        move |folder: &Path| {
            let file = folder.join(file);
            let mut config: Value = fixture::json(&file);
            config[field] = value.clone();
            std::fs::write(&file, config.to_string()).unwrap();
        }
    };
    let weights = "transformer/diffusion_pytorch_model.safetensors";
    let remove = |folder: &Path| std::fs::remove_file(folder.join(weights)).unwrap();
    expect(&refused(&remove), &["transformer", "diffusion_pytorch_model.safetensors"]);
    let truncate = |folder: &Path| {
        let bytes = std::fs::read(folder.join(weights)).unwrap();
        std::fs::write(folder.join(weights), &bytes[..bytes.len() / 2]).unwrap();
    };
    expect(&refused(&truncate), &["transformer", "diffusion_pytorch_model.safetensors"]);
    let transformer = "transformer/config.json";
    expect(
        &refused(&set(transformer, "num_single_layers", 3.into())),
        &["single_transformer_blocks.2", "missing"],
    );
    expect(&refused(&set(transformer, "guidance_embeds", true.into())), &["guidance_embedder", "missing"]);
    expect(&refused(&set(transformer, "mlp_ratio", 2.into())), &["linear_in", "[192, 32]", "[128, 32]"]);
    expect(&refused(&set("vae/config.json", "patch_size", json!([1, 1]))), &["bn.running_mean", "[4]"]);
    expect(&refused(&set("model_index.json", "is_distilled", 1.into())), &["is_distilled", "true or false"]);
    let class =
        set("model_index.json", "text_encoder", json!(["transformers", "Mistral3ForConditionalGeneration"]));
    expect(&refused(&class), &["text_encoder", "Mistral3ForConditionalGeneration"]);
    let folder = checkpoint();
    set("model_index.json", "_class_name", "Flux2Pipeline".into())(folder.path());
    let whole = DiffusionPipeline::from_pretrained(folder.path().to_str().unwrap());
    expect(&error(whole), &["tokenizer", "Qwen2Tokenizer", "PixtralProcessor"]);
    set("model_index.json", "_class_name", "Flux3Pipeline".into())(folder.path());
    let whole = DiffusionPipeline::from_pretrained(folder.path().to_str().unwrap());
    expect(&error(whole), &["Flux3Pipeline", "Flux2KleinPipeline"]);

    // Parts that do not fit each other.
    let pipeline = load::<Flux2KleinPipeline>(checkpoint().path()).unwrap();
    let device = oxidiff::Device::flex();
    let mut config = pipeline.text_encoder.config().clone();
    config.hidden_size = 20;
    let text_encoder = Qwen3Model::init(&config, &device).unwrap();
    let other = Flux2KleinComponents { text_encoder, ..(*pipeline).clone() };
    expect(&error(Flux2KleinPipeline::new(other)), &["joint_attention_dim", "48", "20"]);
    let mut config = pipeline.transformer.config().clone();
    config.in_channels = 8;
    let transformer = Flux2Transformer2DModel::init(&config, &device).unwrap();
    let other = Flux2KleinComponents { transformer, ..(*pipeline).clone() };
    expect(&error(Flux2KleinPipeline::new(other)), &["in_channels", "8", "16"]);
    let mut config = pipeline.transformer.config().clone();
    config.out_channels = Some(4);
    let transformer = Flux2Transformer2DModel::init(&config, &device).unwrap();
    let other = Flux2KleinComponents { transformer, ..(*pipeline).clone() };
    expect(&error(Flux2KleinPipeline::new(other)), &["out_channels", "4", "16"]);
    let config = AutoencoderKLConfig { latent_channels: 4, ..Default::default() };
    let vae = AutoencoderKL::init(&config, &device).unwrap().into();
    let other = Flux2KleinComponents { vae, ..(*pipeline).clone() };
    expect(&error(Flux2KleinPipeline::new(other)), &["vae", "AutoencoderKL", "statistics"]);
}
