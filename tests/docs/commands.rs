//! `docs/cli.md`: the verbs and their options, as the program has them.

use std::{env, fmt::Write, fs};

use clap::{Arg, Command, CommandFactory, Parser};
use serde_json::Value;
use weightedshare::cli::Arguments;

use super::{Result, root};

/// What is above this heading is written by hand.
const HEADING: &str = "## All commands\n";

/// What the page says of all verbs at once.
const COMMON: [&str; 4] = ["context", "kubeconfig", "as", "as-group"];

/// The verbs, in the order of the help.
fn verbs() -> Vec<Command> {
    let mut program = Arguments::command();
    program.build();
    program.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect()
}

/// An option as it is written: `-o, --output FORMAT`.
fn written(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let value = names.iter().map(|name| format!(" {name}")).collect::<String>();
    match (argument.get_short(), argument.get_long()) {
        (Some(short), Some(long)) if takes_value(argument) => format!("-{short}, --{long}{value}"),
        (Some(short), Some(long)) => format!("-{short}, --{long}"),
        (None, Some(long)) if takes_value(argument) => format!("--{long}{value}"),
        (None, Some(long)) => format!("--{long}"),
        _ => value.trim().to_owned(),
    }
}

fn takes_value(argument: &Arg) -> bool {
    argument.get_action().takes_values()
}

/// The first paragraph of a help text, for a cell of a table.
fn help(argument: &Arg) -> String {
    let text = argument.get_help().map(ToString::to_string).unwrap_or_default();
    text.replace('|', "\\|").replace('<', "&lt;")
}

fn section(verb: &Command) -> String {
    let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("\n### {}\n\n{about}.\n", verb.get_name());
    let is_common = |it: &Arg| it.get_long().is_some_and(|long| COMMON.contains(&long));
    let shown = |it: &&Arg| !it.is_hide_set() && it.get_id() != "help" && !is_common(it);
    let mut arguments: Vec<&Arg> = verb.get_arguments().filter(shown).collect();
    arguments.sort_by_key(|it| !it.is_positional());
    if !arguments.is_empty() {
        text += "\n| argument | |\n| --- | --- |\n";
        for argument in arguments {
            let _ = writeln!(text, "| `{}` | {} |", written(argument), help(argument));
        }
    }
    text
}

#[test]
fn the_page_of_commands_is_what_the_program_says() -> Result {
    let path = root().join("docs/cli.md");
    let page = fs::read_to_string(&path)?;
    let by_hand = page.split(HEADING).next().unwrap_or_default();
    let verbs = verbs();
    assert!(verbs.len() > 12, "{}", verbs.len());
    let wanted = format!("{by_hand}{HEADING}{}", verbs.iter().map(section).collect::<String>());
    if env::var_os("WRITE_DOCS").is_some() && page != wanted {
        fs::write(&path, &wanted)?;
    }
    assert!(fs::read_to_string(&path)? == wanted, "docs/cli.md is out of date: make docs");
    Ok(())
}

#[test]
fn the_plugins_for_k9s_run_commands_that_the_program_has() -> Result {
    // `make docs` is writing what would be read here.
    if env::var_os("WRITE_DOCS").is_some() {
        return Ok(());
    }
    let page = fs::read_to_string(root().join("docs/cli.md"))?;
    let (_, plugins) = page.split_once("```yaml\n# plugins.yaml\n").ok_or("no plugins")?;
    let (plugins, _) = plugins.split_once("```").ok_or("the plugins do not end")?;
    let plugins: Value = serde_yaml_ng::from_str(plugins)?;
    let plugins = plugins["plugins"].as_object().ok_or("no plugins")?;
    assert!(plugins.len() > 2, "{plugins:?}");
    let mut keys = Vec::new();
    for (name, plugin) in plugins {
        for field in ["shortCut", "description", "command"] {
            assert!(plugin[field].is_string(), "{name}: {field}");
        }
        let scope = plugin["scopes"][0].as_str().ok_or("no scope")?;
        assert!(["weightedshares", "pods"].contains(&scope), "{name}: {scope}");
        keys.push((scope, plugin["shortCut"].as_str()));
        let words = plugin["args"].as_array().ok_or("no arguments")?;
        let words = words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
        let (_, command) = words.split_once("weightedshare ").ok_or(format!("{name}: {words}"))?;
        let command = command.split(" | ").next().unwrap_or_default();
        Arguments::try_parse_from(["weightedshare"].into_iter().chain(command.split(' ')))
            .map_err(|error| format!("{name}: {error}"))?;
    }
    keys.sort_unstable();
    let count = keys.len();
    keys.dedup();
    assert_eq!(keys.len(), count, "two plugins have the same key: {keys:?}");
    Ok(())
}
