//! The transformer of Z-Image with several images for each item.

use std::collections::BTreeMap;

use oxidiff::{
    AnyModel, Argument, Config, DType, Model, Request, Tensor, ZImageInputs, ZImageOmniInputs,
    ZImageTransformer2DModel,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::omni::recorded;
use super::{error, expect};
use crate::fixture::drawn::drawn;
use crate::fixture::pictures::values;
use crate::fixture::{Recorded, assert_close, json};

const TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Described {
    seed: u64,
    config: Map<String, Value>,
}

pub fn described<M: Model>(name: &str) -> M {
    let mut all: BTreeMap<String, Described> = json(&recorded("models.json"));
    let Described { seed, config } = all.remove(name).unwrap_or_else(|| panic!("no {name}"));
    drawn(&Config::from_json(&Value::Object(config).to_string()).unwrap(), seed)
}

fn transformer(name: &str) -> ZImageTransformer2DModel {
    described(&format!("transformer.{name}"))
}

pub fn outputs() -> Recorded {
    Recorded::open(&recorded("models.safetensors"))
}

fn captions(lengths: &[usize]) -> Vec<Tensor<2>> {
    let of = |(index, length): (usize, &usize)| {
        values([1, 1, *length, 16], -1.0 - index as f32 / 8.0).reshape([*length, 16])
    };
    lengths.iter().enumerate().map(of).collect()
}

fn images(sizes: &[[usize; 2]]) -> Vec<Tensor<4>> {
    let of = |(index, [height, width]): (usize, &[usize; 2])| {
        values([4, 1, *height, *width], -1.0 - index as f32 / 4.0)
    };
    sizes.iter().enumerate().map(of).collect()
}

fn sights(sizes: &[Option<[usize; 2]>]) -> Vec<Option<Tensor<3>>> {
    let of = |(index, size): (usize, &Option<[usize; 2]>)| {
        size.map(|[rows, columns]| {
            values([1, rows, columns, 8], -1.0 - index as f32 / 2.0).reshape([rows, columns, 8])
        })
    };
    sizes.iter().enumerate().map(of).collect()
}

/// The inputs of a call.
#[derive(Clone)]
struct Call {
    x: Vec<Vec<Tensor<4>>>,
    cap_feats: Vec<Vec<Tensor<2>>>,
    siglip_feats: Option<Vec<Vec<Option<Tensor<3>>>>>,
    noise: Vec<Vec<bool>>,
}

impl Call {
    fn one() -> Self {
        Self {
            x: vec![images(&[[6, 10], [4, 8]])],
            cap_feats: vec![captions(&[5, 37, 3])],
            siglip_feats: Some(vec![sights(&[Some([2, 3]), None])]),
            noise: vec![vec![false, true]],
        }
    }

    fn two() -> Self {
        let mut call = Self::one();
        call.x.push(images(&[[6, 4], [8, 6], [6, 8]]));
        call.cap_feats.push(captions(&[33, 2, 6, 9]));
        call.siglip_feats.as_mut().unwrap().push(sights(&[Some([1, 5]), Some([4, 1]), None]));
        call.noise.push(vec![false, false, true]);
        call
    }

    fn none() -> Self {
        Self {
            x: vec![images(&[[6, 10]]), images(&[[4, 8]])],
            cap_feats: vec![captions(&[5]), captions(&[37])],
            siglip_feats: None,
            noise: vec![vec![true], vec![true]],
        }
    }

    fn run(
        &self,
        model: &ZImageTransformer2DModel,
        t: &[f32],
        more: &ZImageInputs,
    ) -> oxidiff::Result<Vec<Tensor<4>>> {
        let inputs = ZImageOmniInputs {
            x: &self.x,
            t,
            cap_feats: &self.cap_feats,
            siglip_feats: self.siglip_feats.as_deref(),
            image_noise_mask: &self.noise,
        };
        model.forward_omni(&inputs, more)
    }
}

#[track_caller]
fn compare(name: &str, made: &[Tensor<4>]) {
    let expected = outputs();
    for (index, made) in made.iter().enumerate() {
        let name = format!("transformer.{name}.{index}");
        assert_close(&name, made.clone(), expected.floats(&name), TOLERANCE);
    }
}

#[test]
fn images_in_prompts_are_followed_as_in_python() {
    let plain = ZImageInputs::default();
    let omni = transformer("omni");
    compare("omni.none", &Call::none().run(&omni, &[0.3], &plain).unwrap());
    compare("omni.one", &Call::one().run(&omni, &[0.3], &plain).unwrap());
    compare("omni.two", &Call::two().run(&omni, &[0.3], &plain).unwrap());
    compare("no_qk_norm.two", &Call::two().run(&transformer("no_qk_norm"), &[0.3, 0.3], &plain).unwrap());
    compare("patches.two", &Call::two().run(&transformer("patches"), &[0.3], &plain).unwrap());
    compare("plain.none", &Call::none().run(&transformer("plain"), &[0.3], &plain).unwrap());
    let unseen = Call { siglip_feats: None, ..Call::two() };
    compare("plain.unseen", &unseen.run(&transformer("plain"), &[0.3], &plain).unwrap());
}

#[test]
fn times_noise_and_patches_may_differ() {
    let (plain, omni) = (ZImageInputs::default(), transformer("omni"));
    compare("times", &Call::two().run(&omni, &[0.0, 0.9], &plain).unwrap());
    let masks = Call { noise: vec![vec![true, false], vec![true, false, true]], ..Call::two() };
    compare("masks", &masks.run(&omni, &[0.4], &plain).unwrap());
    let seen = vec![sights(&[Some([2, 3])]), sights(&[Some([1, 5]), None])];
    compare("short", &Call { siglip_feats: Some(seen), ..Call::two() }.run(&omni, &[0.4], &plain).unwrap());
    // The second item has 352 tokens, the first 256.
    let added: Tensor<3> = values([1, 2, 352, 24], -0.5).reshape([2, 352, 24]);
    let of_item = |item: usize, tokens: usize| added.clone().narrow(0, item, 1).narrow(1, 0, tokens);
    let added = Tensor::cat(vec![of_item(0, 256), of_item(1, 352)], 1);
    let control = ZImageInputs { controlnet_block_samples: [(1, added)].into(), ..Default::default() };
    compare("control", &Call::two().run(&omni, &[0.4], &control).unwrap());
    let video = Call {
        x: vec![vec![values([4, 2, 4, 8], -0.5), values([4, 2, 8, 4], -1.0)]],
        cap_feats: vec![captions(&[5, 7, 3])],
        siglip_feats: Some(vec![sights(&[Some([2, 3]), Some([1, 2])])]),
        noise: vec![vec![false, true]],
    };
    let patches = ZImageInputs { patch_size: 4, f_patch_size: 2, ..Default::default() };
    compare("video", &video.run(&transformer("patches"), &[0.7], &patches).unwrap());
}

#[test]
fn half_precision_is_close() {
    let made =
        Call::two().run(&transformer("omni").cast(DType::BF16), &[0.3], &ZImageInputs::default()).unwrap();
    let expected: Tensor<4> = outputs().floats("transformer.omni.two.0");
    assert_eq!(made[0].dtype(), DType::BF16);
    let scale = expected.clone().abs().max().into_scalar::<f32>();
    assert_close("bf16", made[0].clone().cast(DType::F32) / scale, expected / scale, 5e-2);
}

#[test]
fn the_transformer_is_called_by_name() {
    let call = Call::one();
    let any: AnyModel = transformer("omni").into();
    let sight = call.siglip_feats.as_ref().unwrap()[0][0].clone().unwrap();
    let seen = Argument::List(vec![Argument::from(sight), Argument::None]);
    let request = Request::default()
        .with("x", call.x.clone())
        .with("t", vec![0.3f32])
        .with("cap_feats", call.cap_feats.clone())
        .with("siglip_feats", Argument::List(vec![seen]))
        .with("image_noise_mask", vec![vec![0usize, 1]]);
    let made = any.call(request).unwrap();
    let made: Vec<_> = made.into_iter().map(|(_, sample)| sample.to_rank::<4>("sample").unwrap()).collect();
    compare("omni.one", &made);
    let unseen = Request::default()
        .with("x", Call::none().x)
        .with("t", vec![0.3f32])
        .with("cap_feats", Call::none().cap_feats)
        .with("siglip_feats", Argument::List(vec![Argument::None, Argument::None]))
        .with("image_noise_mask", vec![vec![1usize], vec![1]]);
    let made = any.call(unseen).unwrap();
    let made: Vec<_> = made.into_iter().map(|(_, sample)| sample.to_rank::<4>("sample").unwrap()).collect();
    compare("omni.none", &made);
    let request = Request::default()
        .with("x", call.x)
        .with("t", vec![0.3f32])
        .with("cap_feats", call.cap_feats[0].clone());
    expect(&error(any.call(request)), &["`cap_feats`", "lists"]);
}

#[test]
fn inputs_of_prompts_with_images_that_do_not_fit_are_refused() {
    let model = transformer("omni");
    let refused = |change: fn(&mut Call)| {
        let mut call = Call::two();
        change(&mut call);
        error(call.run(&model, &[0.3], &ZImageInputs::default()))
    };
    expect(&refused(|call| call.x.clear()), &["`x`", "at least one"]);
    expect(&refused(|call| call.x[1].clear()), &["`x`", "an image"]);
    expect(&refused(|call| call.cap_feats.truncate(1)), &["`cap_feats`", "1 items", "2"]);
    expect(&refused(|call| call.cap_feats[1].truncate(2)), &["`cap_feats`", "2 parts for 3 images"]);
    expect(&refused(|call| call.noise.truncate(1)), &["`image_noise_mask`", "1 items"]);
    expect(&refused(|call| call.noise[1].truncate(2)), &["`image_noise_mask`", "2 values for 3 images"]);
    expect(&refused(|call| call.siglip_feats.as_mut().unwrap().truncate(1)), &["`siglip_feats`", "1 items"]);
    expect(
        &refused(|call| call.siglip_feats.as_mut().unwrap()[0].push(None)),
        &["`siglip_feats`", "3 images for 2"],
    );
    let wide = |call: &mut Call| {
        call.siglip_feats.as_mut().unwrap()[0][0] = Some(values([1, 2, 2, 9], 0.0).reshape([2, 2, 9]));
    };
    expect(&refused(wide), &["`siglip_feats`", "[2, 2, 9]", "8"]);
    expect(&refused(|call| call.x[0][0] = values([4, 1, 5, 6], 0.0)), &["`x`", "[4, 1, 5, 6]"]);
    expect(&refused(|call| call.cap_feats[0] = captions(&[5, 250])), &["`cap_feats`", "256 positions"]);
    let plain = transformer("plain");
    let call = Call { siglip_feats: Some(vec![sights(&[None]), sights(&[None])]), ..Call::none() };
    let refused = call.run(&plain, &[0.3], &ZImageInputs::default());
    expect(&error(refused), &["`siglip_feats`", "`siglip_feat_dim`"]);
    let three = Call::two().run(&model, &[0.1, 0.2, 0.3], &ZImageInputs::default());
    expect(&error(three), &["`t`", "3 times for 2"]);
}
