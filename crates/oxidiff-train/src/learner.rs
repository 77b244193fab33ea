//! What is trained, with its optimizer and its moving average.

use oxidiff::training::{AdamW, AdamWConfig, EMAModel, ParameterGradients, StateFile, Trained};

use crate::error::Result;

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

    /// One step of the optimizer and of the average.
    pub fn update(&mut self, gradients: &ParameterGradients, learning_rate: f64) {
        let trained = self.trained.take().expect("present between steps");
        let trained = self.optimizer.step(trained, gradients, learning_rate);
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
