//! Models of any class that move to a card and back. The plan runs on the CPU here, so this needs no card.

use oxidiff::{AnyModel, Config, Device, Error, LoadOptions, Request, Tensor, interpreter};

use crate::engine::{fixture, random};

#[test]
fn models_move_to_a_card_and_back() {
    let options = LoadOptions { subfolder: Some("vae".into()), ..LoadOptions::default() };
    let mut vae = AnyModel::from_pretrained("AutoencoderKL", &fixture("sd1"), &options).unwrap();
    let image = random([1, 3, 16, 16]);
    let call = |vae: &AnyModel| -> Tensor<4> {
        let (_, sample) = vae.call(Request::default().with("sample", image.clone())).unwrap().remove(0);
        sample.to_rank("sample").unwrap()
    };
    let difference = |one: Tensor<4>, other: Tensor<4>| (one - other).abs().max().into_scalar::<f32>();
    let before = call(&vae);
    vae.place(&interpreter()).unwrap();
    assert_eq!(vae.card(), Some("interpreter"));
    let there = vae.clone();
    assert!((0.0..1e-4).contains(&difference(call(&vae), before.clone())));
    vae.place(&Device::flex()).unwrap();
    assert_eq!((vae.card(), there.card()), (None, Some("interpreter")));
    assert_eq!(difference(call(&vae), before), 0.0);
}

#[test]
fn classes_that_compute_on_the_cpu_only_say_so() {
    let config =
        Config::from_json(r#"{"channels": [4, 8], "num_res_blocks": 1, "downscale_factor": 2}"#).unwrap();
    let mut adapter = AnyModel::from_config("T2IAdapter", &config, &Device::flex()).unwrap();
    adapter.place(&interpreter()).unwrap();
    assert_eq!(adapter.card(), None);
    let config = r#"{"num_attention_heads": 2, "attention_head_dim": 4, "hidden_size": 8, "transformer_num_layers": 2, "sample_size": 4}"#;
    let config = Config::from_json(config).unwrap();
    let mut net = AnyModel::from_config("HunyuanDiT2DControlNetModel", &config, &Device::flex()).unwrap();
    assert!(matches!(net.place(&interpreter()), Err(Error::Unsupported { .. })));
    net.place(&Device::flex()).unwrap();
}
