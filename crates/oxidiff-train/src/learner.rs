//! What is trained, with its optimizer and its moving average.

use std::path::Path;

use oxidiff::training::{
    AdamW, AdamWConfig, EMAModel, EMAModelConfig, ParameterGradients, ParameterGroup, StateFile, Trained,
};
use oxidiff::{Config, Model};

use crate::error::{Error, Result};

/// Parameters that learn.
#[derive(Debug)]
pub(crate) struct Learner<T> {
    /// Only absent within a step.
    trained: Option<T>,
    optimizer: AdamW,
    config: AdamWConfig,
    /// The moving average of the parameters, if one is wanted.
    pub average: Option<EMAModel>,
}

impl<T: Trained> Learner<T> {
    pub fn new(trained: T, config: AdamWConfig, average: Option<EMAModel>) -> Self {
        Self { trained: Some(trained), optimizer: AdamW::new(config), config, average }
    }

    /// The parameters.
    pub fn trained(&self) -> &T {
        self.trained.as_ref().expect("present between steps")
    }

    /// A copy of the parameters: their average, if there is one.
    pub fn averaged(&self) -> T
    where
        T: Clone,
    {
        let trained = self.trained().clone();
        match &self.average {
            Some(average) => average.copy_to(trained),
            None => trained,
        }
    }

    /// One step of the optimizer and of the average.
    pub fn update(&mut self, gradients: &ParameterGradients, learning_rate: f64) {
        let group = ParameterGroup { learning_rate, weight_decay: self.config.weight_decay };
        self.update_groups(gradients, |_| group);
    }

    /// As [`Self::update`], with settings for each parameter by its path.
    pub fn update_groups(&mut self, gradients: &ParameterGradients, group: impl Fn(&str) -> ParameterGroup) {
        let trained = self.trained.take().expect("present between steps");
        let trained = self.optimizer.step_groups(trained, gradients, group);
        if let Some(average) = &mut self.average {
            average.step(&trained);
        }
        self.trained = Some(trained);
    }

    /// Adds the optimizer's state to that of a checkpoint.
    pub fn save(&self, state: &mut StateFile) {
        self.optimizer.save(state, "optimizer");
    }

    /// Goes on with other parameters, and with the optimizer of a checkpoint.
    ///
    /// # Errors
    /// When the optimizer's state is damaged or does not fit the parameters.
    pub fn load(&mut self, trained: T, state: &StateFile) -> Result<()> {
        let optimizer = AdamW::load(self.config, state, "optimizer")?;
        optimizer.check_fits(&trained, state)?;
        (self.trained, self.optimizer) = (Some(trained), optimizer);
        Ok(())
    }
}

/// The name of parameters in the state of a checkpoint.
const LAYERS: &str = "layers";

impl<T: Trained + Clone> Learner<T> {
    /// As [`Self::save`], with the parameters themselves.
    pub fn save_layers(&self, state: &mut StateFile) {
        self.trained().save_values(state, LAYERS);
        self.save(state);
    }

    /// Goes on with what [`Self::save_layers`] wrote.
    ///
    /// # Errors
    /// When it is damaged or does not fit the parameters.
    pub fn load_layers(&mut self, state: &StateFile) -> Result<()> {
        let trained = self.trained().clone().with_values(state, LAYERS)?;
        self.load(trained, state)
    }
}

/// The folder of the average in a checkpoint.
const AVERAGE: &str = "unet_ema";

/// Checks that a checkpoint has no average, which would be lost.
///
/// # Errors
/// When it has one.
pub(crate) fn has_no_average(folder: &Path) -> Result<()> {
    let folder = folder.join(AVERAGE);
    match folder.is_dir() {
        true => Err(Error::checkpoint(&folder, "is the average of a training with --use-ema: go on with it")),
        false => Ok(()),
    }
}

/// The average in a checkpoint: the folder `unet_ema`, which is a model's with the average's settings.
///
/// # Errors
/// When it is missing or damaged.
pub(crate) fn saved_average<M: Model>(model: &M, config: EMAModelConfig, folder: &Path) -> Result<EMAModel> {
    let folder = folder.join(AVERAGE);
    let file = folder.join("config.json");
    if !folder.is_dir() {
        let message = "does not exist, as the checkpoint was written without --use-ema";
        return Err(Error::checkpoint(&folder, message));
    }
    let step = Config::from_file(&file)?.get("optimization_step").and_then(|step| step.as_u64());
    let step = step.ok_or_else(|| Error::checkpoint(&file, "`optimization_step` must be a whole number"))?;
    let mut state = StateFile::new();
    state.put_u64("ema.optimization_step", step);
    M::from_pretrained(&folder.to_string_lossy())?.read(&mut |name, shape, values| {
        state.put_f32(format!("ema.shadow.{name}"), shape.to_vec(), values);
    });
    Ok(EMAModel::load(model, config, &state, "ema")?)
}
