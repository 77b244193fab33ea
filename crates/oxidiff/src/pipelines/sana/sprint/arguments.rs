//! The arguments of SANA-Sprint.

/// Declares the arguments of a call: its own, with their defaults, and those that both classes share.
macro_rules! sprint_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal {
            $(
                $(#[doc = $doc:literal])*
                pub $field:ident: $type:ty = $default:expr,
            )*
        }
    ) => {
        $crate::pipelines::sana::arguments::prompt_arguments! {
            $(#[doc = $about])*
            pub struct $arguments: $task, steps: 2 {
                $(
                    $(#[doc = $doc])*
                    pub $field: $type = $default,
                )*
                /// The timesteps of the run, from about π/2 (noise) to the 0 (data) where it ends: one more than steps.
                pub timesteps: Option<Vec<f32>> = None,
                /// The first timestep; by default 1.5708. It cannot be given with `timesteps`.
                pub max_timesteps: Option<f64> = None,
                /// The second timestep of a run of two steps; by default 1.3. Others have none.
                pub intermediate_timesteps: Option<f64> = None,
                /// The guidance that the model imitates.
                pub guidance_scale: f64 = 4.5,
                /// Has no effect: it is for schedulers that these models are not for.
                pub eta: f64 = 0.0,
            }
        }

        impl $arguments {
            /// Arguments with one prompt and the defaults.
            fn of_prompt(prompt: impl Into<String>) -> Self {
                Self { prompt: vec![prompt.into()], ..Self::default() }
            }

            /// Checks what both classes share, and takes out the values that the run needs.
            fn settings(
                &mut self,
            ) -> $crate::error::Result<(
                $crate::pipelines::sana::arguments::Settings,
                $crate::pipelines::sana::sprint::run::Timesteps,
            )> {
                let images = self.positive_prompts().images()?;
                let mut settings = self.basic_settings(images);
                settings.eta = self.eta;
                settings.check()?;
                let timesteps = $crate::pipelines::sana::sprint::run::Timesteps {
                    steps: self.num_inference_steps,
                    given: self.timesteps.take(),
                    max: self.max_timesteps,
                    intermediate: self.intermediate_timesteps,
                };
                Ok((settings, timesteps))
            }
        }
    };
}

pub(super) use sprint_arguments;
