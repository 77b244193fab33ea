//! Small models in the places of published ones.

use std::path::Path;

use oxidiff::{
    AuraFlowTransformer2DModel, AutoencoderDC, AutoencoderKL, AutoencoderKLFlux2, AutoencoderKLQwenImage,
    BertModel, CLIPTextModel, CLIPTextModelWithProjection, ChromaTransformer2DModel, Config, Device,
    Flux2Transformer2DModel, FluxTransformer2DModel, Gemma2Model, HunyuanDiT2DModel,
    Lumina2Transformer2DModel, Mistral3ForConditionalGeneration, Model, PixArtTransformer2DModel,
    Qwen2_5_VLForConditionalGeneration, Qwen3Model, QwenImageTransformer2DModel, ReduxImageEncoder,
    SD3Transformer2DModel, SanaControlNetModel, SanaTransformer2DModel, Siglip2VisionModel,
    SiglipVisionModel, T5EncoderModel, UMT5EncoderModel, ZImageTransformer2DModel,
};
use serde_json::Value;

use crate::drawn_weights::draw_weights;
use crate::sandbox::{ROOT, Sandbox, copy_folder};

/// A small Z-Image with initial weights.
pub fn write_z_image(folder: &Path) {
    copy_folder(&Path::new(ROOT).join("tests/fixtures/z_image/checkpoint"), folder);
    write_initial::<ZImageTransformer2DModel>(&folder.join("transformer"));
    write_initial::<Qwen3Model>(&folder.join("text_encoder"));
    write_initial::<AutoencoderKL>(&folder.join("vae"));
}

/// A small Z-Image-Omni with initial weights.
pub fn write_z_image_omni(folder: &Path) {
    copy_folder(&Path::new(ROOT).join("tests/fixtures/z_image_omni/checkpoint"), folder);
    write_initial::<ZImageTransformer2DModel>(&folder.join("transformer"));
    write_initial::<Qwen3Model>(&folder.join("text_encoder"));
    write_initial::<AutoencoderKL>(&folder.join("vae"));
    write_initial::<Siglip2VisionModel>(&folder.join("siglip"));
}

/// A small FLUX.1 with initial weights, and with a recorded transformer's configuration.
pub fn write_flux1(folder: &Path, transformer: &str) {
    let fixtures = Path::new(ROOT).join("tests/fixtures");
    copy_folder(&fixtures.join("flux/checkpoint"), folder);
    copy_folder(&fixtures.join("stable_diffusion_xl/base/tokenizer"), &folder.join("tokenizer"));
    copy_folder(&fixtures.join("t5/tokenizer"), &folder.join("tokenizer_2"));
    let config = flux1_config(&format!("transformer.{transformer}")).to_string();
    std::fs::write(folder.join("transformer/config.json"), config).unwrap();
    write_initial::<FluxTransformer2DModel>(&folder.join("transformer"));
    write_initial::<CLIPTextModel>(&folder.join("text_encoder"));
    write_initial::<T5EncoderModel>(&folder.join("text_encoder_2"));
    write_initial::<AutoencoderKL>(&folder.join("vae"));
}

/// A small FLUX.1 Redux with initial weights.
pub fn write_redux(folder: &Path) {
    copy_folder(&Path::new(ROOT).join("tests/fixtures/flux_redux/checkpoint"), folder);
    write_initial::<SiglipVisionModel>(&folder.join("image_encoder"));
    write_initial::<ReduxImageEncoder>(&folder.join("image_embedder"));
}

/// The configuration of a recorded model.
pub fn flux1_config(name: &str) -> Value {
    let models = Path::new(ROOT).join("tests/fixtures/flux/models.json");
    let models: Value = serde_json::from_slice(&std::fs::read(models).unwrap()).unwrap();
    models[name]["config"].clone()
}

/// A small AuraFlow with initial weights.
pub fn write_aura_flow(folder: &Path) {
    copy_folder(&Path::new(ROOT).join("tests/fixtures/aura_flow/checkpoint"), folder);
    write_initial::<AuraFlowTransformer2DModel>(&folder.join("transformer"));
    write_initial::<UMT5EncoderModel>(&folder.join("text_encoder"));
    write_initial::<AutoencoderKL>(&folder.join("vae"));
}

/// A small Sana with initial weights, or a SANA-Sprint.
pub fn write_sana(folder: &Path, is_sprint: bool) {
    let fixtures = Path::new(ROOT).join("tests/fixtures");
    copy_folder(&fixtures.join("sana/checkpoint"), folder);
    copy_folder(&fixtures.join("gemma2/tokenizer"), &folder.join("tokenizer"));
    if is_sprint {
        let models: Value =
            serde_json::from_slice(&std::fs::read(fixtures.join("sana/models.json")).unwrap()).unwrap();
        let config = &models["transformer.sprint"]["config"];
        std::fs::write(folder.join("transformer/config.json"), config.to_string()).unwrap();
        std::fs::write(folder.join("scheduler/scheduler_config.json"), r#"{"_class_name": "SCMScheduler"}"#)
            .unwrap();
        let index = folder.join("model_index.json");
        let text = std::fs::read_to_string(&index).unwrap();
        let text = text.replace("SanaPipeline", "SanaSprintPipeline");
        std::fs::write(&index, text.replace("DPMSolverMultistepScheduler", "SCMScheduler")).unwrap();
    }
    write_initial::<SanaTransformer2DModel>(&folder.join("transformer"));
    write_initial::<Gemma2Model>(&folder.join("text_encoder"));
    write_initial::<AutoencoderDC>(&folder.join("vae"));
}

/// A small ControlNet of Sana with initial weights.
pub fn write_sana_controlnet(folder: &Path) {
    copy_folder(&Path::new(ROOT).join("tests/fixtures/sana/controlnet"), folder);
    write_initial::<SanaControlNetModel>(folder);
}

/// A small PixArt with initial weights, for images of 256 pixels.
pub fn write_pixart(folder: &Path, class_name: &str) {
    let fixtures = Path::new(ROOT).join("tests/fixtures");
    copy_folder(&fixtures.join("pixart/checkpoint"), folder);
    copy_folder(&fixtures.join("t5/tokenizer"), &folder.join("tokenizer"));
    for (file, from, to) in [
        ("model_index.json", "PixArtAlphaPipeline", class_name),
        ("transformer/config.json", "\"sample_size\": 128", "\"sample_size\": 32"),
    ] {
        let file = folder.join(file);
        let text = std::fs::read_to_string(&file).unwrap().replace(from, to);
        std::fs::write(&file, text).unwrap();
    }
    write_initial::<PixArtTransformer2DModel>(&folder.join("transformer"));
    write_initial::<T5EncoderModel>(&folder.join("text_encoder"));
    write_initial::<AutoencoderKL>(&folder.join("vae"));
}

/// A small Chroma with initial weights.
pub fn write_chroma(folder: &Path) {
    let fixtures = Path::new(ROOT).join("tests/fixtures");
    copy_folder(&fixtures.join("chroma/checkpoint"), folder);
    copy_folder(&fixtures.join("t5/tokenizer"), &folder.join("tokenizer"));
    write_initial::<ChromaTransformer2DModel>(&folder.join("transformer"));
    write_initial::<T5EncoderModel>(&folder.join("text_encoder"));
    write_initial::<AutoencoderKL>(&folder.join("vae"));
}

/// A small Lumina 2 with initial weights.
pub fn write_lumina2(folder: &Path) {
    let fixtures = Path::new(ROOT).join("tests/fixtures");
    copy_folder(&fixtures.join("lumina2/checkpoint"), folder);
    copy_folder(&fixtures.join("gemma2/tokenizer"), &folder.join("tokenizer"));
    // So that rows have whole blocks of quantised weights.
    for (part, field) in [("text_encoder", "hidden_size"), ("transformer", "cap_feat_dim")] {
        let file = folder.join(part).join("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        config[field] = 32.into();
        std::fs::write(file, config.to_string()).unwrap();
    }
    write_initial::<Lumina2Transformer2DModel>(&folder.join("transformer"));
    write_initial::<Gemma2Model>(&folder.join("text_encoder"));
    write_initial::<AutoencoderKL>(&folder.join("vae"));
}

/// A small HunyuanDiT with initial weights, and with a recorded transformer's configuration.
pub fn write_hunyuan_dit(folder: &Path, transformer: &str) {
    let fixtures = Path::new(ROOT).join("tests/fixtures");
    copy_folder(&fixtures.join("hunyuan_dit/checkpoint"), folder);
    let pieces = folder.join("tokenizer_2/spiece.model");
    std::fs::copy(fixtures.join("t5/tokenizer/spiece.model"), pieces).unwrap();
    let config = hunyuan_dit_config(&format!("transformer.{transformer}")).to_string();
    std::fs::write(folder.join("transformer/config.json"), config).unwrap();
    write_initial::<HunyuanDiT2DModel>(&folder.join("transformer"));
    write_initial::<BertModel>(&folder.join("text_encoder"));
    write_initial::<T5EncoderModel>(&folder.join("text_encoder_2"));
    write_initial::<AutoencoderKL>(&folder.join("vae"));
}

/// The configuration of a recorded model.
pub fn hunyuan_dit_config(name: &str) -> Value {
    let models = Path::new(ROOT).join("tests/fixtures/hunyuan_dit/models.json");
    let models: Value = serde_json::from_slice(&std::fs::read(models).unwrap()).unwrap();
    models[name]["config"].clone()
}

/// A small FLUX.2 klein with initial weights.
pub fn write_flux2(folder: &Path) {
    let fixtures = Path::new(ROOT).join("tests/fixtures");
    copy_folder(&fixtures.join("flux2/checkpoint"), folder);
    copy_folder(&fixtures.join("z_image/checkpoint/tokenizer"), &folder.join("tokenizer"));
    write_initial::<Flux2Transformer2DModel>(&folder.join("transformer"));
    write_initial::<Qwen3Model>(&folder.join("text_encoder"));
    write_initial::<AutoencoderKLFlux2>(&folder.join("vae"));
}

/// A small FLUX.2-dev with initial weights.
pub fn write_flux2_dev(folder: &Path) {
    copy_folder(&Path::new(ROOT).join("tests/fixtures/flux2_dev/checkpoint"), folder);
    write_initial::<Flux2Transformer2DModel>(&folder.join("transformer"));
    write_initial::<Mistral3ForConditionalGeneration>(&folder.join("text_encoder"));
    write_initial::<AutoencoderKLFlux2>(&folder.join("vae"));
}

/// A small Qwen-Image with initial weights, or one of its relatives that edit.
pub fn write_qwen_image(folder: &Path, class_name: &str) {
    let fixtures = Path::new(ROOT).join("tests/fixtures/qwen_image");
    copy_folder(&fixtures.join("checkpoint"), folder);
    if class_name != "QwenImagePipeline" {
        copy_folder(&fixtures.join("editing"), folder);
        copy_folder(&folder.join("tokenizer"), &folder.join("processor"));
        let index = folder.join("model_index.json");
        let text = std::fs::read_to_string(&index).unwrap().replace("QwenImageEditPipeline", class_name);
        std::fs::write(&index, text).unwrap();
    }
    write_initial::<QwenImageTransformer2DModel>(&folder.join("transformer"));
    write_initial::<Qwen2_5_VLForConditionalGeneration>(&folder.join("text_encoder"));
    write_initial::<AutoencoderKLQwenImage>(&folder.join("vae"));
}

/// A small Qwen-Image-Layered with initial weights, whose text encoder can write: always the same, as its weights are drawn from a seed.
pub fn write_qwen_image_layered(folder: &Path) {
    write_qwen_image(folder, "QwenImageLayeredPipeline");
    copy_folder(&Path::new(ROOT).join("tests/fixtures/qwen_image_layered/checkpoint"), folder);
    let config = folder.join("text_encoder/config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    let tied = text.replace("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true");
    assert_ne!(tied, text);
    std::fs::write(&config, tied).unwrap();
    let tied = Config::from_file(&config).unwrap();
    draw_weights::<Qwen2_5_VLForConditionalGeneration>(&tied, 1, &folder.join("text_encoder"));
    write_initial::<QwenImageTransformer2DModel>(&folder.join("transformer"));
    write_initial::<AutoencoderKLQwenImage>(&folder.join("vae"));
}

/// A small Stable Diffusion 3 with initial weights.
pub fn write_sd3(folder: &Path) {
    let fixtures = Path::new(ROOT).join("tests/fixtures");
    copy_folder(&fixtures.join("stable_diffusion_3/checkpoint"), folder);
    for tokenizer in ["tokenizer", "tokenizer_2"] {
        copy_folder(&fixtures.join("stable_diffusion_xl/base").join(tokenizer), &folder.join(tokenizer));
    }
    copy_folder(&fixtures.join("t5/tokenizer"), &folder.join("tokenizer_3"));
    write_initial::<SD3Transformer2DModel>(&folder.join("transformer"));
    write_initial::<CLIPTextModelWithProjection>(&folder.join("text_encoder"));
    write_initial::<CLIPTextModelWithProjection>(&folder.join("text_encoder_2"));
    write_initial::<T5EncoderModel>(&folder.join("text_encoder_3"));
    write_initial::<AutoencoderKL>(&folder.join("vae"));
}

/// Writes initial weights beside a configuration.
pub fn write_initial<M: Model>(folder: &Path) {
    let config = Config::from_file(folder.join("config.json")).unwrap();
    M::from_config(&config, &Device::flex()).unwrap().save_pretrained(folder).unwrap();
}

/// The IP-Adapters of transformers, with image encoders of their own.
pub fn write_ip_adapters(sandbox: &Sandbox) {
    let fixtures = Path::new(ROOT).join("tests/fixtures");
    for (from, to) in [
        ("flux_ip_adapter/xlabs.safetensors", "XLabs-AI/flux-ip-adapter/ip_adapter.safetensors"),
        ("stable_diffusion_3_ip_adapter/ip-adapter.bin", "InstantX/SD3.5-Large-IP-Adapter/ip-adapter.bin"),
    ] {
        let to = sandbox.path(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(fixtures.join(from), to).unwrap();
    }
    let clip = fixtures.join("ip_adapter/models/image_encoder");
    copy_folder(&clip, &sandbox.path("openai/clip-vit-large-patch14"));
    let siglip = sandbox.path("google/siglip-so400m-patch14-384");
    copy_folder(&fixtures.join("stable_diffusion_3_ip_adapter/image_encoder"), &siglip);
    write_initial::<SiglipVisionModel>(&siglip);
}
