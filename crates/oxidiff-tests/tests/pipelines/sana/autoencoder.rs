//! The autoencoder alone.

use oxidiff::{AutoencoderDC, AutoencoderDCConfig, Config, DCTiles, Device, Model, PerBlock, Tensor};
use serde_json::{Value, json};

use super::{error, expect, model, recorded};
use crate::fixture::pictures::values;
use crate::fixture::{Recorded, assert_close, json};

const TOLERANCE: f32 = 1e-4;
const NAMES: [&str; 4] = ["vae.shuffle", "vae.convolution", "vae.skipped", "vae.skipped_convolution"];

/// One in two rows and one in three columns, as recorded.
fn thinned(image: Tensor<4>) -> Tensor<4> {
    let [_, _, _, width] = image.dims();
    let columns: Vec<Tensor<4>> =
        (0..width).step_by(3).map(|column| image.clone().narrow(3, column, 1)).collect();
    let image = Tensor::cat(columns, 3);
    let rows: Vec<Tensor<4>> =
        (0..image.dims()[2]).step_by(2).map(|row| image.clone().narrow(2, row, 1)).collect();
    Tensor::cat(rows, 2)
}

#[test]
fn images_are_encoded_and_decoded_as_in_python() {
    compare(|_| ());
}

#[cfg(feature = "cuda")]
#[test]
fn cards_encode_and_decode_images_as_python_does() {
    compare(crate::checkpoints::place_on_card);
}

/// Compares autoencoders that `prepare` has changed.
fn compare(prepare: impl Fn(&mut AutoencoderDC)) {
    let expected = Recorded::open(&recorded("models.safetensors"));
    for name in NAMES {
        let mut vae: AutoencoderDC = model(name);
        prepare(&mut vae);
        let (image, latents) = (values([2, 3, 24, 32], -1.0), values([2, 4, 5, 3], -1.5));
        let check = |what: &str, made: Tensor<4>| {
            let key = format!("{name}.{what}");
            let theirs: Tensor<4> = expected.floats(&key);
            let scale = 1f32.max(theirs.clone().abs().max().into_scalar());
            assert_close(&key, made / scale, theirs / scale, TOLERANCE);
        };
        check("encoded", vae.encode(image.clone()).unwrap());
        check("tiny", vae.encode(values([1, 3, 4, 8], -1.0)).unwrap());
        // Recorded as rows and columns.
        check("decoded", thinned(vae.decode(latents.clone()).unwrap()));
        vae.enable_slicing();
        let sliced = thinned(vae.decode(latents).unwrap());
        check("decoded", sliced);
        let tiles = DCTiles {
            tile_sample_min_height: 16,
            tile_sample_min_width: 12,
            tile_sample_stride_height: 12,
            tile_sample_stride_width: 8,
        };
        vae.enable_tiling_with(tiles).unwrap();
        let cut = image.narrow(2, 0, 23).narrow(3, 0, 31);
        check("tiled_encoded", vae.encode(cut).unwrap());
        check("tiled_decoded", thinned(vae.decode(values([1, 4, 6, 5], -1.5)).unwrap()));
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let mut vae: AutoencoderDC = model("vae.shuffle");
    expect(&error(vae.encode(values([1, 4, 8, 8], 0.0))), &["`image`", "4", "3"]);
    expect(&error(vae.encode(values([1, 3, 8, 10], 0.0))), &["`image`", "8x10", "multiples of 4"]);
    expect(&error(vae.decode(values([1, 3, 2, 2], 0.0))), &["`latents`", "3", "4"]);
    let tiles = DCTiles { tile_sample_stride_height: 600, ..Default::default() };
    expect(&error(vae.enable_tiling_with(tiles)), &["tile_sample_stride_height", "600", "512"]);
    let tiles = DCTiles { tile_sample_stride_width: 2, ..Default::default() };
    expect(&error(vae.enable_tiling_with(tiles)), &["tile_sample_stride_width", "2"]);
}

#[test]
fn configurations_that_contradict_themselves_are_refused() {
    for (field, value, words) in [
        ("latent_channels", json!(0), &["latent_channels", "0"][..]),
        ("latent_channels", json!(5), &["encoder_block_out_channels", "16", "5"]),
        ("encoder_block_out_channels", json!([8, 8]), &["decoder_block_out_channels", "3", "2"]),
        ("decoder_block_out_channels", json!([8, 8, 16, 16]), &["decoder_block_out_channels", "4", "3"]),
        ("encoder_block_out_channels", json!([8, 6, 16]), &["encoder_block_out_channels", "8", "6"]),
        ("encoder_block_types", json!(["ResBlock", "SwinBlock", "ResBlock"]), &["encoder_block_types"]),
        ("decoder_block_types", json!(["ResBlock"]), &["decoder_block_types", "3"]),
        ("decoder_norm_types", json!("layer_norm"), &["decoder_norm_types", "layer_norm", "rows of pixels"]),
        ("encoder_layers_per_block", json!([1, 0, 1]), &["encoder_layers_per_block", "stage 1"]),
        ("encoder_qkv_multiscales", json!([[], [], [4]]), &["encoder_qkv_multiscales", "4"]),
        ("attention_head_dim", json!(32), &["attention_head_dim", "32", "16"]),
        ("decoder_act_fns", json!("tanhshrink"), &["decoder_act_fns"]),
    ] {
        let all: Value = json(&recorded("models.json"));
        let mut config = all["vae.shuffle"]["config"].clone();
        config[field] = value;
        let made = Config::from_json(&config.to_string())
            .and_then(|config| AutoencoderDC::from_config(&config, &Device::flex()));
        expect(&error(made), words);
    }
}

#[test]
fn the_scale_is_that_of_the_published_model() {
    let config = AutoencoderDCConfig::default();
    assert!(matches!(config.decoder_norm_types, PerBlock::Same(_)));
    let vae = AutoencoderDC::init(&config, &Device::flex()).unwrap();
    assert_eq!(vae.scale_factor(), 32);
    // Two tensors of 128 channels at the size of the image.
    assert_eq!(vae.least_memory(1, 32, 32), 2 * 128 * 1024 * 1024 * 4);
}
