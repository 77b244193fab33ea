//! T2I-Adapters that are given on the command line.

use anyhow::anyhow;
use oxidiff::{DiffusionPipeline, Error, T2IAdapter, T2IAdapters};

use crate::controlnets;
use crate::load_arguments::LoadArguments;

/// The pipeline for the same task with T2I-Adapters: folders, or names on the hub.
pub(crate) fn add(
    pipeline: &DiffusionPipeline,
    names: &[String],
    load: &LoadArguments,
) -> anyhow::Result<DiffusionPipeline> {
    let mut options = load.options()?;
    // The revision is that of the model.
    options.hub.revision = None;
    let load = |name: &String| {
        controlnets::load_folder::<T2IAdapter>(name, &options)
            .map_err(|error| anyhow!(error).context(format!("--adapter {name}")))
    };
    let adapters = names.iter().map(load).collect::<anyhow::Result<Vec<_>>>()?;
    let listed = names.join(", ");
    let made = T2IAdapters::of(adapters).and_then(|adapters| pipeline.with_adapter(adapters));
    made.map_err(|error| match error {
        Error::Unsupported { .. } => anyhow!("--adapter: {} does not take it", pipeline.class_name()),
        Error::InvalidArgument { argument: "adapter", message } => anyhow!("--adapter {listed}: {message}"),
        other => anyhow!(other).context("--adapter"),
    })
}
