//! Parts of pipelines that are neither models nor schedulers.

use std::sync::Mutex;

use oxidiff::{
    BertTokenizer, CLIPImageProcessor, CLIPTokenizer, Component, ControlNets, DPTImageProcessor,
    DiffusionPipeline, GemmaTokenizer, LlamaTokenizer, PixtralProcessor, Qwen2Tokenizer, Qwen2VLProcessor,
    Siglip2ImageProcessor, SiglipImageProcessor, StableDiffusionSafetyChecker, T5Tokenizer,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::loading;
use crate::lock::lock;
use crate::model::PyModel;
use crate::scheduler::PyScheduler;

/// A part of another kind, such as a tokenizer.
#[pyclass(name = "PartCore", module = "oxidiff._oxidiff", frozen)]
pub struct PyPart(Mutex<Kept>);

/// How a part is kept: alone where its class is known here, so that the models of the pipeline are free to go.
enum Kept {
    Alone(Box<dyn Component + Send>),
    Within(DiffusionPipeline, String),
}

impl PyPart {
    pub fn new(name: &str, component: &dyn Component, pipeline: &DiffusionPipeline) -> Self {
        let within = || Kept::Within(pipeline.clone(), name.to_owned());
        Self(Mutex::new(copy(component).map_or_else(within, Kept::Alone)))
    }

    fn held(&self) -> Held {
        match &*lock(&self.0) {
            Kept::Alone(part) => Held::Owned(copy(&**part).expect("the class is known")),
            Kept::Within(pipeline, name) => Held::Pipeline(pipeline.clone(), name.clone()),
        }
    }
}

/// A copy of a part, if its class is known here.
fn copy(component: &dyn Component) -> Option<Box<dyn Component + Send>> {
    macro_rules! of_class {
        ($($class:ty),+ $(,)?) => {
            $(if let Some(part) = component.as_any().downcast_ref::<$class>() {
                return Some(Box::new(part.clone()));
            })+
        };
    }
    of_class!(
        CLIPTokenizer,
        T5Tokenizer,
        BertTokenizer,
        LlamaTokenizer,
        GemmaTokenizer,
        Qwen2Tokenizer,
        Qwen2VLProcessor,
        PixtralProcessor,
        CLIPImageProcessor,
        DPTImageProcessor,
        SiglipImageProcessor,
        Siglip2ImageProcessor,
        StableDiffusionSafetyChecker,
    );
    None
}

/// A part that a pipeline can be made from.
pub enum Held {
    Owned(Box<dyn Component>),
    Pipeline(DiffusionPipeline, String),
}

impl Held {
    /// The part that an object of Python holds.
    pub fn of(name: &str, core: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(model) = core.cast::<PyModel>() {
            Ok(Self::Owned(model.get().lock().to_component()))
        } else if let Ok(scheduler) = core.cast::<PyScheduler>() {
            Ok(Self::Owned(Box::new(scheduler.get().lock().clone())))
        } else if let Ok(part) = core.cast::<PyPart>() {
            Ok(part.get().held())
        } else if core.is_instance_of::<PyList>() && name == "adapter" {
            Ok(Self::Owned(Box::new(loading::adapters(core)?)))
        } else if core.is_instance_of::<PyList>() {
            Ok(Self::Owned(match loading::controlnets(core)? {
                ControlNets::Plain(nets) => Box::new(nets),
                ControlNets::Union(nets) => Box::new(nets),
                ControlNets::Flux(nets) => nets,
                ControlNets::HunyuanDiT(nets) => nets,
                ControlNets::QwenImage(nets) => nets,
                ControlNets::SD3(nets) => nets,
                ControlNets::Sana(net) => net,
                ControlNets::ZImage(net) => net,
            }))
        } else {
            Err(PyTypeError::new_err(format!(
                "`{name}`: must be a part of this package, not {}",
                core.get_type()
            )))
        }
    }

    pub fn get(&self) -> &dyn Component {
        match self {
            Self::Owned(component) => &**component,
            Self::Pipeline(pipeline, name) => {
                let mut components = pipeline.components().into_iter();
                components.find(|(other, _)| other == name).expect("the pipeline has not changed").1
            }
        }
    }
}
