//! Options, in kebab-case, for all keyword arguments of pipelines that have no option in [`Arguments`].

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory};
use oxidiff::{ArgumentInfo, DiffusionPipeline, Error};

use crate::arguments::Arguments;

/// Arguments that have another name here, and that name.
const RENAMED: [(&str, &str); 5] = [
    ("num_inference_steps", "--steps"),
    ("num_images_per_prompt", "--num-images"),
    ("batch_size", "--num-images"),
    ("prompt", "PROMPT"),
    ("output_type", "--output"),
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
    let help = argument.summary();
    let option = Arg::new(id(&argument))
        .long(long_name(argument.name))
        .help(help.replace('`', ""))
        .help_heading("Options of some pipelines")
        .action(ArgAction::Set);
    if argument.is_flag {
        // Without the equals sign, `--flag PROMPT` would take the prompt for the value.
        option.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("true|false")
    } else {
        option.value_name("VALUE")
    }
}

/// Joins each flag with a value that follows it: `--flag false` becomes `--flag=false`. Any other word after a flag is not its
/// value.
pub(crate) fn join_flags(words: &[OsString]) -> Vec<OsString> {
    let flags = DiffusionPipeline::all_arguments().into_iter().filter(|argument| argument.is_flag);
    let flags = Vec::from_iter(flags.map(|argument| option_name(argument.name)));
    let mut joined: Vec<OsString> = Vec::new();
    let mut rest = words.iter().peekable();
    while let Some(word) = rest.next() {
        if word == "--" {
            joined.push(word.clone());
            break;
        }
        let is_flag = flags.iter().any(|flag| word == flag.as_str());
        match rest.next_if(|next| is_flag && (*next == "true" || *next == "false")) {
            Some(value) => {
                let mut flag = word.clone();
                flag.push("=");
                flag.push(value);
                joined.push(flag);
            }
            None => joined.push(word.clone()),
        }
    }
    joined.extend(rest.cloned());
    joined
}

/// Names the option that an error of the library is about, if `generate` has an option for an argument that the pipeline
/// `takes`.
pub(crate) fn name_option(error: Error, takes: impl Fn(&str) -> bool) -> anyhow::Error {
    match error {
        Error::InvalidArgument { argument, message } if takes(argument) => {
            anyhow::anyhow!("{}: {message}", shown(argument))
        }
        other => other.into(),
    }
}

/// How a user writes an argument: as an option, if it can be written at all.
fn shown(argument: &str) -> String {
    if let Some((_, option)) = RENAMED.iter().find(|(name, _)| *name == argument) {
        return (*option).to_owned();
    }
    let option = option_name(argument);
    let command = add_to(Arguments::command());
    let mut options = command.find_subcommand("generate").into_iter().flat_map(Command::get_arguments);
    let is_option = options.any(|known| known.get_long() == option.strip_prefix("--"));
    if is_option { option } else { format!("`{argument}`") }
}

fn option_name(argument: &str) -> String {
    format!("--{}", long_name(argument))
}

/// Names that begin with an underscore in Python are written without it.
fn long_name(argument: &str) -> String {
    argument.trim_start_matches('_').replace('_', "-")
}
