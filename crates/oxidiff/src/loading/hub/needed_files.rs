//! Which files of a repository a pipeline or a model needs.

use std::path::PathBuf;

use serde_json::Value;

use super::{GENERATION_CONFIG, MODEL_INDEX};
use crate::error::{Error, Result};
use crate::loading::variant::{VariantCoverage, check_model, choose_weights};
use crate::models::controlnets::{MultiControlNetModel, MultiControlNetUnionModel, suffix};
use crate::models::t2i_adapters::MultiAdapter;

/// Selects from the `files` of a repository those that the pipeline of `model_index` needs.
///
/// These are `model_index.json`, `generation_config.json` if there is one, and for each component with a class its
/// configuration and its weights: those of `variant` (such as `fp16`) if the component has them, else the plain ones;
/// safetensors, or else pickled weights (`.bin`). The components `replaced` have no weights here.
///
/// # Errors
/// When a component has no files, or only weights in unsupported formats, or no component has the `variant`.
pub(super) fn pipeline_files(
    files: &[String],
    model_index: &Value,
    variant: Option<&str>,
    replaced: &[&str],
) -> Result<Vec<String>> {
    let Some(index) = model_index.as_object() else {
        return Err(Error::config(MODEL_INDEX, ".", "not a JSON object"));
    };
    let ignored: Vec<&str> = index
        .get("_ignore_files")
        .and_then(Value::as_array)
        .map_or(Vec::new(), |names| names.iter().filter_map(Value::as_str).collect());
    let files: Vec<&str> = files.iter().map(String::as_str).filter(|file| !ignored.contains(file)).collect();
    if !files.contains(&MODEL_INDEX) {
        let message = "this is not a diffusers pipeline".to_owned();
        return Err(Error::MissingFile { path: PathBuf::from(MODEL_INDEX), message });
    }

    let mut needed = vec![MODEL_INDEX.to_owned()];
    needed.extend(files.contains(&GENERATION_CONFIG).then(|| GENERATION_CONFIG.to_owned()));
    let mut coverage = VariantCoverage::default();
    let components: Vec<String> =
        component_names(index).flat_map(|name| component_folders(name, index, &files)).collect();
    for component in &components {
        let mut folder = format!("{component}/");
        let mut names = names_in(&files, &folder);
        if names.is_empty()
            && files.iter().any(|file| ["config.json", "scheduler_config.json"].contains(file))
        {
            // The first pipelines have their model and scheduler next to the index.
            folder.clear();
            names = names_in(&files, "");
            names.retain(|name| *name != MODEL_INDEX);
        }
        if names.is_empty() {
            let message =
                format!("{MODEL_INDEX} lists this component, but the repository has no such folder");
            return Err(Error::MissingFile { path: PathBuf::from(component), message });
        }
        if replaced.contains(&component.as_str()) {
            names.retain(|name| is_configuration(name));
        }
        let chosen = coverage.add(component, &names, variant);
        if chosen.is_empty()
            && let Some(other) = names.iter().find(|name| is_other_weights(name))
        {
            return Err(Error::unsupported(
                format!("`{folder}{other}`"),
                "the component has no weights in a supported format: safetensors, or PyTorch's format (.bin)",
            ));
        }
        needed.extend(
            names
                .iter()
                .filter(|name| is_configuration(name) || chosen.contains(name))
                .map(|name| format!("{folder}{name}"))
                .filter(|file| !needed.contains(file))
                .collect::<Vec<_>>(),
        );
    }

    if let Some(variant) = variant {
        coverage.check(variant)?;
    }
    Ok(needed)
}

/// Selects from the `files` of a repository the weights `weights` in the folder `subfolder`, or at the root: those of
/// `variant` if there are any, else the plain ones; safetensors, or else pickled weights.
///
/// # Errors
/// When `variant` is given and there are no such weights.
pub(crate) fn model_files(
    files: &[String],
    subfolder: Option<&str>,
    weights: &str,
    variant: Option<&str>,
) -> Result<Vec<String>> {
    let folder = subfolder.map_or_else(String::new, |subfolder| format!("{subfolder}/"));
    let names: Vec<&str> = files.iter().filter_map(|file| file.strip_prefix(&folder)).collect();
    let names = model_weights(&names, weights);
    if let Some(variant) = variant {
        check_model(&names, weights, variant)?;
    }
    let (chosen, _) = choose_weights(&names, variant);
    Ok(chosen.into_iter().map(|name| format!("{folder}{name}")).collect())
}

/// Selects from the `names` of files in a folder those of the weights `weights`; transformers uses another name for pickled
/// weights.
pub(crate) fn model_weights<'a>(names: &[&'a str], weights: &str) -> Vec<&'a str> {
    let is_weights =
        |name: &str| name.starts_with(weights) || (weights == "model" && name.starts_with("pytorch_model"));
    names.iter().copied().filter(|name| !name.contains('/') && is_weights(name)).collect()
}

/// The folders of a component: one, unless it is a list of models, of which the others are in numbered folders.
fn component_folders(name: &str, index: &serde_json::Map<String, Value>, files: &[&str]) -> Vec<String> {
    let class = index[name].get(1).and_then(Value::as_str);
    const LISTS: [&str; 3] =
        [MultiControlNetModel::CLASS_NAME, MultiControlNetUnionModel::CLASS_NAME, MultiAdapter::CLASS_NAME];
    let is_list = LISTS.map(Some).contains(&class);
    let numbered = (1..).map(|number| format!("{name}{}", suffix(number)));
    let others = numbered.take_while(|name| is_list && !names_in(files, &format!("{name}/")).is_empty());
    [name.to_owned()].into_iter().chain(others).collect()
}

/// The names of the files directly in `folder`, which ends in `/` or is empty.
fn names_in<'a>(files: &[&'a str], folder: &str) -> Vec<&'a str> {
    files.iter().filter_map(|file| file.strip_prefix(folder)).filter(|name| !name.contains('/')).collect()
}

/// The names of a pipeline's components with a class: `"unet": ["diffusers", "UNet2DConditionModel"]`.
pub(crate) fn component_names(index: &serde_json::Map<String, Value>) -> impl Iterator<Item = &str> {
    index
        .iter()
        .filter(|(name, value)| {
            let class = value.as_array().filter(|value| value.len() >= 2).map(|value| &value[1]);
            !name.starts_with('_') && class.is_some_and(|class| !class.is_null())
        })
        .map(|(name, _)| name.as_str())
}

/// Whether a file is a configuration or part of a tokenizer.
pub(crate) fn is_configuration(name: &str) -> bool {
    let is_index = name.contains(".index.");
    (name.ends_with(".json") && !is_index)
        || [".txt", ".model", ".jinja"].iter().any(|end| name.ends_with(end))
}

fn is_other_weights(name: &str) -> bool {
    ["ckpt", "pt", "pth", "msgpack", "h5", "onnx", "pb"]
        .into_iter()
        .any(|extension| name.rsplit_once('.').is_some_and(|(_, actual)| actual == extension))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const STABLE_DIFFUSION: &[&str] = &[
        ".gitattributes",
        "README.md",
        "feature_extractor/preprocessor_config.json",
        "generation_config.json",
        "model_index.json",
        "safety_checker/config.json",
        "safety_checker/model.fp16.safetensors",
        "safety_checker/model.safetensors",
        "safety_checker/pytorch_model.bin",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/flax_model.msgpack",
        "text_encoder/model.fp16.safetensors",
        "text_encoder/model.safetensors",
        "text_encoder/openvino_model.bin",
        "text_encoder/openvino_model.xml",
        "text_encoder/pytorch_model.bin",
        "tokenizer/merges.txt",
        "tokenizer/special_tokens_map.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/onnx/model.onnx",
        "v1-5-pruned-emaonly.ckpt",
        "v1-5-pruned-emaonly.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ];

    fn index() -> Value {
        serde_json::json!({
            "_class_name": "StableDiffusionPipeline",
            "_diffusers_version": "0.6.0",
            "feature_extractor": ["transformers", "CLIPImageProcessor"],
            "requires_safety_checker": true,
            "safety_checker": [null, null],
            "scheduler": ["diffusers", "PNDMScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        })
    }

    fn select(files: &[&str], index: &Value, variant: Option<&str>) -> Result<Vec<String>> {
        let files: Vec<String> = files.iter().map(|&file| file.to_owned()).collect();
        pipeline_files(&files, index, variant, &[]).map(|mut files| {
            files.sort();
            files
        })
    }

    fn unet_only(files: &[&str], variant: Option<&str>) -> Result<Vec<String>> {
        let index = serde_json::json!({"unet": ["diffusers", "UNet2DConditionModel"]});
        select(&[&["model_index.json", "unet/config.json"], files].concat(), &index, variant)
    }

    #[test]
    fn a_pipeline_needs_configurations_and_plain_safetensors() {
        let expected = [
            "feature_extractor/preprocessor_config.json",
            "generation_config.json",
            "model_index.json",
            "scheduler/scheduler_config.json",
            "text_encoder/config.json",
            "text_encoder/model.safetensors",
            "tokenizer/merges.txt",
            "tokenizer/special_tokens_map.json",
            "tokenizer/tokenizer_config.json",
            "tokenizer/vocab.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors",
            "vae/config.json",
            "vae/diffusion_pytorch_model.safetensors",
        ];
        assert_eq!(select(STABLE_DIFFUSION, &index(), None).unwrap(), expected);
    }

    #[test]
    fn weights_that_are_replaced_are_not_needed() {
        let files: Vec<String> = STABLE_DIFFUSION.iter().map(|&file| file.to_owned()).collect();
        let all = pipeline_files(&files, &index(), None, &[]).unwrap();
        let some = pipeline_files(&files, &index(), None, &["unet"]).unwrap();
        let missing: Vec<&String> = all.iter().filter(|file| !some.contains(file)).collect();
        assert_eq!(missing, ["unet/diffusion_pytorch_model.safetensors"]);
    }

    #[test]
    fn a_component_without_the_variant_keeps_its_plain_weights() {
        let files = select(STABLE_DIFFUSION, &index(), Some("fp16")).unwrap();
        let weights: Vec<_> = files.iter().filter(|file| file.ends_with(".safetensors")).collect();
        let expected = [
            "text_encoder/model.fp16.safetensors",
            "unet/diffusion_pytorch_model.fp16.safetensors",
            "vae/diffusion_pytorch_model.safetensors",
        ];
        assert_eq!(weights, expected);
    }

    #[test]
    fn a_variant_that_no_component_has_is_an_error() {
        let error = select(STABLE_DIFFUSION, &index(), Some("bf16")).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { argument: "variant", .. }));
        let message = error.to_string();
        assert!(message.contains("`bf16`") && message.contains("`fp16`, `non_ema`"), "{message}");
    }

    #[test]
    fn shards_come_with_their_index() {
        let files = [
            "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
            "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
            "unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
            "unet/diffusion_pytorch_model.fp16-00002-of-00002.safetensors",
            "unet/diffusion_pytorch_model.safetensors.index.fp16.json",
            "unet/diffusion_pytorch_model.safetensors.index.json",
            "unet/diffusion_pytorch_model.bin.index.json",
        ];
        let head = ["model_index.json", "unet/config.json"];
        let plain = [&head[..], &[files[0], files[1], files[5]]].concat();
        assert_eq!(unet_only(&files, None).unwrap(), plain);
        let variant = [&head[..], &files[2..5]].concat();
        assert_eq!(unet_only(&files, Some("fp16")).unwrap(), variant);
    }

    #[test]
    fn shards_may_have_the_old_variant_names() {
        let files = [
            "unet/diffusion_pytorch_model-00001-of-00002.fp16.safetensors",
            "unet/diffusion_pytorch_model-00002-of-00002.fp16.safetensors",
            "unet/diffusion_pytorch_model.safetensors.fp16.index.json",
        ];
        let expected = [&["model_index.json", "unet/config.json"], &files[..]].concat();
        assert_eq!(unet_only(&files, Some("fp16")).unwrap(), expected);
    }

    #[test]
    fn the_first_pipelines_have_their_parts_next_to_the_index() {
        let index = serde_json::json!({
            "_class_name": "DDPMPipeline",
            "scheduler": ["diffusers", "DDPMScheduler"],
            "unet": ["diffusers", "UNet2DModel"],
        });
        let files = [
            "README.md",
            "config.json",
            "diffusion_pytorch_model.bin",
            "diffusion_pytorch_model.safetensors",
            "images/0.png",
            "model_index.json",
            "scheduler_config.json",
        ];
        let expected = [files[1], files[3], files[5], files[6]];
        assert_eq!(select(&files, &index, None).unwrap(), expected);
        let pickled = [files[1], files[2], files[5], files[6]];
        assert_eq!(select(&pickled, &index, None).unwrap(), pickled);
        let error = select(&[files[1], "diffusion_flax_model.msgpack", files[5]], &index, None).unwrap_err();
        assert!(error.to_string().contains("`diffusion_flax_model.msgpack`"), "{error}");
    }

    #[test]
    fn several_models_are_in_numbered_folders() {
        let index = |class: &str| serde_json::json!({"controlnet": ["diffusers", class]});
        let files = [
            "controlnet/config.json",
            "controlnet/diffusion_pytorch_model.safetensors",
            "controlnet_1/config.json",
            "controlnet_1/diffusion_pytorch_model.safetensors",
            "model_index.json",
        ];
        for list in ["MultiControlNetModel", "MultiControlNetUnionModel", "MultiAdapter"] {
            assert_eq!(select(&files, &index(list), None).unwrap(), files);
        }
        let one = [files[0], files[1], files[4]];
        assert_eq!(select(&files, &index("ControlNetModel"), None).unwrap(), one);
    }

    #[test]
    fn pickled_weights_are_used_if_there_are_no_others() {
        let head = ["model_index.json", "unet/config.json"];
        let single = ["unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.fp16.bin"];
        assert_eq!(unet_only(&single, None).unwrap(), [&head[..], &single[..1]].concat());
        assert_eq!(unet_only(&single, Some("fp16")).unwrap(), [&head[..], &single[1..]].concat());
        let shards = [
            "unet/diffusion_pytorch_model-00001-of-00002.bin",
            "unet/diffusion_pytorch_model-00002-of-00002.bin",
            "unet/diffusion_pytorch_model.bin.index.json",
        ];
        assert_eq!(unet_only(&shards, None).unwrap(), [&head[..], &shards[..]].concat());
    }

    #[test]
    fn weights_of_other_libraries_alone_are_an_error() {
        let error = unet_only(&["unet/diffusion_flax_model.msgpack"], None).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }));
        assert!(error.to_string().contains("unet/diffusion_flax_model.msgpack"), "{error}");
    }

    #[test]
    fn a_listed_component_must_have_a_folder() {
        let index = serde_json::json!({"vae": ["diffusers", "AutoencoderKL"]});
        let error = select(&["model_index.json"], &index, None).unwrap_err();
        assert!(matches!(error, Error::MissingFile { ref path, .. } if path == Path::new("vae")));
        let error = select(&["vae/config.json"], &index, None).unwrap_err();
        assert!(
            matches!(error, Error::MissingFile { ref path, .. } if path == Path::new("model_index.json"))
        );
    }
}
