//! Compares IP-Adapters with Python diffusers: embeddings are at most 1e-4 apart, images 1e-3.

mod calls;
mod embeddings;
mod loading;
mod pipelines;
mod refusals;

use std::path::{Path, PathBuf};

use oxidiff::{
    ControlNetModel, DiffusionPipeline, IpAdapterLoader, IpAdapterOptions, Model, Pipeline,
    StableDiffusionComponents, StableDiffusionControlNetPipeline, StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline, StableDiffusionInstructPix2PixPipeline, StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline, StableDiffusionXLInpaintPipeline, StableDiffusionXLPipeline,
    UNet2DConditionModel,
};

use crate::fixture::fixtures;

/// A file or folder of the recorded ones.
fn recorded(name: &str) -> PathBuf {
    fixtures().join("ip_adapter").join(name)
}

fn load<M: Model>(folder: &Path) -> M {
    M::from_pretrained(folder.to_str().unwrap()).unwrap()
}

/// The file of an adapter: `ADAPTERS` in the script.
fn file_of(adapter: &str) -> PathBuf {
    recorded(match adapter {
        "plain" => "models/ip-adapter_sd15.safetensors",
        "light" => "models/ip-adapter_sd15_light.bin",
        "plus" => "models/ip-adapter-plus_sd15.safetensors",
        "full_face" => "models/ip-adapter-full-face_sd15.safetensors",
        "face_id" => "models/ip-adapter-faceid_sd15.safetensors",
        "face_id_plus" => "models/ip-adapter-faceid-plusv2_sd15.safetensors",
        "edit" => "models/ip-adapter_edit.safetensors",
        "xl_plain" => "sdxl_models/ip-adapter_sdxl_vit-h.safetensors",
        "xl_plus" => "sdxl_models/ip-adapter-plus_sdxl_vit-h.safetensors",
        other => panic!("{other}"),
    })
}

/// The checkpoint of an adapter.
fn checkpoint_of(adapter: &str) -> &'static str {
    match adapter {
        "plain" => "sd1",
        "light" | "plus" | "full_face" => "small",
        "edit" => "edit",
        "face_id" | "face_id_plus" => "narrow",
        _ => "xl",
    }
}

/// The parts of sd1, with another UNet for some checkpoints.
fn components(checkpoint: &str) -> StableDiffusionComponents {
    let sd1 = fixtures().join("pipelines/sd1");
    let sd1 = StableDiffusionPipeline::from_pretrained(sd1.to_str().unwrap()).unwrap();
    let mut components = (*sd1).clone();
    let unet = match checkpoint {
        "small" => "controlnet/unet",
        "edit" => "image_to_image/unet8",
        "narrow" => "pipelines/unets/linear_heads",
        _ => return components,
    };
    components.unet = load::<UNet2DConditionModel>(&fixtures().join(unet));
    components
}

/// A pipeline: `make_pipeline` in the script.
fn pipeline(kind: &str, checkpoint: &str) -> DiffusionPipeline {
    if kind.starts_with("xl") {
        let base = fixtures().join("stable_diffusion_xl/base");
        let base = StableDiffusionXLPipeline::from_pretrained(base.to_str().unwrap()).unwrap();
        let components = (*base).clone();
        return match kind {
            "xl_text2img" => base.into(),
            "xl_img2img" => StableDiffusionXLImg2ImgPipeline::new(components, false).unwrap().into(),
            "xl_inpaint" => StableDiffusionXLInpaintPipeline::new(components).unwrap().into(),
            other => panic!("{other}"),
        };
    }
    let components = components(checkpoint);
    match kind {
        "text2img" => StableDiffusionPipeline::new(components).unwrap().into(),
        "img2img" => StableDiffusionImg2ImgPipeline::new(components).unwrap().into(),
        "inpaint" => StableDiffusionInpaintPipeline::new(components).unwrap().into(),
        "instruct_pix2pix" => StableDiffusionInstructPix2PixPipeline::new(components).unwrap().into(),
        "controlnet" => {
            let net: ControlNetModel = load(&fixtures().join("controlnet/controlnet"));
            StableDiffusionControlNetPipeline::new(components, net).unwrap().into()
        }
        other => panic!("{other}"),
    }
}

/// Loads adapters by name, as the script does: from a folder, with the image encoder in another one.
fn load_adapters(loader: &mut dyn IpAdapterLoader, adapters: &[&str]) {
    let root = recorded("");
    let options = adapters.iter().map(|adapter| {
        let file = file_of(adapter);
        IpAdapterOptions {
            subfolder: Some(file.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned()),
            weight_name: Some(file.file_name().unwrap().to_str().unwrap().to_owned()),
            image_encoder_folder: Some("models/image_encoder".into()),
            ..Default::default()
        }
    });
    let adapters: Vec<_> = options.map(|options| (root.to_str().unwrap(), options)).collect();
    loader.load_ip_adapters(&adapters).unwrap();
}

fn error<T>(result: oxidiff::Result<T>) -> String {
    match result {
        Ok(_) => panic!("should have failed"),
        Err(error) => error.to_string(),
    }
}
