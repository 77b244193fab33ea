//! Compares depth estimation with transformers, layer by layer: at most 1e-4 apart; and image processors, bit for bit
//! except for the rounding of one division.

use oxidiff::{
    CLIPImageProcessor, Config, DPTConfig, DPTForDepthEstimation, DPTImageProcessor, Device, ImageProcessor,
    Model, Tensor,
    image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage},
};
use serde::Deserialize;
use serde_json::Value;

use crate::fixture::{Recorded, assert_close, fixtures, json, variants};

const TOLERANCE: f32 = 1e-4;

#[test]
fn depth_is_estimated_as_python_does_for_every_option() {
    let variants = variants("vision/depth");
    assert!(variants.len() >= 6, "{} variants", variants.len());
    for (folder, name, recorded) in variants {
        let model = DPTForDepthEstimation::from_pretrained(folder.to_str().unwrap()).unwrap();
        for call in (0..).take_while(|call| recorded.has(&format!("{call}.pixel_values"))) {
            let output = model
                .forward(recorded.floats(&format!("{call}.pixel_values")))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            for (stage, map) in output.backbone_feature_maps.into_iter().enumerate() {
                let key = format!("{call}.feature_maps.{stage}");
                assert_close(&format!("{name} {key}"), map, recorded.floats(&key), TOLERANCE);
            }
            for (layer, state) in output.hidden_states.into_iter().enumerate() {
                let key = format!("{call}.hidden_states.{layer}");
                if call == 0 {
                    assert_close(&format!("{name} {key}"), state, recorded.floats(&key), TOLERANCE);
                }
            }
            let key = format!("{call}.predicted_depth");
            assert_close(&format!("{name} {key}"), output.predicted_depth, recorded.floats(&key), TOLERANCE);
        }
    }
}

#[test]
fn a_saved_depth_estimator_loads_unchanged() {
    for name in ["add", "hybrid_preactivation"] {
        let folder = fixtures().join("vision/depth").join(name);
        let model = DPTForDepthEstimation::from_pretrained(folder.to_str().unwrap()).unwrap();
        let saved = tempfile::tempdir().unwrap();
        model.save_pretrained(saved.path()).unwrap();
        let again = DPTForDepthEstimation::from_pretrained(saved.path().to_str().unwrap()).unwrap();
        assert_eq!(again.config().backbone_config, model.config().backbone_config);
        let recorded = Recorded::open(&folder.join("call.safetensors"));
        let depth = again.forward(recorded.floats("0.pixel_values")).unwrap().predicted_depth;
        assert_close(name, depth, recorded.floats("0.predicted_depth"), TOLERANCE);
    }
}

#[test]
fn a_depth_estimator_refuses_invalid_inputs() {
    let device = Device::flex();
    let open = |name: &str| {
        let folder = fixtures().join("vision/depth").join(name);
        DPTForDepthEstimation::from_pretrained(folder.to_str().unwrap()).unwrap()
    };
    let (plain, hybrid) = (open("project"), open("hybrid"));
    let error = |model: &DPTForDepthEstimation, shape: [usize; 4]| {
        model.forward(Tensor::zeros(shape, &device)).unwrap_err().to_string()
    };
    assert!(error(&plain, [1, 1, 32, 32]).contains("1 channels"));
    assert!(error(&plain, [1, 3, 4, 32]).contains("smaller than one patch"));
    assert!(error(&plain, [1, 3, 16, 24]).contains("2x3 patches"));
    assert!(error(&hybrid, [1, 3, 32, 48]).contains("the model takes 32x32"));
}

#[test]
fn invalid_depth_configurations_are_refused_by_field() {
    let device = Device::flex();
    for (json, field) in [
        (r#"{"num_attention_heads": 7}"#, "num_attention_heads"),
        (r#"{"num_hidden_layers": null}"#, "num_hidden_layers"),
        (r#"{"readout_type": "sum"}"#, "readout_type"),
        (r#"{"readout_type": "add", "is_hybrid": true}"#, "readout_type"),
        (r#"{"reassemble_factors": [4, 2]}"#, "reassemble_factors"),
        (r#"{"reassemble_factors": [2.5, 2, 1, 0.5]}"#, "reassemble_factors"),
        (r#"{"reassemble_factors": [-1, 2, 1, 0.5]}"#, "reassemble_factors"),
        (r#"{"neck_hidden_sizes": [96, 192]}"#, "backbone_out_indices"),
        (r#"{"head_in_index": 4}"#, "head_in_index"),
        (r#"{"add_projection": true, "fusion_hidden_size": 128}"#, "add_projection"),
        (r#"{"image_size": [384, 192]}"#, "image_size"),
        (r#"{"patch_size": [16, 8]}"#, "patch_size"),
        (r#"{"hidden_act": "sine"}"#, "hidden_act"),
        (r#"{"is_hybrid": true, "neck_ignore_stages": [0]}"#, "neck_ignore_stages"),
        (r#"{"is_hybrid": true, "backbone_featmap_shape": [1, 512, 24, 24]}"#, "backbone_featmap_shape"),
        (r#"{"is_hybrid": true, "backbone_config": {}}"#, "backbone_config"),
        (r#"{"is_hybrid": true, "backbone_config": {"num_groups": 7}}"#, "backbone_config.num_groups"),
        (r#"{"is_hybrid": true, "backbone_config": {"layer_type": "flat"}}"#, "backbone_config.layer_type"),
        (
            r#"{"is_hybrid": true, "backbone_config": {"global_padding": "VALID"}}"#,
            "backbone_config.global_padding",
        ),
        (
            r#"{"is_hybrid": true, "backbone_config": {"out_features": ["stage9"]}}"#,
            "backbone_config.out_features",
        ),
    ] {
        let config = Config::from_json(json).unwrap();
        let error = DPTForDepthEstimation::from_config(&config, &device).unwrap_err().to_string();
        assert!(error.contains(&format!("`{field}`")), "{json}: {error}");
    }
    for json in [
        r#"{"backbone_config": {"model_type": "dinov2"}}"#,
        r#"{"is_hybrid": true, "backbone_config": {"model_type": "swin"}}"#,
    ] {
        let config = Config::from_json(json).unwrap();
        let error = DPTForDepthEstimation::from_config(&config, &device).unwrap_err().to_string();
        assert!(error.contains("not supported"), "{json}: {error}");
    }
    let hybrid = DPTConfig { is_hybrid: true, ..Default::default() };
    let error = DPTForDepthEstimation::init(&hybrid, &device).unwrap_err().to_string();
    assert!(error.contains("`neck_hidden_sizes`"), "{error}");
    let hybrid = DPTConfig { neck_hidden_sizes: vec![256, 512, 768, 768], ..hybrid };
    assert!(DPTForDepthEstimation::init(&hybrid, &device).is_ok());
}

#[derive(Deserialize)]
struct Case {
    class: String,
    config: Value,
    sizes: Vec<[usize; 3]>,
}

/// The same picture as in the script that makes the fixtures.
fn picture([height, width, channels]: [usize; 3], offset: usize) -> DynamicImage {
    let mut bytes = Vec::new();
    for y in 0..height {
        for x in 0..width {
            for c in 0..channels {
                let value = x * 7 + y * 13 + c * 29 + x * y / 3 + (x / 5) * (y / 7) * 31 + offset;
                bytes.push((value % 256) as u8);
            }
        }
    }
    let (width, height) = (width as u32, height as u32);
    match channels {
        1 => GrayImage::from_raw(width, height, bytes).unwrap().into(),
        2 => GrayAlphaImage::from_raw(width, height, bytes).unwrap().into(),
        3 => RgbImage::from_raw(width, height, bytes).unwrap().into(),
        _ => RgbaImage::from_raw(width, height, bytes).unwrap().into(),
    }
}

#[test]
fn image_processors_compute_what_python_does() {
    let folder = fixtures().join("vision/processors");
    let recorded = Recorded::open(&folder.join("pixel_values.safetensors"));
    let cases: Vec<Case> = json(&folder.join("cases.json"));
    assert!(cases.len() > 10);
    for (index, case) in cases.into_iter().enumerate() {
        let config = Config::from_json(&case.config.to_string()).unwrap();
        let pictures: Vec<_> =
            case.sizes.iter().enumerate().map(|(number, &size)| picture(size, number)).collect();
        let values = match case.class.as_str() {
            "DPTImageProcessor" => DPTImageProcessor::from_config(&config).unwrap().preprocess(&pictures),
            _ => CLIPImageProcessor::from_config(&config).unwrap().preprocess(&pictures),
        };
        let values = values.unwrap_or_else(|error| panic!("{}: {error}", case.config));
        // A byte that is off by one makes a difference of 4e-3.
        assert_close(
            &format!("{} {}", case.class, case.config),
            values,
            recorded.floats(&index.to_string()),
            2e-6,
        );
    }

    let config = Config::from_json(r#"{"size": {"height": 24, "width": 16}}"#).unwrap();
    let processor = DPTImageProcessor::from_config(&config).unwrap();
    let values = recorded.floats::<4>("values");
    let resized = processor.preprocess_tensor(values.clone()).unwrap();
    assert_close("values", resized, recorded.floats("values.resized"), 1e-5);
    let depth: Tensor<3> = values.narrow(1, 0, 1).squeeze_dim(1);
    for target in [[15, 21], [7, 9]] {
        let resized = processor.post_process_depth_estimation(depth.clone(), Some(&[target; 2])).unwrap();
        let key = format!("depth.{}", target[0]);
        assert_close(&key, Tensor::stack(resized, 0), recorded.floats::<3>(&key), 1e-5);
    }
    assert!(processor.post_process_depth_estimation(depth.clone(), Some(&[[1, 1]])).is_err());
    assert_eq!(processor.post_process_depth_estimation(depth, None).unwrap()[1].dims(), [11, 16]);
}

#[test]
fn image_processors_are_saved_as_python_saves_them() {
    let folder = fixtures().join("vision/processors");
    let saved = tempfile::tempdir().unwrap();
    let dpt = DPTImageProcessor::from_pretrained(folder.join("dpt").to_str().unwrap()).unwrap();
    assert_eq!(dpt.config().keep_aspect_ratio, Some(true));
    dpt.save_pretrained(saved.path().join("dpt")).unwrap();
    let clip = CLIPImageProcessor::from_pretrained(folder.join("clip").to_str().unwrap()).unwrap();
    clip.save_pretrained(saved.path().join("clip")).unwrap();
    for name in ["dpt", "clip"] {
        let read = |folder: &std::path::Path| {
            std::fs::read_to_string(folder.join(name).join("preprocessor_config.json")).unwrap()
        };
        assert_eq!(read(saved.path()).trim(), read(&folder).trim());
    }
}

#[test]
fn image_processors_refuse_invalid_configurations_and_images() {
    let dpt = |json: &str| match DPTImageProcessor::from_config(&Config::from_json(json).unwrap()) {
        Ok(_) => panic!("{json} was accepted"),
        Err(error) => error.to_string(),
    };
    assert!(dpt(r#"{"size": {"shortest_edge": 24}}"#).contains("`size`"));
    assert!(dpt(r#"{"ensure_multiple_of": 0}"#).contains("`ensure_multiple_of`"));
    assert!(dpt(r#"{"resample": 5}"#).contains("`resample`"));
    assert!(dpt(r#"{"image_std": [0.5, 0, 0.5]}"#).contains("`image_std`"));
    assert!(dpt(r#"{"do_pad": true}"#).contains("`size_divisor`"));
    assert!(dpt(r#"{"size": 100000000}"#).contains("`size`"));
    assert!(dpt(r#"{"size": "large"}"#).contains("`size`"));
    let clip = CLIPImageProcessor::from_config(&Config::from_json(r#"{"size": {}}"#).unwrap());
    assert!(clip.unwrap_err().to_string().contains("`size`"));

    let processor = DPTImageProcessor::new(DPTImageProcessor::default_config()).unwrap();
    let error = |images: &[DynamicImage]| processor.preprocess(images).unwrap_err().to_string();
    assert!(error(&[]).contains("at least one"));
    assert!(error(&[picture([5, 5, 1], 0)]).contains("1 channels"));
    assert!(error(&[DynamicImage::new_rgb8(0, 4)]).contains("no pixels"));
    let multiple = Config::from_json(r#"{"size": 10, "ensure_multiple_of": 32}"#).unwrap();
    let multiple = DPTImageProcessor::from_config(&multiple).unwrap();
    assert!(multiple.preprocess(&[picture([5, 5, 3], 0)]).unwrap_err().to_string().contains("[0, 0]"));
}
