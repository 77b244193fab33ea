//! Compares networks that enlarge pictures with their reference.

use std::path::PathBuf;

use oxidiff::image::{DynamicImage, GenericImageView, GrayAlphaImage, RgbaImage};
use oxidiff::{Device, ImageUpscaler, Tensor, UpscaleOptions};
use serde::Deserialize;

use crate::fixture::pictures::picture;
use crate::fixture::{Recorded, assert_close, fixtures, json, some_pixels};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    name: String,
    file: String,
    scale: usize,
    picture: [u32; 2],
    #[serde(default)]
    tile: usize,
    #[serde(default)]
    tile_pad: usize,
    #[serde(default)]
    pre_pad: usize,
}

fn recorded(name: &str) -> PathBuf {
    fixtures().join("esrgan").join(name)
}

fn values(image: &DynamicImage) -> Tensor<4> {
    let bytes: Vec<f32> =
        image.to_rgb8().into_raw().into_iter().map(|byte| f32::from(byte) / 255.0).collect();
    let shape = [1, image.height() as usize, image.width() as usize, 3];
    Tensor::<1>::from_floats(bytes.as_slice(), &Device::flex()).reshape(shape).permute([0, 3, 1, 2])
}

#[test]
fn every_layout_of_every_network_enlarges_as_the_reference() {
    let calls: Vec<Call> = json(&recorded("calls.json"));
    let expected = Recorded::open(&recorded("calls.safetensors"));
    assert!(calls.len() > 15, "{} calls", calls.len());
    for Call { name, file, scale, picture: size, tile, tile_pad, pre_pad } in calls {
        let upscaler = ImageUpscaler::from_file(recorded(&file)).unwrap();
        assert_eq!(upscaler.scale(), scale, "{name}");
        let options = UpscaleOptions { tile, tile_pad, pre_pad, progress_bar: false };
        let made = upscaler.upscale_values(values(&picture("RGB", size)), &options).unwrap();
        let [_, _, height, width] = made.dims();
        assert_eq!([height, width], [size[1], size[0]].map(|side| side as usize * scale), "{name}");
        let made = some_pixels(made.permute([0, 2, 3, 1]), 7).permute([0, 3, 1, 2]);
        assert_close(&name, made.squeeze_dim::<3>(0), expected.floats(&name), 1e-4);
    }
}

#[test]
fn pictures_keep_their_kind() {
    let upscaler = ImageUpscaler::from_file(recorded("x4.safetensors")).unwrap();
    let enlarge = |image: &DynamicImage| upscaler.upscale(image, &UpscaleOptions::default()).unwrap();
    let colour = picture("RGB", [12, 9]);
    let large = enlarge(&colour);
    assert_eq!(large.dimensions(), (48, 36));
    let whole = UpscaleOptions { tile: 0, ..Default::default() };
    let values = upscaler.upscale_to_array(&colour, &whole).unwrap();
    let first: Vec<f32> = values.narrow(1, 0, 1).narrow(2, 0, 1).into_data().iter().collect();
    let rounded: Vec<u8> = first.iter().map(|value| (value * 255.0).round() as u8).collect();
    assert_eq!(large.to_rgb8().get_pixel(0, 0).0.to_vec(), rounded);

    let grey = enlarge(&picture("L", [12, 9]));
    assert!(!grey.color().has_color() && !grey.color().has_alpha());
    // Transparency alone does not change the colours.
    let clear = |alpha: u8| {
        let mut image: RgbaImage = colour.to_rgba8();
        image.pixels_mut().for_each(|pixel| pixel.0[3] = alpha);
        enlarge(&image.into())
    };
    let [opaque, half] = [255, 128].map(clear);
    assert!(opaque.color().has_alpha());
    assert_eq!(opaque.to_rgb8(), large.to_rgb8());
    assert_eq!(half.to_rgb8(), large.to_rgb8());
    assert_ne!(half.to_rgba8(), opaque.to_rgba8());
    let grey_and_clear = enlarge(&GrayAlphaImage::from_pixel(5, 4, [80, 255].into()).into());
    assert_eq!((grey_and_clear.color().has_color(), grey_and_clear.color().has_alpha()), (false, true));
}

#[test]
fn small_tiles_are_rounded_up_for_networks_that_fold() {
    // It folds squares of four pixels.
    let upscaler = ImageUpscaler::from_file(recorded("x1.safetensors")).unwrap();
    let image = picture("RGB", [25, 19]);
    let options = |tile, tile_pad| UpscaleOptions { tile, tile_pad, ..Default::default() };
    let odd = upscaler.upscale(&image, &options(9, 3)).unwrap();
    assert_eq!(odd, upscaler.upscale(&image, &options(12, 4)).unwrap());
}

#[test]
fn what_is_no_such_network_is_an_error() {
    let error = |path: PathBuf| ImageUpscaler::from_file(path).unwrap_err().to_string();
    let unet = fixtures().join("pipelines/sd1/unet/diffusion_pytorch_model.safetensors");
    let message = error(unet.clone());
    assert!(message.contains(unet.to_str().unwrap()) && message.contains("RRDBNet"), "{message}");
    assert!(error(recorded("missing.pth")).contains("no such file"));
    let folder = tempfile::tempdir().unwrap();
    for file in ["x4.safetensors", "x2.pth", "first_x4.pth", "compact_x4.pth"] {
        let whole = std::fs::read(recorded(file)).unwrap();
        let cut = folder.path().join(file);
        std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
        let message = error(cut.clone());
        assert!(message.contains(cut.to_str().unwrap()), "{message}");
    }
    let upscaler = ImageUpscaler::from_file(recorded("x2.pth")).unwrap();
    let tiny = DynamicImage::new_rgb8(1, 1);
    let message = upscaler.upscale(&tiny, &UpscaleOptions::default()).unwrap_err().to_string();
    assert!(message.contains("too few"), "{message}");
    let grey = Tensor::<4>::zeros([1, 1, 8, 8], &Device::flex());
    assert!(upscaler.upscale_values(grey, &UpscaleOptions::default()).is_err());
}

#[test]
fn weights_that_are_not_finite_are_an_error() {
    let bytes = std::fs::read(recorded("x4.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut changed: Vec<(String, safetensors::Dtype, Vec<usize>, Vec<u8>)> = tensors
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        .collect();
    let bias = changed.iter_mut().find(|(name, ..)| name == "conv_last.bias").unwrap();
    // NaN in half precision.
    bias.3[..2].copy_from_slice(&[0x00, 0x7e]);
    let views = changed.iter().map(|(name, dtype, shape, data)| {
        (name.clone(), safetensors::tensor::TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.safetensors");
    std::fs::write(&file, safetensors::serialize(views, None).unwrap()).unwrap();
    let upscaler = ImageUpscaler::from_file(&file).unwrap();
    let message =
        upscaler.upscale(&picture("RGB", [9, 8]), &UpscaleOptions::default()).unwrap_err().to_string();
    assert!(message.contains("broken.safetensors") && message.contains("not finite"), "{message}");
}
