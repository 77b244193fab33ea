//! Options, in kebab-case, for all keyword arguments of pipelines that have no option in [`Arguments`].

use clap::{Arg, ArgAction, ArgMatches, Command};
use oxidiff::{ArgumentInfo, DiffusionPipeline, Error};

/// Arguments that have another name here, and that name.
const RENAMED: [(&str, &str); 4] = [
    ("num_inference_steps", "--steps"),
    ("num_images_per_prompt", "--num-images"),
    ("batch_size", "--num-images"),
    ("prompt", "PROMPT"),
];

/// Adds the options to `oxidiff generate`.
pub(crate) fn add_to(command: Command) -> Command {
    command.mut_subcommand("generate", |generate| {
        let further = further(&generate);
        further.into_iter().fold(generate, |generate, argument| generate.arg(option(argument)))
    })
}

/// Their values on the command line, by name.
pub(crate) fn values(generate: &ArgMatches) -> Vec<(String, String)> {
    DiffusionPipeline::all_arguments()
        .iter()
        .filter_map(|argument| {
            let value = generate.try_get_one::<String>(&id(argument)).ok()??;
            Some((argument.name.to_owned(), value.clone()))
        })
        .collect()
}

/// The arguments that have no option yet.
fn further(generate: &Command) -> Vec<ArgumentInfo> {
    let has_option = |name: &str| generate.get_arguments().any(|option| option.get_id() == name);
    let mut further = DiffusionPipeline::all_arguments();
    further.retain(|argument| {
        let renamed = RENAMED.iter().any(|(name, _)| *name == argument.name);
        argument.can_be_written && !renamed && !has_option(argument.name)
    });
    further
}

/// Two underscores distinguish them from the fields of [`Arguments`](crate::arguments::Arguments).
fn id(argument: &ArgumentInfo) -> String {
    format!("__{}", argument.name)
}

fn option(argument: ArgumentInfo) -> Arg {
    // Only the first sentence: the other options have one, too.
    let help = argument.help.trim().split(". ").next().unwrap_or_default().trim_end_matches('.');
    let option = Arg::new(id(&argument))
        .long(argument.name.replace('_', "-"))
        .help(help.replace('`', ""))
        .help_heading("Options of some pipelines")
        .action(ArgAction::Set);
    if argument.is_flag {
        option.num_args(0..=1).default_missing_value("true").value_name("true|false")
    } else {
        option.value_name("VALUE")
    }
}

/// Names the option that an error of the library is about.
pub(crate) fn name_option(error: Error) -> anyhow::Error {
    match error {
        Error::InvalidArgument { argument, message } => {
            let renamed = RENAMED.iter().find(|(name, _)| *name == argument);
            let option = match renamed {
                Some((_, option)) => (*option).to_owned(),
                None => format!("--{}", argument.replace('_', "-")),
            };
            anyhow::anyhow!("{option}: {message}")
        }
        other => other.into(),
    }
}
