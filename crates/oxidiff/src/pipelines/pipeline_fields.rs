//! Methods of pipelines for their fields `components`, `index`, `scheduler` and `progress_bar`.

/// Gives the pipeline the fields of its components, of the type `$components`, and prints its index.
macro_rules! expose_components {
    ($pipeline:ident, $components:ty) => {
        /// The parts, by their names in Python.
        impl std::ops::Deref for $pipeline {
            type Target = $components;

            fn deref(&self) -> &Self::Target {
                &self.components
            }
        }

        impl std::ops::DerefMut for $pipeline {
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.components
            }
        }

        $crate::pipelines::pipeline_fields::display_index!($pipeline);
    };
}

/// Inside the `impl` of the parts of a pipeline: takes them from another pipeline, and lists them in this order. Each is `required` or
/// `optional`.
macro_rules! parts {
    (@take required $components:ident, $name:expr) => { $components.take($name) };
    (@take optional $components:ident, $name:expr) => { $components.take_optional($name) };
    (@push required $list:ident, $name:expr, $part:expr) => { $list.push($name, $part) };
    (@push optional $list:ident, $name:expr, $part:expr) => { $list.push_optional($name, $part) };
    ($($need:ident $part:ident),+ $(,)?) => {
        /// Takes the parts of another pipeline, and shares their weights.
        ///
        /// # Errors
        /// When a part is missing, or of another class.
        pub(super) fn of(
            components: &$crate::pipelines::component::Components<'_>,
        ) -> $crate::error::Result<Self> {
            use $crate::pipelines::pipeline_fields::parts;
            Ok(Self { $($part: parts!(@take $need components, stringify!($part))?),+ })
        }

        /// The parts, by their names in `model_index.json`.
        pub(super) fn list(&self) -> $crate::pipelines::component::Components<'_> {
            use $crate::pipelines::pipeline_fields::parts;
            let mut list = $crate::pipelines::component::Components::default();
            $(parts!(@push $need list, stringify!($part), &self.$part);)+
            list
        }
    };
}

/// Inside `impl Pipeline`, for a pipeline whose parts are `$components`, changed by LoRA: all methods about them.
macro_rules! component_methods {
    ($components:ty) => {
        $crate::pipelines::pipeline_fields::part_methods!($components);
        $crate::pipelines::pipeline_fields::adaptable_methods!();
    };
}

/// Inside `impl Pipeline`, for a pipeline whose parts are `$components`: loads, takes over and lists them.
macro_rules! part_methods {
    ($components:ty) => {
        fn load(
            loader: &$crate::pipelines::common::component_loader::ComponentLoader<'_>,
        ) -> $crate::error::Result<Self> {
            let components = <$components>::load(loader)?;
            Self::assemble(components, loader.index().clone())
        }

        fn from_components(
            components: &$crate::pipelines::component::Components<'_>,
            index: $crate::pipelines::model_index::ModelIndex,
        ) -> $crate::error::Result<Self> {
            let index = index.for_class(Self::CLASS_NAME, &<$components>::INDEX_NAMES);
            Self::assemble(<$components>::of(components)?, index)
        }

        fn components(&self) -> $crate::pipelines::component::Components<'_> {
            self.components.list()
        }
    };
}

/// As [`component_methods`], for a pipeline with ControlNets of the type `$controlnet` besides, whose index can have `$index_names`.
macro_rules! controlnet_component_methods {
    ($components:ty, $controlnet:ty, $index_names:expr) => {
        $crate::pipelines::pipeline_fields::controlnet_part_methods!($components, $controlnet, $index_names);
        $crate::pipelines::pipeline_fields::adaptable_methods!();
    };
}

/// As [`part_methods`], for a pipeline with ControlNets of the type `$controlnet` besides, whose index can have `$index_names`.
macro_rules! controlnet_part_methods {
    ($components:ty, $controlnet:ty, $index_names:expr) => {
        fn load(
            loader: &$crate::pipelines::common::component_loader::ComponentLoader<'_>,
        ) -> $crate::error::Result<Self> {
            let controlnet = <$controlnet>::load(loader)?;
            let components = <$components>::load(loader)?;
            let index = loader.index().for_class(Self::CLASS_NAME, &$index_names);
            Self::assemble(components, controlnet, index)
        }

        fn from_components(
            components: &$crate::pipelines::component::Components<'_>,
            index: $crate::pipelines::model_index::ModelIndex,
        ) -> $crate::error::Result<Self> {
            let index = index.for_class(Self::CLASS_NAME, &$index_names);
            let controlnet = <$controlnet>::of_components(components)?;
            Self::assemble(<$components>::of(components)?, controlnet, index)
        }

        fn components(&self) -> $crate::pipelines::component::Components<'_> {
            let mut components = self.components.list();
            components.push("controlnet", &self.controlnet);
            components
        }
    };
}

/// Inside `impl Pipeline`, for parts that LoRA can change, with a field `vae`.
macro_rules! adaptable_methods {
    () => {
        fn lora_loader(&mut self) -> Option<&mut dyn $crate::pipelines::common::lora::LoraLoader> {
            Some(&mut self.components)
        }

        $crate::pipelines::pipeline_fields::field_methods!();
        $crate::pipelines::pipeline_fields::vae_methods!();
    };
}

/// Inside `impl Pipeline`: the methods that return or set a field.
macro_rules! field_methods {
    () => {
        fn index(&self) -> &$crate::pipelines::model_index::ModelIndex {
            &self.index
        }

        fn scheduler(&self) -> &dyn $crate::schedulers::Scheduler {
            &*self.scheduler
        }

        fn set_scheduler(&mut self, scheduler: impl Into<Box<dyn $crate::schedulers::Scheduler>>) {
            self.scheduler = scheduler.into();
        }

        fn set_progress_bar(&mut self, enabled: bool) {
            self.progress_bar = enabled;
        }
    };
}

/// Inside `impl Pipeline`, for a pipeline with a field `vae`: the methods that turn tiling and slicing on and off.
macro_rules! vae_methods {
    () => {
        fn set_vae_tiling(&mut self, enabled: bool) -> $crate::error::Result<()> {
            if enabled {
                self.vae.enable_tiling()
            } else {
                self.vae.disable_tiling()
            }
            Ok(())
        }

        fn set_vae_slicing(&mut self, enabled: bool) -> $crate::error::Result<()> {
            if enabled {
                self.vae.enable_slicing()
            } else {
                self.vae.disable_slicing()
            }
            Ok(())
        }
    };
}

/// Inside `impl Pipeline`, for a pipeline with a field `unet` that attends to texts.
macro_rules! freeu_methods {
    () => {
        fn set_freeu(&mut self, factors: Option<$crate::FreeU>) -> $crate::error::Result<()> {
            match factors {
                Some(factors) => self.unet.enable_freeu(factors)?,
                None => self.unet.disable_freeu(),
            }
            Ok(())
        }
    };
}

/// Inside `impl Pipeline`, for a pipeline whose calls take pictures for IP-Adapters.
macro_rules! ip_adapter_methods {
    () => {
        fn ip_adapter_loader(
            &mut self,
        ) -> Option<&mut dyn $crate::pipelines::common::ip_adapter::IpAdapterLoader> {
            Some(&mut self.components)
        }
    };
}

/// Prints the class and its `model_index.json`, as Python does.
macro_rules! display_index {
    ($pipeline:ty $(, $parameter:ident: $bound:ident)?) => {
        /// Prints the class and its `model_index.json`, as Python does.
        impl$(<$parameter: $bound>)? std::fmt::Display for $pipeline {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                $crate::pipelines::pipeline::Pipeline::current_index(self).fmt(f)
            }
        }
    };
}

pub(super) use {
    adaptable_methods, component_methods, controlnet_component_methods, controlnet_part_methods,
    display_index, expose_components, field_methods, freeu_methods, ip_adapter_methods, part_methods, parts,
    vae_methods,
};
