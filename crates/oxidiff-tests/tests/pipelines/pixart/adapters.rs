//! Low-rank adapters. Python has no loader for them in these pipelines: there they are loaded with PEFT, whose layout this is.

use std::path::Path;

use oxidiff::{LoraLoader, LoraOptions};
use safetensors::tensor::{Dtype, TensorView};

use super::{error, expect, latents, text_to_image};
use crate::fixture::{assert_close, difference};

const RANK: usize = 2;

/// Writes layers of a rank for modules of these sizes, under the names that PEFT gives them.
fn write(file: &Path, prefix: &str, modules: &[(&str, [usize; 2])]) {
    let mut data = Vec::new();
    for (module, [rows, columns]) in modules {
        for (name, shape) in [("lora_A", [RANK, *columns]), ("lora_B", [*rows, RANK])] {
            let values = (0..shape[0] * shape[1]).map(|index| ((index * 37 % 19) as f32 - 9.0) / 20.0);
            let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
            data.push((format!("{prefix}{module}.{name}.weight"), shape.to_vec(), bytes));
        }
    }
    let views = data
        .iter()
        .map(|(key, shape, bytes)| (key.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    std::fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

const MODULES: [(&str, [usize; 2]); 5] = [
    ("transformer_blocks.0.attn1.to_q", [24, 24]),
    ("transformer_blocks.1.attn2.to_out.0", [24, 24]),
    ("transformer_blocks.1.ff.net.0.proj", [96, 24]),
    ("adaln_single.linear", [144, 24]),
    ("caption_projection.linear_1", [24, 24]),
];

#[test]
fn adapters_of_peft_change_the_transformer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("adapter_model.safetensors");
    let plain = latents(&mut text_to_image());
    let mut made = Vec::new();
    for prefix in ["base_model.model.", "transformer."] {
        write(&file, prefix, &MODULES);
        let mut pipeline = text_to_image();
        let options = LoraOptions { adapter_name: Some("style".into()), ..Default::default() };
        pipeline.load_lora_weights(file.to_str().unwrap(), &options).unwrap();
        let changed = latents(&mut pipeline);
        assert!(difference(changed.clone(), plain.clone()) > 1e-3);
        made.push(changed);
        pipeline.set_adapters(&[("style", 0.0)]).unwrap();
        assert_close("off", latents(&mut pipeline), plain.clone(), 1e-6);
    }
    assert_eq!(difference(made[0].clone(), made[1].clone()), 0.0);
    write(&file, "transformer.", &[("transformer_blocks.7.attn1.to_q", [24, 24])]);
    let refused = text_to_image().load_lora_weights(file.to_str().unwrap(), &LoraOptions::default());
    expect(&error(refused), &["adapter_model.safetensors"]);
}
