//! Options from the environment and from `sim.toml`, for what the command line does not say.
//!
//! A setting has the name of its option: `--start-slot` is `SIM_START_SLOT` in the environment and `start-slot` in the
//! file. Settings become arguments and are then read by the same parser as the command line, so that there is one set
//! of rules for values and one for what excludes what.

mod file;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use clap::{Arg, ArgAction, ArgMatches, Command};
use thiserror::Error;
use tracing_subscriber::filter::ParseError;

pub(crate) use file::{FILE_NAME, SettingsFile, SettingsFileError};

/// Environment variables by name.
pub(crate) type Environment = BTreeMap<String, String>;

/// The `SIM_*` variables of this process. Names and values that are not UTF-8 cannot be settings and are left out.
pub(crate) fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("SIM_"))
        .collect()
}

/// Why a setting cannot be used.
#[derive(Debug, Error)]
pub(crate) enum SettingsError {
    #[error(transparent)]
    File(#[from] SettingsFileError),
    #[error("{origin}: {}", first_line(error))]
    Value { origin: Origin, error: clap::Error },
    #[error("{option} is for a server, and --archive needs none; leave one of them out")]
    ForServerOnly { option: &'static str },
    #[error("{origin}: write it as true or false, not as {value:?}")]
    Flag { origin: Origin, value: String },
    #[error(
        "environment variable SIM_LOG: write it in the form of RUST_LOG, for example debug or warn,simulator_server=trace"
    )]
    Log(#[source] ParseError),
}

/// Options of the way to a server, each as it is called here and as it is written.
const FOR_SERVERS: [(&str, &str); 2] = [("api_key", "--api-key"), ("ca_file", "--ca-file")];

/// Where a setting was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An environment variable.
    Environment(String),
    /// A key of `sim.toml`.
    File(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(formatter, "environment variable {name}"),
            Self::File(key) => write!(formatter, "{FILE_NAME}, key {key}"),
        }
    }
}

/// Appends to a command line what the environment and the file say about options that it does not name.
///
/// A command line that does not parse is returned as it is: whoever parses it next reports what is wrong.
pub(crate) fn complete(
    root: &Command,
    mut args: Vec<OsString>,
    environment: &Environment,
    file: &SettingsFile,
) -> Result<Vec<OsString>, SettingsError> {
    let mut root = root.clone();
    root.build();
    let Ok(matches) = root.clone().try_get_matches_from(&args) else {
        return Ok(args);
    };
    let Some((command, matches)) = chosen(&root, &matches) else {
        return Ok(args);
    };
    let mut given = Given::by(command, matches);
    if let Some(option) = given.for_a_server_beside_an_archive() {
        return Err(SettingsError::ForServerOnly { option });
    }
    for layer in [Layer::Environment(environment), Layer::File(file)] {
        let found = layer.settings(command, &given);
        for setting in &found {
            args.extend(setting.arguments(command)?);
        }
        given.extend(found);
    }
    Ok(args)
}

/// Names of all settings that any command knows.
pub(crate) fn names(root: &Command) -> Vec<String> {
    let mut root = root.clone();
    // Building is what gives every command the options that all of them have.
    root.build();
    root.get_subcommands()
        .flat_map(|command| {
            settable(command)
                .map(|arg| setting_name(command, arg))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The subcommand that takes settings, if it is one of the command line.
fn chosen<'a>(root: &'a Command, matches: &'a ArgMatches) -> Option<(&'a Command, &'a ArgMatches)> {
    let (name, matches) = matches.subcommand()?;
    Some((root.find_subcommand(name)?, matches))
}

/// Options of a command that settings can give.
fn settable(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| {
        let wanted = matches!(
            arg.get_action(),
            ArgAction::Set | ArgAction::Append | ArgAction::SetTrue
        );
        wanted && arg.get_long().is_some()
    })
}

/// The option's own name, but for the keys of a server, which are another thing than the key of a client.
fn setting_name(command: &Command, arg: &Arg) -> String {
    let long = arg.get_long().unwrap_or_default();
    if command.get_name() == "serve" && long == "api-key" {
        "api-keys".to_owned()
    } else {
        long.to_owned()
    }
}

/// Options that have a value already.
struct Given<'a> {
    command: &'a Command,
    ids: Vec<String>,
}

impl<'a> Given<'a> {
    fn by(command: &'a Command, matches: &ArgMatches) -> Self {
        let on_command_line =
            |arg: &&Arg| matches.value_source(arg.get_id().as_str()) == Some(clap::parser::ValueSource::CommandLine);
        let ids = settable(command)
            .filter(on_command_line)
            .map(|arg| arg.get_id().to_string())
            .collect();
        Self { command, ids }
    }

    fn extend(&mut self, settings: Vec<Setting<'_>>) {
        self.ids
            .extend(settings.into_iter().map(|setting| setting.arg.get_id().to_string()));
    }

    /// An option of the way to a server that stands beside an archive. That is a mistake only where both are on the
    /// command line: a key in the environment waits for whichever server is asked next.
    fn for_a_server_beside_an_archive(&self) -> Option<&'static str> {
        let has = |name: &str| self.ids.iter().any(|id| id == name);
        let asks_servers = settable(self.command).any(|arg| arg.get_id() == "server");
        let mut found = FOR_SERVERS.into_iter().filter(|(id, _)| has(id));
        found
            .next()
            .filter(|_| asks_servers && has("archive"))
            .map(|(_, option)| option)
    }

    /// Whether the option, or one that excludes it, has a value.
    fn decides(&self, arg: &Arg) -> bool {
        let has = |other: &Arg| self.ids.iter().any(|id| id == other.get_id().as_str());
        let excludes = |one: &Arg, other: &Arg| {
            self.command
                .get_arg_conflicts_with(one)
                .iter()
                .any(|conflict| conflict.get_id() == other.get_id())
        };
        has(arg) || settable(self.command).any(|other| has(other) && (excludes(arg, other) || excludes(other, arg)))
    }
}

/// One place that settings come from.
enum Layer<'a> {
    Environment(&'a Environment),
    File(&'a SettingsFile),
}

impl Layer<'_> {
    fn settings<'c>(&self, command: &'c Command, given: &Given<'_>) -> Vec<Setting<'c>> {
        settable(command)
            .filter(|arg| !given.decides(arg))
            .filter_map(|arg| {
                let (origin, values) = self.find(&setting_name(command, arg), arg)?;
                Some(Setting { arg, origin, values })
            })
            .collect()
    }

    fn find(&self, name: &str, arg: &Arg) -> Option<(Origin, Vec<String>)> {
        match self {
            Self::Environment(environment) => {
                let variable = format!("SIM_{}", name.replace('-', "_").to_uppercase());
                let value = environment.get(&variable).filter(|value| !value.is_empty())?;
                let values = match arg.get_action() {
                    ArgAction::Append => value.split(',').map(str::to_owned).collect(),
                    _ => vec![value.clone()],
                };
                Some((Origin::Environment(variable), values))
            }
            Self::File(file) => Some((Origin::File(name.to_owned()), file.get(name)?.to_vec())),
        }
    }
}

/// An option's values from one layer.
struct Setting<'c> {
    arg: &'c Arg,
    origin: Origin,
    values: Vec<String>,
}

impl Setting<'_> {
    /// The setting as arguments, each checked by itself so that an error can say where the value comes from.
    fn arguments(&self, command: &Command) -> Result<Vec<OsString>, SettingsError> {
        let mut arguments = Vec::new();
        for value in &self.values {
            let Some(argument) = self.argument(value)? else {
                continue;
            };
            self.check(command, &argument)?;
            arguments.push(argument.into());
        }
        Ok(arguments)
    }

    fn argument(&self, value: &str) -> Result<Option<String>, SettingsError> {
        let long = self.arg.get_long().unwrap_or_default();
        match (self.arg.get_action(), value) {
            (ArgAction::SetTrue, "true" | "1") => Ok(Some(format!("--{long}"))),
            (ArgAction::SetTrue, "false" | "0") => Ok(None),
            (ArgAction::SetTrue, _) => Err(SettingsError::Flag {
                origin: self.origin.clone(),
                value: value.to_owned(),
            }),
            _ => Ok(Some(format!("--{long}={value}"))),
        }
    }

    fn check(&self, command: &Command, argument: &str) -> Result<(), SettingsError> {
        let alone = command.clone().subcommand_required(false).arg_required_else_help(false);
        match alone.try_get_matches_from([command.get_name(), argument]) {
            Ok(_) => Ok(()),
            Err(error) => Err(SettingsError::Value {
                origin: self.origin.clone(),
                error,
            }),
        }
    }
}

/// What went wrong, without the usage that follows it and the `error: ` in front of it.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests;
