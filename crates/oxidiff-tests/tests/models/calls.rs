//! Compares each model with Python diffusers, call by call: at most 1e-4 apart.

use std::path::Path;

use oxidiff::{
    AutoencoderKL, CLIPTextModel, CLIPTokenizer, ClassLabels, Config, DType, Device, Generator, Generators,
    LoadOptions, Model, Tensor, UNet2DConditionConfig, UNet2DConditionInputs, UNet2DConditionModel,
};
use serde::Deserialize;

use crate::fixture::drawn::stored_or_drawn;
use crate::fixture::{Recorded, assert_close, every_third_pixel, fixtures, json, variants};

const TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Call {
    labels: Option<Vec<f32>>,
    timesteps: Option<Vec<f32>>,
}

#[test]
fn unet_computes_what_python_does_for_every_option() {
    let variants = variants("pipelines/unets");
    assert!(variants.len() > 20, "{} variants", variants.len());
    for (folder, name, recorded) in variants {
        let unet: UNet2DConditionModel = stored_or_drawn(&folder, &LoadOptions::default());
        let call: Call = json(&folder.join("call.json"));
        let inputs = UNet2DConditionInputs {
            class_labels: match call.labels {
                Some(numbers) => Some(ClassLabels::Numbers(numbers)),
                None if recorded.has("label_vectors") => {
                    Some(ClassLabels::Vectors(recorded.floats("label_vectors")))
                }
                None => None,
            },
            timestep_cond: recorded.has("timestep_cond").then(|| recorded.floats("timestep_cond")),
            ..Default::default()
        };
        let timesteps = call.timesteps.unwrap_or(vec![501.0]);
        let out = unet
            .forward_with(recorded.floats("sample"), &timesteps, recorded.floats("text"), inputs)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_close(&name, out, recorded.floats("out"), TOLERANCE);
    }
}

#[test]
fn a_unet_refuses_invalid_inputs() {
    let folder = fixtures().join("pipelines/unets/num_class_embeds");
    let unet: UNet2DConditionModel = stored_or_drawn(&folder, &LoadOptions::default());
    let device = Device::flex();
    let sample = || Tensor::<4>::zeros([1, 4, 8, 8], &device);
    let text = || Tensor::<3>::zeros([1, 5, 12], &device);
    let labels = |numbers: &[f32]| UNet2DConditionInputs {
        class_labels: Some(ClassLabels::Numbers(numbers.to_vec())),
        ..Default::default()
    };
    let error = |sample: Tensor<4>, timesteps: &[f32], text: Tensor<3>, inputs| {
        unet.forward_with(sample, timesteps, text, inputs).unwrap_err().to_string()
    };

    assert!(unet.forward_with(sample(), &[1.0], text(), labels(&[4.0])).is_ok());
    assert!(unet.forward(sample(), 1.0, text()).unwrap_err().to_string().starts_with("`class_labels`"));
    assert!(error(sample(), &[1.0], text(), labels(&[5.0])).contains("5 is not one of the 5"));
    assert!(error(sample(), &[1.0], text(), labels(&[1.0, 2.0])).contains("2 labels"));
    assert!(error(sample(), &[1.0, 2.0], text(), labels(&[1.0])).starts_with("`timestep`"));
    let wide = Tensor::zeros([1, 5, 13], &device);
    assert!(error(sample(), &[1.0], wide, labels(&[1.0])).contains("length 13"));
    let deep = Tensor::zeros([1, 3, 8, 8], &device);
    assert!(error(deep, &[1.0], text(), labels(&[1.0])).contains("3 channels"));
    let vectors = UNet2DConditionInputs {
        class_labels: Some(ClassLabels::Vectors(Tensor::zeros([1, 4], &device))),
        ..Default::default()
    };
    assert!(error(sample(), &[1.0], text(), vectors).contains("numbers"));
}

#[test]
fn invalid_configurations_are_refused_by_field() {
    let device = Device::flex();
    for (json, field) in [
        (r#"{"attention_head_dim": 0}"#, "attention_head_dim"),
        (r#"{"block_out_channels": [320, 640]}"#, "block_out_channels"),
        (r#"{"norm_num_groups": 7}"#, "norm_num_groups"),
        (r#"{"layers_per_block": 100000000}"#, "layers_per_block"),
        (r#"{"down_block_types": ["AttnDownBlock2D"]}"#, "down_block_types[0]"),
        (r#"{"act_fn": "sine"}"#, "act_fn"),
        (r#"{"in_channels": -4}"#, "in_channels"),
        (r#"{"cross_attention_dim": "wide"}"#, "cross_attention_dim"),
        (r#"{"class_embed_type": "projection"}"#, "projection_class_embeddings_input_dim"),
        (r#"{"addition_embed_type": "text_time"}"#, "addition_embed_type"),
        (r#"{"dual_cross_attention": true}"#, "dual_cross_attention"),
        (r#"{"conv_in_kernel": 2}"#, "conv_in_kernel"),
    ] {
        let config = Config::from_json(json).unwrap();
        let error = UNet2DConditionModel::from_config(&config, &device).unwrap_err().to_string();
        assert!(error.contains(&format!("`{field}`")), "{json}: {error}");
    }
}

#[test]
fn a_model_from_its_configuration_alone_starts_with_random_weights() {
    let device = Device::flex();
    let config = UNet2DConditionConfig {
        block_out_channels: vec![32; 4],
        cross_attention_dim: oxidiff::PerBlock::Same(8),
        ..Default::default()
    };
    let unet = UNet2DConditionModel::init(&config, &device).unwrap();
    assert_eq!(unet.config().layers_per_block, oxidiff::PerBlock::Same(2));
    let sample = Tensor::ones([1, 4, 8, 8], &device);
    let out = unet.forward(sample, 10.0, Tensor::ones([1, 3, 8], &device)).unwrap();
    let spread: f32 = out.var(3).max().into_scalar();
    assert!(spread.is_finite() && spread > 0.0, "{spread}");
}

#[test]
fn autoencoder_encodes_and_decodes_as_python_does() {
    let image_for_tiles =
        Generator::manual_seed(6).randn::<4>([1, 3, 136, 168], DType::F32, &Device::flex()).clamp(-1.0, 1.0);
    for name in ["sd1", "sd2"] {
        let folder = fixtures().join("pipelines").join(name);
        let recorded = Recorded::open(&folder.join("components.safetensors"));
        let mut vae = AutoencoderKL::from_pretrained(folder.join("vae").to_str().unwrap()).unwrap();

        let posterior = vae.encode(recorded.floats("vae.image")).unwrap();
        let latent = recorded.floats("vae.mean");
        assert_close("mean", posterior.mode(), latent.clone(), TOLERANCE);
        assert_close("logvar", posterior.logvar.clone(), recorded.floats("vae.logvar"), TOLERANCE);
        let mut generator = Generators::One(Generator::manual_seed(5));
        assert_close(
            "sample",
            posterior.sample(&mut generator).unwrap(),
            recorded.floats("vae.sample"),
            TOLERANCE,
        );
        let decoded = recorded.floats("vae.decoded");
        assert_close("decoded", vae.decode(latent.clone()).unwrap(), decoded.clone(), TOLERANCE);

        vae.enable_slicing();
        assert_close("sliced", vae.decode(latent).unwrap(), decoded, TOLERANCE);
        vae.disable_slicing();

        vae.enable_tiling();
        let mean = recorded.floats("tiled.mean");
        let encoded = vae.encode(image_for_tiles.clone()).unwrap();
        assert_close("tiled mean", encoded.mode(), mean.clone(), TOLERANCE);
        let decoded = every_third_pixel(vae.decode(mean).unwrap().permute([0, 2, 3, 1]));
        let expected = recorded.floats::<4>("tiled.decoded").permute([0, 2, 3, 1]);
        assert_close("tiled decoded", decoded, expected, TOLERANCE);
    }
}

#[test]
fn tiles_that_are_too_small_to_encode_are_refused() {
    let config = Config::from_json(
        r#"{"block_out_channels": [4, 4, 4], "norm_num_groups": 2, "sample_size": 16, "latent_channels": 2,
            "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
            "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"]}"#,
    );
    let mut vae = AutoencoderKL::from_config(&config.unwrap(), &Device::flex()).unwrap();
    vae.enable_tiling();
    // Tiles start every twelve pixels.
    let encode = |width: usize| vae.encode(Tensor::zeros([1, 3, 16, width], &Device::flex()));
    let error = encode(27).err().unwrap().to_string();
    assert!(error.contains("16x27") && error.contains("its last tile is 4x3"), "{error}");
    encode(28).unwrap();
}

#[test]
fn fields_of_a_configuration_are_overridden() {
    let folder = fixtures().join("pipelines/sd1/vae");
    let fields = [("scaling_factor", 0.5), ("no_such_field", 1.0)];
    let config_overrides =
        fields.map(|(field, value)| (field.to_owned(), value.into())).into_iter().collect();
    let options = LoadOptions { config_overrides, ..LoadOptions::default() };
    let vae = AutoencoderKL::from_pretrained_with(folder.to_str().unwrap(), &options).unwrap();
    assert_eq!(vae.config().scaling_factor, 0.5);
    let fields = [("latent_channels".to_owned(), "four".into())];
    let options = LoadOptions { config_overrides: fields.into_iter().collect(), ..LoadOptions::default() };
    let error = AutoencoderKL::from_pretrained_with(folder.to_str().unwrap(), &options).err().unwrap();
    assert!(error.to_string().contains("latent_channels"), "{error}");
}

#[test]
fn text_encoder_computes_every_layer_as_python_does() {
    for name in ["sd1", "sd2"] {
        let folder = fixtures().join("pipelines").join(name);
        let recorded = Recorded::open(&folder.join("components.safetensors"));
        let encoder = CLIPTextModel::from_pretrained(folder.join("text_encoder").to_str().unwrap()).unwrap();
        let (ids, mask) = (recorded.integers("ids"), recorded.integers("mask"));

        let output = encoder.forward(&ids, None).unwrap();
        assert_close("last", output.last_hidden_state, recorded.floats("text.last_hidden_state"), TOLERANCE);
        assert_close("pooled", output.pooler_output, recorded.floats("text.pooler_output"), TOLERANCE);
        for (layer, state) in output.hidden_states.into_iter().enumerate() {
            let key = format!("text.hidden_states.{layer}");
            assert_close(&key, state, recorded.floats(&key), TOLERANCE);
        }
        let masked = encoder.forward(&ids, Some(&mask)).unwrap();
        assert_close("masked", masked.last_hidden_state, recorded.floats("text.masked"), TOLERANCE);

        assert!(encoder.forward(&[vec![1; 25]], None).unwrap_err().to_string().contains("25 tokens"));
        assert!(encoder.forward(&[vec![100_000]], None).unwrap_err().to_string().contains("token 100000"));
        assert!(encoder.forward(&ids, Some(&mask[1..])).is_err());
        assert!(encoder.forward(&[], None).is_err());
    }
}

#[test]
fn tokenizer_splits_as_python_does() {
    let long = "red apple of cat dog ".repeat(12);
    let prompts =
        ["a red apple", "Dog, 2 cats!  of   RED", "", &long, "<|endoftext|> cat's", "naïve café é ８ x²"];
    for name in ["sd1", "sd2"] {
        let folder = fixtures().join("pipelines").join(name);
        let recorded = Recorded::open(&folder.join("components.safetensors"));
        let tokenizer = CLIPTokenizer::from_pretrained(folder.join("tokenizer")).unwrap();
        let tokens = tokenizer.tokenize(&prompts, tokenizer.model_max_length().unwrap()).unwrap();
        assert_eq!(tokens.input_ids, recorded.integers("ids"), "{name}");
        assert_eq!(tokens.attention_mask, recorded.integers("mask"), "{name}");
        assert!(tokens.truncated[0].is_none());
        assert!(tokens.truncated[3].as_ref().unwrap().ends_with("cat dog"), "{:?}", tokens.truncated[3]);
    }
}

/// Two kinds of old keys: a `text_model.` prefix, and the former names of attention in autoencoders.
#[test]
fn old_key_styles_load_the_same_weights() {
    let folder = fixtures().join("pipelines/sd1");
    let recorded = Recorded::open(&folder.join("components.safetensors"));
    let old = tempfile::tempdir().unwrap();

    let rename = |from: &Path, to: &Path, file: &str, rename: &dyn Fn(&str) -> String| {
        std::fs::create_dir_all(to).unwrap();
        std::fs::copy(from.join("config.json"), to.join("config.json")).unwrap();
        let contents = std::fs::read(from.join(file)).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&contents).unwrap();
        let renamed = tensors.iter().map(|(key, view)| (rename(key), view));
        std::fs::write(to.join(file), safetensors::serialize(renamed, None).unwrap()).unwrap();
    };

    let text = old.path().join("text_encoder");
    rename(&folder.join("text_encoder"), &text, "model.safetensors", &|key| format!("text_model.{key}"));
    let encoder = CLIPTextModel::from_pretrained(text.to_str().unwrap()).unwrap();
    let output = encoder.forward(&recorded.integers("ids"), None).unwrap();
    assert_close("text", output.last_hidden_state, recorded.floats("text.last_hidden_state"), TOLERANCE);

    let vae = old.path().join("vae");
    rename(&folder.join("vae"), &vae, "diffusion_pytorch_model.safetensors", &|key| {
        let names =
            [("to_q.", "query."), ("to_k.", "key."), ("to_v.", "value."), ("to_out.0.", "proj_attn.")];
        names.iter().fold(key.to_owned(), |key, (new, old)| key.replace(new, old))
    });
    let vae = AutoencoderKL::from_pretrained(vae.to_str().unwrap()).unwrap();
    let decoded = vae.decode(recorded.floats("vae.mean")).unwrap();
    assert_close("vae", decoded, recorded.floats("vae.decoded"), TOLERANCE);
}
