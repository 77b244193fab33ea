//! Compares the image processor with Python's, bit for bit.

use oxidiff::image::{DynamicImage, GrayImage, ImageBuffer, RgbImage};
use oxidiff::{
    CropRegion, OutputType, PipelineImageInput, PreprocessOptions, Resample, ResizeMode, Tensor,
    VaeImageProcessor, load_image,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::fixture::pictures::{blob, picture, values};
use crate::fixture::{fixtures, json};

#[derive(Deserialize)]
struct Fixture {
    resizes: Vec<Resize>,
    resize_modes: Vec<Resize>,
    preprocessing: Vec<Preprocessing>,
    tensors: Vec<Tensors>,
    crop_regions: Vec<Region>,
    overlays: Vec<Overlay>,
}

#[derive(Debug, Deserialize)]
struct Resize {
    mode: String,
    size: [u32; 2],
    new_size: [usize; 2],
    #[serde(default)]
    resample: Resample,
    #[serde(default)]
    resize_mode: String,
    out: ImageHash,
}

#[derive(Debug, Deserialize)]
struct Preprocessing {
    mode: String,
    size: [u32; 2],
    images: usize,
    processor: Options,
    call: Call,
    out: TensorHash,
}

#[derive(Debug, Deserialize)]
struct Tensors {
    shape: [usize; 4],
    low: f32,
    processor: Options,
    call: Call,
    tensor: TensorHash,
    array: TensorHash,
}

#[derive(Debug, Deserialize)]
struct Region {
    blob: [u32; 6],
    width: usize,
    height: usize,
    pad: usize,
    out: [u32; 4],
}

#[derive(Debug, Deserialize)]
struct Overlay {
    mode: String,
    mask: String,
    region: Option<[u32; 4]>,
    out: ImageHash,
}

#[derive(Clone, Debug, Deserialize)]
struct Options {
    vae_scale_factor: Option<usize>,
    resample: Option<Resample>,
    do_resize: Option<bool>,
    do_normalize: Option<bool>,
    #[serde(default)]
    do_binarize: bool,
    #[serde(default)]
    do_convert_rgb: bool,
    #[serde(default)]
    do_convert_grayscale: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct Call {
    height: Option<usize>,
    width: Option<usize>,
    #[serde(default)]
    resize_mode: String,
    crops_coords: Option<[u32; 4]>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct ImageHash {
    mode: String,
    size: [u32; 2],
    sha256: String,
}

#[derive(Debug, Deserialize, PartialEq)]
struct TensorHash {
    shape: [usize; 4],
    sha256: String,
}

impl From<Options> for VaeImageProcessor {
    fn from(options: Options) -> Self {
        let default = Self::default();
        Self {
            vae_scale_factor: options.vae_scale_factor.unwrap_or(default.vae_scale_factor),
            resample: options.resample.unwrap_or(default.resample),
            do_resize: options.do_resize.unwrap_or(default.do_resize),
            do_normalize: options.do_normalize.unwrap_or(default.do_normalize),
            do_binarize: options.do_binarize,
            do_convert_rgb: options.do_convert_rgb,
            do_convert_grayscale: options.do_convert_grayscale,
            ..default
        }
    }
}

impl From<Call> for PreprocessOptions {
    fn from(call: Call) -> Self {
        Self {
            height: call.height,
            width: call.width,
            resize_mode: resize_mode(&call.resize_mode),
            crops_coords: call.crops_coords.map(region),
        }
    }
}

fn region([x1, y1, x2, y2]: [u32; 4]) -> CropRegion {
    CropRegion { x1, y1, x2, y2 }
}

fn resize_mode(name: &str) -> ResizeMode {
    match name {
        "fill" => ResizeMode::Fill,
        "crop" => ResizeMode::Crop,
        _ => ResizeMode::Default,
    }
}

fn recorded() -> Fixture {
    json(&fixtures().join("image_processor.json"))
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn hash_of_image(image: &DynamicImage) -> ImageHash {
    let mode = match image {
        DynamicImage::ImageLuma8(_) => "L",
        DynamicImage::ImageLumaA8(_) => "LA",
        DynamicImage::ImageRgb8(_) => "RGB",
        DynamicImage::ImageRgba8(_) => "RGBA",
        other => panic!("{:?}", other.color()),
    };
    ImageHash { mode: mode.into(), size: [image.width(), image.height()], sha256: hash(image.as_bytes()) }
}

fn hash_of_tensor(tensor: Tensor<4>) -> TensorHash {
    let shape = tensor.dims();
    let bytes: Vec<u8> = tensor.into_data().iter::<f32>().flat_map(f32::to_le_bytes).collect();
    TensorHash { shape, sha256: hash(&bytes) }
}

fn error<T>(result: oxidiff::Result<T>) -> String {
    match result {
        Ok(_) => panic!("should have failed"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn images_are_resized_as_in_pillow() {
    let cases = recorded().resizes;
    assert!(cases.len() > 200);
    for case in cases {
        let processor = VaeImageProcessor { resample: case.resample, ..Default::default() };
        let [width, height] = case.new_size;
        let image = picture(&case.mode, case.size);
        let resized = processor.resize(&image, height, width, ResizeMode::Default).unwrap();
        assert_eq!(hash_of_image(&resized), case.out, "{case:?}");
    }
}

#[test]
fn images_are_filled_and_cropped_to_an_aspect_ratio() {
    for case in recorded().resize_modes {
        let [width, height] = case.new_size;
        let image = picture(&case.mode, case.size);
        let mode = resize_mode(&case.resize_mode);
        let resized = VaeImageProcessor::default().resize(&image, height, width, mode).unwrap();
        assert_eq!(hash_of_image(&resized), case.out, "{case:?}");
    }
}

#[test]
fn images_become_the_same_values() {
    for case in recorded().preprocessing {
        let images = vec![picture(&case.mode, case.size); case.images];
        let processor = VaeImageProcessor::from(case.processor.clone());
        let values = processor.preprocess(&images.into(), case.call.clone().into()).unwrap();
        assert_eq!(hash_of_tensor(values), case.out, "{case:?}");
    }
}

#[test]
fn tensors_and_arrays_become_the_same_values() {
    for case in recorded().tensors {
        let processor = VaeImageProcessor::from(case.processor.clone());
        let tensor = values(case.shape, case.low);
        let array = PipelineImageInput::Array(tensor.clone().permute([0, 2, 3, 1]));
        let made = processor.preprocess(&tensor.into(), case.call.clone().into()).unwrap();
        assert_eq!(hash_of_tensor(made), case.tensor, "{case:?}");
        let made = processor.preprocess(&array, case.call.clone().into()).unwrap();
        assert_eq!(hash_of_tensor(made), case.array, "{case:?}");
    }
}

#[test]
fn crop_regions_are_those_of_python() {
    for case in recorded().crop_regions {
        let mask = blob(case.blob);
        let found = VaeImageProcessor::get_crop_region(&mask, case.width, case.height, case.pad).unwrap();
        assert_eq!(found, region(case.out), "{case:?}");
    }
}

#[test]
fn overlays_are_those_of_pillow() {
    let size = [60, 44];
    for case in recorded().overlays {
        let region = case.region.map(region);
        let mut image = picture("RGB", [48, 32]).rotate270();
        let processor = VaeImageProcessor::default();
        if region.is_none() {
            let bicubic = VaeImageProcessor { resample: Resample::Bicubic, ..processor };
            image = bicubic.resize(&image, 44, 60, ResizeMode::Default).unwrap();
        }
        let original = picture(&case.mode, size).fliph();
        let laid = processor.apply_overlay(&picture(&case.mask, size), &original, &image, region).unwrap();
        assert_eq!(hash_of_image(&laid), case.out, "{case:?}");
    }
}

/// As Pillow reads colour images of 16 bits.
#[test]
fn the_upper_8_of_16_bits_are_kept() {
    let deep: ImageBuffer<oxidiff::image::Rgb<u16>, _> =
        ImageBuffer::from_fn(8, 8, |x, y| [(x * 8191) as u16, (y * 9000) as u16, 65535].into());
    let shallow =
        RgbImage::from_fn(8, 8, |x, y| [((x * 8191) >> 8) as u8, ((y * 9000) >> 8) as u8, 255].into());
    let prepare = |image: DynamicImage| {
        VaeImageProcessor::default().preprocess(&image.into(), PreprocessOptions::default()).unwrap()
    };
    assert_eq!(hash_of_tensor(prepare(deep.into())), hash_of_tensor(prepare(shallow.into())));
}

#[test]
fn latents_are_left_unchanged() {
    let latents = values([1, 4, 5, 7], -3.0);
    let processor = VaeImageProcessor::default();
    let same = processor.preprocess(&latents.clone().into(), PreprocessOptions::default()).unwrap();
    assert_eq!(hash_of_tensor(same), hash_of_tensor(latents));
}

#[test]
fn values_become_images_again() {
    let processor = VaeImageProcessor::default();
    let image = picture("RGB", [40, 24]);
    let values = processor.preprocess(&image.clone().into(), PreprocessOptions::default()).unwrap();
    let images = processor.postprocess(values.clone(), OutputType::Image).unwrap().into_images();
    assert_eq!(images, [image]);

    let plain = VaeImageProcessor { do_normalize: false, ..processor };
    let array = plain.postprocess(values.clone(), OutputType::Array).unwrap().into_tensor().unwrap();
    assert_eq!(hash_of_tensor(array), hash_of_tensor(values.clone().permute([0, 2, 3, 1])));
    let latents = plain.postprocess(values.clone(), OutputType::Latent).unwrap().into_tensor().unwrap();
    assert_eq!(hash_of_tensor(latents), hash_of_tensor(values));
}

#[test]
fn the_default_size_is_rounded_down() {
    let processor = VaeImageProcessor::default();
    let tensor = PipelineImageInput::from(values([1, 3, 20, 33], 0.0));
    assert_eq!(processor.get_default_height_width(&tensor, None, None).unwrap(), [16, 32]);
    assert_eq!(processor.get_default_height_width(&tensor, Some(47), None).unwrap(), [40, 32]);
    let image = PipelineImageInput::from(picture("RGB", [50, 61]));
    assert_eq!(processor.get_default_height_width(&image, None, Some(8)).unwrap(), [56, 8]);
    let array = PipelineImageInput::Array(values([1, 20, 33, 3], 0.0));
    assert_eq!(processor.get_default_height_width(&array, None, None).unwrap(), [16, 32]);
}

#[test]
fn bad_images_are_refused() {
    let processor = VaeImageProcessor::default();
    let refuse = |image: PipelineImageInput, options| error(processor.preprocess(&image, options));
    let none = PreprocessOptions::default();

    assert!(refuse(Vec::new().into(), none).contains("`image`: there are no images"));
    assert!(refuse(picture("RGB", [7, 30]).into(), none).contains("smaller than 8x8"));
    let mixed = vec![picture("RGB", [16, 16]), picture("L", [16, 16])];
    assert!(refuse(mixed.into(), none).contains("[16, 16, 1]"));
    assert!(refuse(DynamicImage::new_rgb32f(8, 8).into(), none).contains("Rgb32F"));
    assert!(refuse(values([0, 3, 8, 8], 0.0).into(), none).contains("shape [0, 3, 8, 8]"));
    let fill = PreprocessOptions { resize_mode: ResizeMode::Fill, ..none };
    assert!(refuse(values([1, 3, 8, 8], 0.0).into(), fill).contains("resize_mode"));
    let crop = PreprocessOptions { crops_coords: Some(region([0, 0, 8, 8])), ..none };
    assert!(refuse(values([1, 3, 8, 8], 0.0).into(), crop).contains("crops_coords"));
    let empty = PreprocessOptions {
        crops_coords: Some(region([9, 0, 4, 8])),
        width: Some(8),
        height: Some(8),
        ..none
    };
    assert!(refuse(picture("RGB", [20, 20]).into(), empty).contains("a side would have no pixels"));

    let both = VaeImageProcessor { do_convert_rgb: true, do_convert_grayscale: true, ..processor };
    assert!(error(both.preprocess(&picture("L", [8, 8]).into(), none)).contains("do_convert_rgb"));
    assert!(error(processor.resize(&picture("L", [1, 90]), 8, 8, ResizeMode::Fill)).contains("no pixel"));

    let black = GrayImage::new(20, 10).into();
    assert!(error(VaeImageProcessor::get_crop_region(&black, 64, 64, 32)).contains("black everywhere"));
    let (small, large) = (picture("RGB", [8, 8]), picture("RGB", [16, 8]));
    assert!(error(processor.apply_overlay(&small, &large, &large, None)).contains("`mask_image`: is 8x8"));
    assert!(error(processor.apply_overlay(&large, &large, &small, None)).contains("`image`: is 8x8"));
}

#[test]
fn image_files_are_read_as_colour() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grey.png");
    let grey = picture("L", [9, 5]);
    grey.save(&path).unwrap();
    assert_eq!(load_image(&path).unwrap(), DynamicImage::from(grey.to_rgb8()));

    let broken = folder.path().join("broken.png");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    assert!(error(load_image(&broken)).contains("broken.png"));
    std::fs::write(&broken, "not an image").unwrap();
    assert!(error(load_image(&broken)).contains("broken.png"));
    assert!(error(load_image(folder.path().join("missing.png"))).contains("missing.png"));
}

#[test]
fn unfiltered_images_are_resized_without_mixing_pixels() {
    let picture = GrayImage::from_fn(20, 12, |x, y| image::Luma([u8::from((x + y) % 3 == 0) * 255]));
    let picture = DynamicImage::from(picture);
    let options = PreprocessOptions { height: Some(24), width: Some(32), ..Default::default() };
    let processor = VaeImageProcessor { do_normalize: false, ..Default::default() };
    let nearest = VaeImageProcessor { resample: Resample::Nearest, ..processor };

    let unfiltered = PipelineImageInput::Unfiltered(vec![picture.clone()]);
    let values = processor.preprocess(&unfiltered, options).unwrap().into_data();
    let expected = nearest.preprocess(&picture.clone().into(), options).unwrap().into_data();
    assert_eq!(values, expected);
    assert!(values.iter::<f32>().all(|value| value == 0.0 || value == 1.0));
    assert_ne!(values, processor.preprocess(&picture.into(), options).unwrap().into_data());
    let size = processor.get_default_height_width(&unfiltered, None, None).unwrap();
    assert_eq!(size, [8, 16]);
}
