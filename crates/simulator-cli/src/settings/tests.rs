use std::ffi::OsString;

use clap::{CommandFactory, Parser};

use super::{Environment, SettingsError, SettingsFile, SettingsFileError, complete, names};
use crate::args::{ApiKey, Cli, Command, RunArgs};

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn file(text: &str) -> SettingsFile {
    SettingsFile::parse(text, &names(&Cli::command())).expect("a good file")
}

fn completed(args: &str, variables: &[(&str, &str)], text: &str) -> Result<Cli, SettingsError> {
    let args: Vec<OsString> = args.split_whitespace().map(OsString::from).collect();
    let args = complete(&Cli::command(), args, &environment(variables), &file(text))?;
    Ok(Cli::try_parse_from(args).expect("parses"))
}

fn run(args: &str, variables: &[(&str, &str)], text: &str) -> RunArgs {
    match completed(args, variables, text).expect("good settings").command {
        Command::Run(run) => *run,
        other => panic!("not a run: {other:?}"),
    }
}

#[test]
fn command_line_wins_over_environment_over_file() {
    let text = "start-slot = 3\nend-slot = 33\nextra-compute-units = 333";
    let args = run(
        "sim run --start-slot 1",
        &[("SIM_START_SLOT", "2"), ("SIM_END_SLOT", "22")],
        text,
    );
    assert_eq!(
        (args.start_slot, args.end_slot, args.extra_compute_units),
        (Some(1), Some(22), Some(333))
    );
}

#[test]
fn an_option_silences_the_settings_that_it_excludes() {
    let args = run(
        "sim run --server ws://h",
        &[("SIM_ARCHIVE", "a"), ("SIM_SLOTS", "4")],
        "end-slot = 9",
    );
    assert_eq!(args.place.server.as_deref(), Some("ws://h"));
    assert!(args.place.archive.is_empty());
    assert_eq!((args.slots.map(u64::from), args.end_slot), (Some(4), None));
}

#[test]
fn repeatable_options_take_several_values() {
    assert_eq!(run("sim run", &[("SIM_ARCHIVE", "a,b")], "").place.archive, ["a", "b"]);
    assert_eq!(run("sim run", &[], "archive = ['a', 'b']").place.archive, ["a", "b"]);
}

#[test]
fn flags_are_true_or_false() {
    assert!(run("sim run", &[("SIM_JSON", "true")], "").json);
    assert!(!run("sim run", &[("SIM_JSON", "0")], "").json);
    assert!(run("sim run", &[], "json = true").json);
    let error = completed("sim run", &[("SIM_JSON", "maybe")], "").expect_err("neither");
    insta::assert_snapshot!(error, @r#"environment variable SIM_JSON: write it as true or false, not as "maybe""#);
}

#[test]
fn empty_variable_is_no_setting() {
    assert_eq!(run("sim run", &[("SIM_START_SLOT", "")], "").start_slot, None);
}

#[test]
fn quiet_is_a_setting_of_every_command() {
    assert!(completed("sim run", &[("SIM_QUIET", "1")], "").expect("good").quiet);
    assert!(
        completed("sim archive inspect x", &[], "quiet = true")
            .expect("good")
            .quiet
    );
}

#[test]
fn keys_of_a_server_are_not_the_key_of_a_client() {
    let cli = completed(
        "sim serve",
        &[("SIM_API_KEY", "secret"), ("SIM_API_KEYS", "a=1,b=2")],
        "",
    )
    .expect("good");
    let Command::Serve(serve) = cli.command else {
        panic!("not a serve: {cli:?}")
    };
    assert_eq!(
        serve.api_key.iter().map(ApiKey::reveal).collect::<Vec<_>>(),
        ["a=1", "b=2"]
    );
}

#[test]
fn a_key_beside_an_archive_is_a_mistake_only_on_the_command_line() {
    let error = completed("sim run --archive a --api-key secret", &[], "").expect_err("both");
    insta::assert_snapshot!(error, @"--api-key is for a server, and --archive needs none; leave one of them out");
    assert!(completed("sim ranges --archive a --api-key secret", &[], "").is_err());
    let error = completed("sim run --archive a --ca-file ca.pem", &[], "").expect_err("both");
    insta::assert_snapshot!(error, @"--ca-file is for a server, and --archive needs none; leave one of them out");
    assert!(completed("sim run --archive a", &[("SIM_CA_FILE", "ca.pem")], "").is_ok());
    assert!(completed("sim serve --archive a --api-key n=secret", &[], "").is_ok());
    let args = run("sim run --archive a", &[("SIM_API_KEY", "secret")], "");
    assert_eq!(args.place.archive, ["a"]);
}

#[test]
fn errors_name_where_the_value_comes_from() {
    let error = completed("sim run", &[("SIM_START_SLOT", "x")], "").expect_err("not a number");
    insta::assert_snapshot!(error, @"environment variable SIM_START_SLOT: invalid value 'x' for '--start-slot <N>': invalid digit found in string");
    let error = completed("sim run", &[], "start-slot = -1").expect_err("negative");
    insta::assert_snapshot!(error, @"sim.toml, key start-slot: invalid value '-1' for '--start-slot <N>': invalid digit found in string");
}

#[test]
fn unknown_key_is_named() {
    let known = names(&Cli::command());
    let error = SettingsFile::parse("start_slot = 1", &known).expect_err("misspelt");
    assert!(
        matches!(&error, SettingsFileError::UnknownKey { key, .. } if key == "start_slot"),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .starts_with("sim.toml: unknown key \"start_slot\"; keys are options"),
        "{error}"
    );
}

#[test]
fn broken_line_is_not_repeated() {
    let error = SettingsFile::parse("json = true\napi-key = secret\n", &names(&Cli::command())).expect_err("no quotes");
    let text = crate::error::chain(&error);
    assert!(text.starts_with("sim.toml, line 2 is not TOML"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn value_of_another_type_is_refused() {
    let known = names(&Cli::command());
    let error = SettingsFile::parse("start-slot = 1.5", &known).expect_err("a float");
    insta::assert_snapshot!(error, @r#"sim.toml: the value of "start-slot" is float; write a string, a number, true or false, or an array of them"#);
}

#[test]
fn wrong_command_line_is_left_to_the_parser() {
    let args = vec![OsString::from("sim"), OsString::from("nonsense")];
    let same = complete(
        &Cli::command(),
        args.clone(),
        &Environment::new(),
        &SettingsFile::default(),
    );
    assert_eq!(same.expect("not our error"), args);
}
