//! IP-Adapters that are given on the command line.

use std::path::Path;

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
        bail!("--ip-adapter: {class_name} does not take it");
    };
    let adapters: Vec<_> = names.iter().map(|name| source(name, arguments)).collect();
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

/// Where to find an adapter. A path on the hub names the file and its folder, too: `OWNER/NAME/FOLDER/FILE`.
fn source<'a>(name: &'a str, arguments: &GenerateArguments) -> (&'a str, IpAdapterOptions) {
    let mut options = IpAdapterOptions::default();
    if let Some(folder) = &arguments.ip_adapter_image_encoder {
        options.image_encoder_folder = Some(folder.clone());
    }
    let ends: Vec<usize> = name.match_indices('/').map(|(end, _)| end).collect();
    match ends[..] {
        [first, end, ..] if first > 0 && !name.starts_with('.') && !Path::new(name).exists() => {
            let inside = &name[end + 1..];
            let (subfolder, file) = inside.rsplit_once('/').unwrap_or(("", inside));
            options.subfolder = Some(subfolder.to_owned()).filter(|folder| !folder.is_empty());
            options.weight_name = Some(file.to_owned());
            (&name[..end], options)
        }
        _ => (name, options),
    }
}

/// Sets the pictures, and where they count.
pub(crate) fn set_pictures(request: &mut Request, arguments: &GenerateArguments) -> anyhow::Result<()> {
    for (option, name, files) in [
        ("--ip-adapter-image", "ip_adapter_image", &arguments.ip_adapter_image),
        ("--negative-ip-adapter-image", "negative_ip_adapter_image", &arguments.negative_ip_adapter_image),
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
