//! IP-Adapters that are given on the command line.

use anyhow::{anyhow, bail};
use oxidiff::{Argument, DiffusionPipeline, IpAdapterOptions, Request, load_image};

use crate::adapters::about_file;
use crate::arguments::GenerateArguments;

/// Loads the adapters that were given into the pipeline.
pub(crate) fn load(pipeline: &mut DiffusionPipeline, arguments: &GenerateArguments) -> anyhow::Result<()> {
    let names = &arguments.ip_adapter;
    if names.is_empty() {
        return Ok(());
    }
    let class_name = pipeline.class_name();
    let Some(loader) = pipeline.ip_adapter_loader() else {
        bail!("--ip-adapter: a {class_name} does not take it");
    };
    let adapters: Vec<_> = names.iter().map(|name| (name.as_str(), IpAdapterOptions::default())).collect();
    loader
        .load_ip_adapters(&adapters)
        .map_err(|error| about_file("--ip-adapter", &names.join(", "), &error))?;
    let scales = match arguments.ip_adapter_scale.as_slice() {
        [] => return Ok(()),
        [one] => vec![one.clone(); names.len()],
        each => each.to_vec(),
    };
    loader.set_ip_adapter_scale(&scales).map_err(|error| match error {
        oxidiff::Error::InvalidArgument { message, .. } => anyhow!("--ip-adapter-scale: {message}"),
        other => other.into(),
    })
}

/// Sets the pictures, and where they count.
pub(crate) fn set_pictures(request: &mut Request, arguments: &GenerateArguments) -> anyhow::Result<()> {
    for (option, name, files) in [
        ("--ip-adapter-image", "ip_adapter_image", &arguments.ip_adapter_image),
        ("--ip-adapter-masks", "ip_adapter_masks", &arguments.ip_adapter_masks),
    ] {
        let read = |file| load_image(file).map_err(|error| anyhow!(error).context(option));
        let pictures = files.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
        if !pictures.is_empty() {
            request.set(name, Argument::List(pictures.into_iter().map(Argument::from).collect()));
        }
    }
    Ok(())
}
