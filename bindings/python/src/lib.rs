//! The extension module of the Python package `oxidiff`.
//!
//! It knows no class by name: those of pipelines, models and schedulers, and their arguments, come from the library's
//! registries. The package's Python code makes classes of them.

mod arguments;
mod array;
mod device;
mod dtype;
mod errors;
mod generator;
mod images;
mod info;
mod loading;
mod lock;
mod logging;
mod memory;
mod memory_limit;
mod model;
mod pipeline;
mod processor;
mod redux;
mod scheduler;
mod tensor;

use pyo3::prelude::*;

#[pymodule]
fn _oxidiff(module: &Bound<'_, PyModule>) -> PyResult<()> {
    logging::start();
    dtype::register(module)?;
    tensor::register(module)?;
    processor::register(module)?;
    module.add_function(wrap_pyfunction!(array::like, module)?)?;
    module.add_function(wrap_pyfunction!(array::scalar, module)?)?;
    module.add_function(wrap_pyfunction!(array::imported_like, module)?)?;
    module.add_function(wrap_pyfunction!(device::has_card, module)?)?;
    module.add_function(wrap_pyfunction!(device::set_allow_tf32, module)?)?;
    module.add_function(wrap_pyfunction!(device::set_cpu_offload, module)?)?;
    module.add_function(wrap_pyfunction!(generator::draw_classes, module)?)?;
    module.add_function(wrap_pyfunction!(memory_limit::set_max_memory, module)?)?;
    module.add_class::<scheduler::PyScheduler>()?;
    module.add_class::<model::PyModel>()?;
    module.add_class::<pipeline::PyPipeline>()?;
    module.add_class::<pipeline::PyPart>()?;
    module.add_class::<redux::PyRedux>()?;
    module.add_function(wrap_pyfunction!(scheduler::scheduler_classes, module)?)?;
    module.add_function(wrap_pyfunction!(model::model_classes, module)?)?;
    module.add_function(wrap_pyfunction!(model::model_config, module)?)?;
    module.add_function(wrap_pyfunction!(model::controlnet_from_unet, module)?)?;
    module.add_function(wrap_pyfunction!(pipeline::pipeline_classes, module)?)?;
    module.add_function(wrap_pyfunction!(pipeline::auto_pipeline_classes, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("DIFFUSERS_VERSION", oxidiff::DIFFUSERS_VERSION)
}
