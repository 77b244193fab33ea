//! The recorded calls of pipelines: what their arguments stand for.

use std::collections::BTreeMap;

use oxidiff::image::DynamicImage;
use oxidiff::{
    Argument, Device, FacePictures, Generator, IPAdapterMaskProcessor, IpAdapterLoader, IpAdapterScale,
    OutputType, PipelineImageInput, PreprocessOptions, Request, Tensor,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::fixture::pictures::{blob, picture, values};

/// A call as the script writes it down.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    pub name: String,
    pub pipeline: String,
    pub checkpoint: String,
    pub adapters: Vec<String>,
    pub scale: Option<Value>,
    pub scheduler: Option<String>,
    #[serde(default)]
    faces: BTreeMap<usize, Faces>,
    arguments: Map<String, Value>,
}

/// The pictures of faces.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Faces {
    images: Value,
    shortcut: bool,
    shortcut_scale: Option<f64>,
}

fn list<const N: usize, T: for<'de> Deserialize<'de> + std::fmt::Debug>(value: &Value) -> [T; N] {
    let items: Vec<T> = serde_json::from_value(value.clone()).unwrap();
    items.try_into().unwrap()
}

/// One picture of a size, or several, of which every second is mirrored.
fn pictures(sizes: &Value) -> Vec<DynamicImage> {
    if sizes[0].is_array() {
        let made = sizes.as_array().unwrap().iter().map(|size| picture("RGB", list(size))).enumerate();
        return made.map(|(index, image)| if index % 2 == 1 { image.fliph() } else { image }).collect();
    }
    vec![picture("RGB", list(sizes))]
}

fn faces([pictures, features]: [usize; 2], guided: bool) -> Tensor<3> {
    let faces = values([1, 1, pictures, features], -1.0).reshape([1, pictures, features]);
    if guided { Tensor::cat(vec![faces.zeros_like(), faces], 0) } else { faces }
}

/// Masks as the script prepares them, `[masks, 1, height, width]`.
fn masks(blobs: &Value, given: &Map<String, Value>) -> Tensor<4> {
    let drawn: Vec<DynamicImage> = blobs.as_array().unwrap().iter().map(|one| blob(list(one))).collect();
    let side = |name: &str| given.get(name).and_then(Value::as_u64).map(|side| side as usize);
    let options = PreprocessOptions { height: side("height"), width: side("width"), ..Default::default() };
    IPAdapterMaskProcessor::default().preprocess(&drawn.into(), options).unwrap()
}

impl Call {
    /// The scales of the adapters.
    pub fn scales(&self) -> Option<Vec<IpAdapterScale>> {
        let scale = |value: &Value| IpAdapterScale::from_json(value).unwrap();
        self.scale.as_ref().map(|given| match given {
            Value::Array(each) => each.iter().map(scale).collect(),
            one => vec![scale(one)],
        })
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.arguments.get(name).and_then(Value::as_f64)
    }

    fn is_guided(&self) -> bool {
        self.number("guidance_scale").is_none_or(|scale| scale > 1.0)
    }

    /// Gives the adapters the pictures of faces.
    pub fn set_faces(&self, loader: &mut dyn IpAdapterLoader) {
        let copies = self.number("num_images_per_prompt").unwrap_or(1.0) as usize;
        for (adapter, face) in &self.faces {
            let images: PipelineImageInput = pictures(&face.images["picture"]).into();
            let [positive, negative] =
                loader.encode_image(&images).unwrap().map(|states| states.unsqueeze_dim::<4>(0));
            let guided = if self.is_guided() { vec![negative; copies] } else { Vec::new() };
            let pictures = FacePictures {
                clip_embeds: Tensor::cat([guided, vec![positive; copies]].concat(), 0),
                shortcut: face.shortcut,
                shortcut_scale: face.shortcut_scale.unwrap_or(1.0),
            };
            loader.set_face_pictures(*adapter, pictures).unwrap();
        }
    }

    /// The arguments of the call, by name.
    pub fn request(&self, loader: &dyn IpAdapterLoader) -> Request {
        let mut request = Request::default().with("output_type", OutputType::Array);
        for (name, value) in &self.arguments {
            match (name.as_str(), value) {
                ("generator", seed) => request.set(name, Generator::manual_seed(seed.as_u64().unwrap())),
                ("cross_attention_kwargs", value) => {
                    request.set("ip_adapter_masks", Self::argument(&value["ip_adapter_masks"]));
                }
                ("ip_adapter_image_embeds", Value::Object(given)) => {
                    let images = Self::argument(&given["prepared"]);
                    let images = Request::default().with("images", images).take("images").unwrap().unwrap();
                    let copies = given.get("num_images_per_prompt").and_then(Value::as_u64).unwrap_or(1);
                    let embeds = loader
                        .prepare_ip_adapter_image_embeds(images, copies as usize, self.is_guided())
                        .unwrap();
                    request.set(
                        name,
                        Argument::List(embeds.tensors().iter().map(|it| it.clone().into()).collect()),
                    );
                }
                (_, value) => request.set(name, Self::argument(value)),
            }
        }
        request
    }

    /// What a recorded argument stands for: `argument` in the script.
    fn argument(value: &Value) -> Argument {
        let given = match value {
            Value::Null => return Argument::None,
            Value::Bool(flag) => return (*flag).into(),
            Value::Number(number) => {
                return number
                    .as_u64()
                    .map_or_else(|| number.as_f64().unwrap().into(), |it| (it as usize).into());
            }
            Value::String(text) => return text.clone().into(),
            Value::Array(items) => {
                return Argument::List(items.iter().map(Self::argument).collect());
            }
            Value::Object(given) => given,
        };
        if let Some(sizes) = given.get("picture") {
            let made = pictures(sizes);
            return match sizes[0].is_array() {
                true => Argument::List(made.into_iter().map(Argument::from).collect()),
                false => made.into(),
            };
        }
        if let Some(corners) = given.get("blob") {
            return blob(list(corners)).into();
        }
        if let Some(shape) = given.get("values") {
            let low = given["low"].as_f64().unwrap() as f32;
            let [batch, tokens, features] = list::<3, usize>(shape);
            return values([1, batch, tokens, features], low).reshape([batch, tokens, features]).into();
        }
        if let Some(shape) = given.get("faces") {
            return faces(list(shape), given["guidance"].as_bool().unwrap()).into();
        }
        if let Some(blobs) = given.get("masks") {
            return masks(blobs, given).into();
        }
        if let Some(blobs) = given.get("masks_of_images") {
            return masks(blobs, given).swap_dims(0, 1).into();
        }
        panic!("{value}");
    }
}

/// Faces without guidance, for the embeddings.
pub fn two_faces(features: usize) -> Tensor<3> {
    let faces = values([1, 2, 2, features], -1.0).reshape([2, 2, features]);
    let nothing = Tensor::zeros([1, 2, features], &Device::flex());
    Tensor::cat(vec![nothing, faces.narrow(0, 1, 1)], 0)
}
