//! Methods of [`Scheduler`](crate::schedulers::Scheduler) that are the same in many classes.

/// Implements methods of `Scheduler` that only delegate.
///
/// - `scheduler_methods!(config)`: `from_config` and `config`, by the file's `CLASS_NAME`, the function `build` and the
///   field `config` of the class.
/// - `scheduler_methods!(run: FIELD)`: `timesteps`, `sigmas` and the methods of `position`, by the field that holds the
///   run.
/// - `scheduler_methods!(position: self => SHARED, EXCLUSIVE)`: the methods of `begin_index` and `step_index`, by
///   references to the position.
/// - `scheduler_methods!(add_noise: FIELD)`: `add_noise`, by the field that knows the noise levels.
/// - `scheduler_methods!(velocity: FIELD)`: `get_velocity`, by the schedule of β.
macro_rules! scheduler_methods {
    (config) => {
        fn from_config(config: &$crate::Config) -> $crate::Result<Self> {
            let (fields, config) = config.resolve(CLASS_NAME)?;
            Self::build(fields, config)
        }

        fn config(&self) -> &$crate::Config {
            &self.config
        }
    };
    (run: $run:ident) => {
        fn timesteps(&self) -> &[f32] {
            self.$run.timesteps()
        }

        fn sigmas(&self) -> Option<&[f32]> {
            self.$run.sigmas()
        }

        scheduler_methods!(position: self => self.$run.position(), self.$run.position_mut());
    };
    (position: $self:ident => $position:expr, $position_mut:expr) => {
        fn begin_index(&$self) -> Option<usize> {
            $position.begin()
        }

        fn set_begin_index(&mut $self, begin_index: usize) {
            $position_mut.set_begin(begin_index);
        }

        fn step_index(&$self) -> Option<usize> {
            $position.current()
        }

        fn set_step_index(&mut $self, step_index: Option<usize>) {
            $position_mut.set_current(step_index);
        }
    };
    (add_noise: $levels:ident) => {
        fn add_noise(
            &self,
            original_samples: ::burn::tensor::Tensor<4>,
            noise: ::burn::tensor::Tensor<4>,
            timesteps: &[f32],
        ) -> $crate::Result<::burn::tensor::Tensor<4>> {
            self.$levels.add_noise(original_samples, noise, timesteps)
        }
    };
    (velocity: $schedule:ident) => {
        fn get_velocity(
            &self,
            sample: ::burn::tensor::Tensor<4>,
            noise: ::burn::tensor::Tensor<4>,
            timesteps: &[f32],
        ) -> $crate::Result<::burn::tensor::Tensor<4>> {
            self.$schedule.velocity(sample, noise, timesteps)
        }
    };
}
pub(crate) use scheduler_methods;
