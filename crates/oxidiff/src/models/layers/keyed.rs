//! Modules by name, as PyTorch's `ModuleDict` holds them.

use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
};
use burn::tensor::Device;

/// Modules whose names are parts of the keys in a checkpoint, such as `all_x_embedder.2-1.weight`.
#[derive(Clone, Debug)]
pub struct Keyed<M>(Vec<(String, M)>);

const CONTAINER: &str = "Keyed";

impl<M> Keyed<M> {
    /// The module of this name.
    pub fn get(&self, name: &str) -> Option<&M> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, module)| module)
    }

    /// The modules with their names.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut M)> {
        self.0.iter_mut().map(|(name, module)| (name.as_str(), module))
    }

    fn with_modules(self, change: impl Fn(M) -> M) -> Self {
        Self(self.0.into_iter().map(|(name, module)| (name, change(module))).collect())
    }
}

impl<M> FromIterator<(String, M)> for Keyed<M> {
    fn from_iter<I: IntoIterator<Item = (String, M)>>(modules: I) -> Self {
        Self(modules.into_iter().collect())
    }
}

impl<M: Module> Module for Keyed<M> {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.0.iter().fold(devices, |devices, (_, module)| module.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        self.with_modules(|module| module.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.with_modules(|module| module.to_device(device))
    }

    fn train(self) -> Self {
        self.with_modules(Module::train)
    }

    fn valid(&self) -> Self {
        self.0.iter().map(|(name, module)| (name.clone(), module.valid())).collect()
    }

    fn materialize(self) -> Self {
        self.with_modules(Module::materialize)
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        for (name, module) in &self.0 {
            visitor.enter_module(name, CONTAINER);
            module.visit(visitor);
            visitor.exit_module(name, CONTAINER);
        }
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        let modules = self.0.into_iter().map(|(name, module)| {
            mapper.enter_module(&name, CONTAINER);
            let mapped = module.map(mapper);
            mapper.exit_module(&name, CONTAINER);
            (name, mapped)
        });
        modules.collect()
    }
}

impl<M: ModuleDisplay> ModuleDisplayDefault for Keyed<M> {
    fn content(&self, content: Content) -> Option<Content> {
        self.0.iter().fold(content, |content, (name, module)| content.add(name, module)).optional()
    }
}

impl<M: ModuleDisplay> ModuleDisplay for Keyed<M> {}
