//! Loads the components that the index of a checkpoint names.

mod controlnets;

use std::sync::Arc;

use crate::any_model::AnyModel;
use crate::error::{Error, Result};
use crate::loading::LoadOptions;
use crate::loading::folder::Folder;
use crate::loading::single_file::SingleFileOptions;
use crate::models::autoencoders::{self, Autoencoder};
use crate::models::controlnets::suffix;
use crate::models::model::Model;
use crate::models::t2i_adapters::{MultiAdapter, T2IAdapter, T2IAdapters};
use crate::pipelines::component::Component;
use crate::pipelines::model_index::ModelIndex;
use crate::schedulers::{self, Scheduler};
use crate::text_encoders::{
    BertTokenizer, CLIPTokenizer, GemmaTokenizer, LlamaTokenizer, PixtralProcessor, Qwen2Tokenizer,
    Qwen2VLProcessor, T5Tokenizer,
};
use crate::vision::{CLIPImageProcessor, ImageProcessor};

/// A checkpoint that is being loaded: its folder, its index, and how to load it.
#[derive(Debug)]
pub struct ComponentLoader<'a> {
    folder: &'a Folder,
    index: ModelIndex,
    options: &'a LoadOptions,
}

impl<'a> ComponentLoader<'a> {
    /// # Errors
    /// When weights are given for a component that the checkpoint does not have, or such a component is to be quantised.
    pub(crate) fn new(folder: &'a Folder, index: ModelIndex, options: &'a LoadOptions) -> Result<Self> {
        let weights = options.weights.keys().map(|component| ("weights", component));
        let quantised = options.quantization.iter().flat_map(|config| config.components.iter().flatten());
        let quantised = quantised.map(|component| ("quantization_config", component));
        for (argument, component) in weights.chain(quantised) {
            if index.component_class(component)?.is_none() {
                let message = format!("{} names no component `{component}`", index.origin());
                return Err(Error::argument(argument, message));
            }
        }
        Ok(Self { folder, index, options })
    }

    /// The index of the checkpoint.
    pub fn index(&self) -> &ModelIndex {
        &self.index
    }

    /// How to load it.
    pub fn options(&self) -> &LoadOptions {
        self.options
    }

    /// The folder of the checkpoint.
    pub(crate) fn checkpoint(&self) -> &Folder {
        self.folder
    }

    /// The folder of a component. Early pipelines have their model and scheduler next to the index.
    fn folder(&self, component: &str) -> Folder {
        let is_flat = ["config.json", "scheduler_config.json"].iter().any(|file| self.folder.has(file));
        if is_flat { self.folder.component(component) } else { self.folder.subfolder(component) }
    }

    /// A file of a component.
    ///
    /// # Errors
    /// When it is missing, or cannot be read.
    pub fn file(&self, component: &str, name: &str) -> Result<Vec<u8>> {
        let contents = self.folder(component).read(name, component)?;
        Ok(contents.to_vec())
    }

    /// The model of this name.
    ///
    /// # Errors
    /// When the checkpoint has no such model, or one of another class; when a file is missing or damaged.
    pub fn model<M: Model + 'static>(&self, component: &str) -> Result<M> {
        let class_name = self.index.required(component)?;
        if !M::FORMER_CLASS_NAMES.contains(&class_name) {
            self.index.expect_class(component, M::CLASS_NAME)?;
        }
        if let Some(given) = self.given(component)
            && let Some(model) = given.as_concrete().downcast_ref::<M>()
        {
            return Ok(model.clone());
        }
        M::load_folder(&self.model_folder(component)?, self.options.weight_options_of(component))
    }

    /// The model that the caller will put here, unless it is none of the pipeline's, which the caller will learn then.
    fn given(&self, component: &str) -> Option<Box<dyn Component>> {
        self.options.models.get(component).map(AnyModel::to_component)
    }

    /// The folder of a model, with weights from another file where that was asked for.
    ///
    /// # Errors
    /// When the file is missing or damaged.
    fn model_folder(&self, component: &str) -> Result<Folder> {
        let folder = self.folder(component);
        let Some(file) = self.options.weights.get(component) else { return Ok(folder) };
        let options = SingleFileOptions { hub: self.options.hub.clone(), ..SingleFileOptions::default() };
        let original = Arc::new(options.open_weights(file)?);
        Ok(Folder::Original { configs: Box::new(folder), original })
    }

    /// The model of this name, if the checkpoint has it.
    ///
    /// # Errors
    /// When it is of another class; when a file is missing or damaged.
    pub fn optional_model<M: Model + 'static>(&self, component: &str) -> Result<Option<M>> {
        self.index.component_class(component)?.map(|_| self.model(component)).transpose()
    }

    /// The image processor of CLIP of this name, if the checkpoint has it, under any of the names that its class has had.
    ///
    /// # Errors
    /// When it is of another class; when its file is missing or damaged.
    pub fn clip_image_processor(&self, component: &str) -> Result<Option<CLIPImageProcessor>> {
        const CLASSES: [&str; 4] =
            ["CLIPImageProcessor", "CLIPFeatureExtractor", "CLIPImageProcessorFast", "CLIPImageProcessorPil"];
        match self.index.component_class(component)? {
            // These belong to a depth estimator; its pipeline loads them.
            None | Some("DPTImageProcessor" | "DPTImageProcessorFast" | "DPTFeatureExtractor") => Ok(None),
            Some(_) => self.image_processor(component, &CLASSES).map(Some),
        }
    }

    /// The T2I-Adapter of this name, or several, which are in the folders `NAME`, `NAME_1` and so on; or those that were given
    /// to be used instead.
    ///
    /// # Errors
    /// As [`Self::model`], and when the checkpoint has none and none is given.
    pub fn t2i_adapters(&self, component: &str) -> Result<T2IAdapters> {
        if let Some(given) = &self.options.adapter {
            return Ok(given.clone());
        }
        let Some(class_name) = self.index.component_class(component)? else {
            let origin = self.index.origin();
            let message =
                format!("must be given: {origin} names none, and a pipeline with T2I-Adapters needs one");
            return Err(Error::argument("adapter", message));
        };
        if class_name != MultiAdapter::CLASS_NAME {
            return Ok(T2IAdapters::One(self.model::<T2IAdapter>(component)?));
        }
        Ok(T2IAdapters::Several(MultiAdapter::new(self.numbered(component)?)?))
    }

    /// The models in the folders `NAME`, `NAME_1` and so on.
    fn numbered<M: Model>(&self, component: &str) -> Result<Vec<M>> {
        let load = |folder: Folder| M::load_folder(&folder, self.options.weight_options_of(component));
        let others = (1..).map(|number| self.folder.subfolder(&format!("{component}{}", suffix(number))));
        let folders = [self.folder(component)].into_iter().chain(others.take_while(Folder::exists));
        folders.map(load).collect()
    }

    /// The autoencoder of this name, of any class.
    ///
    /// # Errors
    /// As [`Self::model`].
    pub fn autoencoder(&self, component: &str) -> Result<Box<dyn Autoencoder>> {
        let class_name = self.index.required(component)?;
        if let Some(given) = self.given(component)
            && let Some(autoencoder) = given.as_any().downcast_ref::<Box<dyn Autoencoder>>()
        {
            return Ok(autoencoder.clone());
        }
        autoencoders::registry::load(
            class_name,
            &self.model_folder(component)?,
            self.options.weight_options_of(component),
        )
        .map_err(|error| error.in_file(self.index.origin()))
    }

    /// The scheduler of this name.
    ///
    /// # Errors
    /// When the checkpoint has no scheduler, or one of an unknown class; when its file is missing or damaged.
    pub fn scheduler(&self, component: &str) -> Result<Box<dyn Scheduler>> {
        let class_name = self.index.required(component)?;
        if !schedulers::CLASS_NAMES.contains(&class_name) {
            let message =
                format!("is a `{class_name}`; available classes: {}", schedulers::CLASS_NAMES.join(", "));
            return Err(Error::config(self.index.origin(), component, message));
        }
        schedulers::load(&self.folder(component), class_name)
    }

    /// The CLIP tokenizer of this name.
    ///
    /// # Errors
    /// As [`Self::model`].
    pub fn clip_tokenizer(&self, component: &str) -> Result<CLIPTokenizer> {
        match self.index.required(component)? {
            "CLIPTokenizer" | "CLIPTokenizerFast" => CLIPTokenizer::load(&self.folder(component)),
            other => {
                let message = format!("is a `{other}`; only `CLIPTokenizer` can be loaded");
                Err(Error::config(self.index.origin(), component, message))
            }
        }
    }

    /// The tokenizer of a Gemma language model of this name.
    ///
    /// # Errors
    /// As [`Self::model`].
    pub fn gemma_tokenizer(&self, component: &str) -> Result<GemmaTokenizer> {
        match self.index.required(component)? {
            class if GemmaTokenizer::CLASSES.contains(&class) => {
                GemmaTokenizer::load(&self.folder(component))
            }
            other => {
                let message = format!("is a `{other}`; only `GemmaTokenizer` can be loaded");
                Err(Error::config(self.index.origin(), component, message))
            }
        }
    }

    /// The tokenizer of BERT of this name.
    ///
    /// # Errors
    /// As [`Self::model`].
    pub fn bert_tokenizer(&self, component: &str) -> Result<BertTokenizer> {
        match self.index.required(component)? {
            class if BertTokenizer::CLASSES.contains(&class) => BertTokenizer::load(&self.folder(component)),
            other => {
                let message = format!("is a `{other}`; only `BertTokenizer` can be loaded");
                Err(Error::config(self.index.origin(), component, message))
            }
        }
    }

    /// The tokenizer of a Qwen language model of this name.
    ///
    /// # Errors
    /// As [`Self::model`].
    pub fn qwen2_tokenizer(&self, component: &str) -> Result<Qwen2Tokenizer> {
        match self.index.required(component)? {
            class if Qwen2Tokenizer::CLASSES.contains(&class) => {
                Qwen2Tokenizer::load(&self.folder(component))
            }
            other => {
                let message = format!("is a `{other}`; only `Qwen2Tokenizer` can be loaded");
                Err(Error::config(self.index.origin(), component, message))
            }
        }
    }

    /// The processor of texts with images of this name.
    ///
    /// # Errors
    /// As [`Self::model`].
    pub fn qwen2_vl_processor(&self, component: &str) -> Result<Qwen2VLProcessor> {
        match self.index.required(component)? {
            class if Qwen2VLProcessor::CLASSES.contains(&class) => {
                Qwen2VLProcessor::load(&self.folder(component))
            }
            other => {
                let message = format!("is a `{other}`; only `Qwen2VLProcessor` can be loaded");
                Err(Error::config(self.index.origin(), component, message))
            }
        }
    }

    /// The processor of texts for Mistral 3 of this name.
    ///
    /// # Errors
    /// As [`Self::model`].
    pub fn pixtral_processor(&self, component: &str) -> Result<PixtralProcessor> {
        match self.index.required(component)? {
            class if PixtralProcessor::CLASSES.contains(&class) => {
                PixtralProcessor::load(&self.folder(component))
            }
            other => {
                let message = format!("is a `{other}`; only `PixtralProcessor` can be loaded");
                Err(Error::config(self.index.origin(), component, message))
            }
        }
    }

    /// The tokenizer of a T5 encoder of this name.
    ///
    /// # Errors
    /// As [`Self::model`].
    pub fn t5_tokenizer(&self, component: &str) -> Result<T5Tokenizer> {
        match self.index.required(component)? {
            class if T5Tokenizer::CLASSES.contains(&class) => T5Tokenizer::load(&self.folder(component)),
            other => {
                let message = format!("is a `{other}`; only `T5Tokenizer` can be loaded");
                Err(Error::config(self.index.origin(), component, message))
            }
        }
    }

    /// The tokenizer of Llama of this name, under any of the names that its class has had.
    ///
    /// # Errors
    /// When it is of another class; when its file is missing or damaged.
    pub fn llama_tokenizer(&self, component: &str) -> Result<LlamaTokenizer> {
        match self.index.required(component)? {
            class if LlamaTokenizer::CLASSES.contains(&class) => {
                LlamaTokenizer::load(&self.folder(component))
            }
            other => {
                let message = format!("is a `{other}`; only `LlamaTokenizer` can be loaded");
                Err(Error::config(self.index.origin(), component, message))
            }
        }
    }

    /// The image processor of this name; its class may have any of these names.
    ///
    /// # Errors
    /// When it is of another class; when its file is missing or damaged.
    pub(crate) fn image_processor<P: ImageProcessor>(
        &self,
        component: &str,
        class_names: &[&str],
    ) -> Result<P> {
        let class_name = self.index.required(component)?;
        if !class_names.contains(&class_name) {
            let message = format!("is a `{class_name}`; only `{}` can be loaded", class_names[0]);
            return Err(Error::config(self.index.origin(), component, message));
        }
        P::load(&self.folder(component))
    }
}
