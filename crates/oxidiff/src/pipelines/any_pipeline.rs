//! Pipelines of any class as one type.

use std::any::Any;
use std::fmt;
use std::path::Path;

use super::common::ip_adapter::IpAdapterLoader;
use super::common::lora::LoraLoader;
use super::common::textual_inversion::TextualInversionLoader;
use super::component::Components;
use super::model_index::ModelIndex;
use super::output::ImagePipelineOutput;
use super::pipeline::Pipeline;
use super::request::{CallArguments, Request};
use crate::error::{Error, Result};
use crate::models::unets::FreeU;
use crate::schedulers::Scheduler;

/// The arguments for a pipeline whose class is not known: a [`Request`], or the typed arguments of some class. A string
/// is a prompt, with the defaults for everything else.
pub struct PipelineArguments(Given);

enum Given {
    Request(Request),
    Typed { arguments: Box<dyn Any>, task: &'static str },
}

impl<A: CallArguments> From<A> for PipelineArguments {
    fn from(arguments: A) -> Self {
        Self(Given::Typed { arguments: Box::new(arguments), task: A::TASK })
    }
}

impl From<Request> for PipelineArguments {
    fn from(request: Request) -> Self {
        Self(Given::Request(request))
    }
}

impl From<&str> for PipelineArguments {
    fn from(prompt: &str) -> Self {
        Request::new(prompt).into()
    }
}

impl From<String> for PipelineArguments {
    fn from(prompt: String) -> Self {
        Request::new(prompt).into()
    }
}

impl From<Vec<String>> for PipelineArguments {
    fn from(prompts: Vec<String>) -> Self {
        Request::default().with("prompt", prompts).into()
    }
}

/// A pipeline of any class. Every [`Pipeline`] is one.
pub(crate) trait AnyPipeline: fmt::Debug + fmt::Display + Send {
    fn class_name(&self) -> &'static str;
    fn call(&mut self, arguments: PipelineArguments) -> Result<ImagePipelineOutput>;
    fn takes(&self, argument: &str) -> bool;
    fn components(&self) -> Components<'_>;
    fn index(&self) -> &ModelIndex;
    fn current_index(&self) -> ModelIndex;
    fn scheduler(&self) -> &dyn Scheduler;
    fn set_scheduler(&mut self, scheduler: Box<dyn Scheduler>);
    fn set_progress_bar(&mut self, enabled: bool);
    fn set_vae_tiling(&mut self, enabled: bool) -> Result<()>;
    fn set_vae_slicing(&mut self, enabled: bool) -> Result<()>;
    fn set_freeu(&mut self, factors: Option<FreeU>) -> Result<()>;
    fn lora_loader(&mut self) -> Option<&mut dyn LoraLoader>;
    fn ip_adapter_loader(&mut self) -> Option<&mut dyn IpAdapterLoader>;
    fn textual_inversion_loader(&mut self) -> Option<&mut dyn TextualInversionLoader>;
    fn save_pretrained(&self, folder: &Path) -> Result<()>;
    fn clone_box(&self) -> Box<dyn AnyPipeline>;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<P: Pipeline> AnyPipeline for P {
    fn class_name(&self) -> &'static str {
        P::CLASS_NAME
    }

    fn call(&mut self, arguments: PipelineArguments) -> Result<ImagePipelineOutput> {
        let arguments = match arguments.0 {
            Given::Request(mut request) => {
                if let Some(name) = request.names().find(|name| !P::takes(name)) {
                    let (argument, taker) = (name.to_owned(), P::CLASS_NAME.to_owned());
                    return Err(Error::UnknownArgument { argument, taker });
                }
                self.prepare(&mut request)?;
                P::Arguments::from_request(request)?
            }
            Given::Typed { arguments, task } => *arguments.downcast::<P::Arguments>().map_err(|_| {
                Error::unsupported(
                    format!("{task} with a {}", P::CLASS_NAME),
                    "the pipeline is for another task",
                )
            })?,
        };
        Pipeline::call(self, arguments).map_err(|error| error.in_checkpoint(Pipeline::index(self).folder()))
    }

    fn takes(&self, argument: &str) -> bool {
        P::takes(argument)
    }

    fn components(&self) -> Components<'_> {
        Pipeline::components(self)
    }

    fn index(&self) -> &ModelIndex {
        Pipeline::index(self)
    }

    fn current_index(&self) -> ModelIndex {
        Pipeline::current_index(self)
    }

    fn scheduler(&self) -> &dyn Scheduler {
        Pipeline::scheduler(self)
    }

    fn set_scheduler(&mut self, scheduler: Box<dyn Scheduler>) {
        Pipeline::set_scheduler(self, scheduler);
    }

    fn set_progress_bar(&mut self, enabled: bool) {
        Pipeline::set_progress_bar(self, enabled);
    }

    fn set_vae_tiling(&mut self, enabled: bool) -> Result<()> {
        Pipeline::set_vae_tiling(self, enabled)
    }

    fn set_vae_slicing(&mut self, enabled: bool) -> Result<()> {
        Pipeline::set_vae_slicing(self, enabled)
    }

    fn set_freeu(&mut self, factors: Option<FreeU>) -> Result<()> {
        Pipeline::set_freeu(self, factors)
    }

    fn lora_loader(&mut self) -> Option<&mut dyn LoraLoader> {
        Pipeline::lora_loader(self)
    }

    fn ip_adapter_loader(&mut self) -> Option<&mut dyn IpAdapterLoader> {
        Pipeline::ip_adapter_loader(self)
    }

    fn textual_inversion_loader(&mut self) -> Option<&mut dyn TextualInversionLoader> {
        Pipeline::textual_inversion_loader(self)
    }

    fn save_pretrained(&self, folder: &Path) -> Result<()> {
        Pipeline::save_pretrained(self, folder)
    }

    fn clone_box(&self) -> Box<dyn AnyPipeline> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
