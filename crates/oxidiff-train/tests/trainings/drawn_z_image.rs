//! The small Z-Image of the fixtures, whose weights are drawn: see `tests/fixtures/drawn.py`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use oxidiff::training::Trained;
use oxidiff::{AutoencoderKL, Config, Device, Generator, Model, Qwen3Model, ZImageTransformer2DModel};

/// Writes the checkpoint to a folder, with the weights of the recordings.
pub fn write(folder: &Path) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    copy(&fixtures.join("z_image/checkpoint"), folder);
    draw::<ZImageTransformer2DModel>(&folder.join("transformer"), 1);
    draw::<Qwen3Model>(&folder.join("text_encoder"), 2);
    draw::<AutoencoderKL>(&folder.join("vae"), 3);
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &target) } else { _ = fs::copy(entry.path(), target) }
    }
}

fn draw<M: Model>(folder: &Path, seed: u64) {
    let config = Config::from_file(folder.join("config.json")).unwrap();
    let model = M::from_config(&config, &Device::flex()).unwrap();
    let mut shapes = BTreeMap::new();
    model.read(&mut |name, shape, _| _ = shapes.insert(name.to_owned(), shape.to_vec()));
    let mut generator = Generator::manual_seed(seed);
    let mut drawn = BTreeMap::new();
    for (name, shape) in shapes {
        let scale = (1.0 / (shape[1..].iter().product::<usize>() as f64).sqrt()) as f32;
        let value = |noise: f32| match (shape.len(), name.ends_with(".weight")) {
            (1, true) => 1.0 + 0.2 * noise,
            (1, false) => 0.2 * noise,
            _ => noise * scale,
        };
        let noise = generator.randn_vec::<f32>(shape.iter().product());
        drawn.insert(name.clone(), noise.into_iter().map(value).collect::<Vec<f32>>());
    }
    let model = model.changed(&mut |name, values| *values = drawn.remove(name).unwrap());
    model.save_pretrained(folder).unwrap();
}
