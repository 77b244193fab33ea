//! Compares the tiny autoencoder with Python diffusers: at most 1e-4 apart.

use oxidiff::{AutoencoderTiny, AutoencoderTinyConfig, Config, Device, Model, Tensor};

use crate::fixture::{Recorded, assert_close, fixtures};

const TOLERANCE: f32 = 1e-4;

fn open(name: &str) -> (AutoencoderTiny, Recorded) {
    let folder = fixtures().join("vision/autoencoder_tiny").join(name);
    let vae = AutoencoderTiny::from_pretrained(folder.to_str().unwrap()).unwrap();
    (vae, Recorded::open(&folder.join("call.safetensors")))
}

#[test]
fn encodes_and_decodes_as_python_does_for_every_option() {
    for name in ["default", "odd", "bicubic", "nearest_exact"] {
        let (mut vae, recorded) = open(name);
        let check = |what: &str, ours: Tensor<4>, key: &str| {
            assert_close(&format!("{name} {what}"), ours, recorded.floats(key), TOLERANCE);
        };
        let (image, latents) = (recorded.floats::<4>("image"), recorded.floats::<4>("latents"));
        check("latents", vae.encode(image.clone()).unwrap(), "latents");
        check("decoded", vae.decode(latents.clone()).unwrap(), "decoded");
        check("far", vae.decode(latents.clone() * 9).unwrap(), "far");
        check("scaled", vae.scale_latents(latents.clone()), "scaled");
        check("unscaled", vae.unscale_latents(latents.clone()), "unscaled");
        vae.enable_slicing();
        check("sliced latents", vae.encode(image).unwrap(), "latents");
        check("sliced decoded", vae.decode(latents).unwrap(), "decoded");
    }
}

#[test]
fn tiles_fade_into_each_other_as_in_python() {
    let (mut vae, recorded) = open("default");
    let device = Device::flex();
    let (height, width) = (552, 1000);
    let mut values = Vec::new();
    for c in 1..4 {
        for y in 0..height {
            values.extend((0..width).map(|x| (x as f32 * 0.05 + y as f32 * 0.03 * c as f32).sin()));
        }
    }
    let image = Tensor::<1>::from_floats(values.as_slice(), &device).reshape([1, 3, height, width]);
    vae.enable_tiling();
    let latents = vae.encode(image).unwrap();
    assert_eq!(latents.dims(), [1, 4, 69, 125]);
    let decoded = vae.decode(latents.clone()).unwrap();
    assert_eq!(decoded.dims(), [1, 3, height, width]);
    for (what, ours, step) in [("tiled.latents", latents, 7), ("tiled.decoded", decoded, 211)] {
        let picked: Vec<f32> = ours.into_data().iter::<f32>().step_by(step).collect();
        let picked = Tensor::<1>::from_floats(picked.as_slice(), &device);
        assert_close(what, picked, recorded.floats::<1>(what), TOLERANCE);
    }

    // With a size that is not a multiple of 8, every pixel is still in a tile.
    let odd = Tensor::zeros([1, 3, 17, 517], &device);
    assert_eq!(vae.encode(odd).unwrap().dims(), [1, 4, 2, 64]);
}

#[test]
fn a_saved_model_loads_again() {
    let (vae, recorded) = open("odd");
    let folder = tempfile::tempdir().unwrap();
    vae.save_pretrained(folder.path()).unwrap();
    let again = AutoencoderTiny::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(again.config(), vae.config());
    let decoded = again.decode(recorded.floats("latents")).unwrap();
    assert_close("decoded", decoded, recorded.floats("decoded"), TOLERANCE);
}

#[test]
fn invalid_configurations_are_refused_by_field() {
    let device = Device::flex();
    for (json, field) in [
        (r#"{"encoder_block_out_channels": [4, 4]}"#, "encoder_block_out_channels"),
        (r#"{"decoder_block_out_channels": [4, 4, 4, 8]}"#, "decoder_block_out_channels"),
        (r#"{"decoder_block_out_channels": [], "num_decoder_blocks": []}"#, "decoder_block_out_channels"),
        (r#"{"num_encoder_blocks": [1, 3, 3, 100000]}"#, "num_encoder_blocks"),
        (r#"{"upsample_fn": "trilinear"}"#, "upsample_fn"),
        (r#"{"act_fn": "sine"}"#, "act_fn"),
        (r#"{"latent_magnitude": 0}"#, "latent_magnitude"),
        (r#"{"scaling_factor": 0}"#, "scaling_factor"),
        (r#"{"latent_channels": 0}"#, "latent_channels"),
    ] {
        let config = Config::from_json(json).unwrap();
        let error = AutoencoderTiny::from_config(&config, &device).unwrap_err().to_string();
        assert!(error.contains(&format!("`{field}`")), "{json}: {error}");
    }
    let mut vae = AutoencoderTiny::init(&AutoencoderTinyConfig::default(), &device).unwrap();
    let error = |result: oxidiff::Result<Tensor<4>>| result.unwrap_err().to_string();
    assert!(error(vae.encode(Tensor::zeros([1, 4, 8, 8], &device))).contains("4 channels"));
    assert!(error(vae.decode(Tensor::zeros([1, 3, 8, 8], &device))).contains("3 channels"));
    vae.enable_tiling();
    assert!(vae.encode(Tensor::zeros([1, 3, 8, 8], &device)).is_ok());
    let (mut vae, recorded) = open("nearest_exact");
    vae.enable_tiling();
    assert!(error(vae.decode(recorded.floats("latents"))).contains("not supported"));
}
