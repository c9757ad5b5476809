//! What `-h` and `--help` show, and which arguments are taken.

use clap::{Command as Verb, CommandFactory, Parser};

use super::super::{Arguments, Command, Format, ObjectName, StatusOutput};

/// The usual size of a terminal.
const COLUMNS: usize = 80;
const LINES: usize = 24;

/// The program, and each of its verbs.
fn verbs() -> Vec<Verb> {
    let mut program = Arguments::command();
    program.build();
    let verbs = program.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned();
    let mut all: Vec<Verb> = verbs.collect();
    all.push(program);
    all.into_iter().map(|verb| verb.term_width(COLUMNS)).collect()
}

#[test]
fn short_help_fits_a_terminal() {
    let verbs = verbs();
    assert!(verbs.len() > 14, "{}", verbs.len());
    let mut wrong = Vec::new();
    for mut verb in verbs {
        let help = verb.render_help().to_string();
        let lines = help.trim_end().lines().count();
        let columns = help.lines().map(|line| line.chars().count()).max().unwrap_or_default();
        if lines > LINES || columns > COLUMNS {
            wrong.push(format!("{lines} lines, {columns} columns:\n{help}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_help_has_an_example_that_can_be_parsed() {
    for mut verb in verbs() {
        let name = verb.get_name().to_owned();
        for help in [verb.render_help(), verb.render_long_help()].map(|help| help.to_string()) {
            let (_, examples) =
                help.split_once("\nExample").unwrap_or_else(|| panic!("{name}:\n{help}"));
            let examples =
                examples.lines().filter_map(|line| line.strip_prefix("  weightedshare "));
            for example in examples {
                let command = example.split("   ").next().unwrap_or_default();
                let words = command.split([' ']).take_while(|word| !["|", ">"].contains(word));
                let parsed = Arguments::try_parse_from(["weightedshare"].into_iter().chain(words));
                assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
            }
        }
    }
}

fn parse(text: &str) -> Result<Command, String> {
    let words = ["weightedshare"].into_iter().chain(text.split(' '));
    Arguments::try_parse_from(words).map(|it| it.command).map_err(|error| error.to_string())
}

#[test]
fn the_arguments_are_those_of_kubectl() {
    // -f takes one value, so what follows is the pool.
    let Ok(Command::Plan(plan)) = parse("plan -f a.yaml -f pods/ ws/shop -o json --no-headers")
    else {
        panic!("not a plan")
    };
    assert_eq!(plan.source.files.len(), 2);
    assert_eq!(plan.choice.pool.unwrap().0, "shop");
    assert_eq!((plan.output.format(), plan.no_headers), (Some(Format::Json), true));
    let Ok(Command::Explain(explain)) = parse("explain -f shop.yaml pod/search-1") else {
        panic!("not an explanation")
    };
    assert_eq!((explain.source.files.len(), explain.pod.0.as_str()), (1, "search-1"));
    let Ok(Command::Top(top)) = parse("top -A -l team=web -w --interval 10s") else {
        panic!("not top")
    };
    assert!(top.choice.scope.all_namespaces && top.watching.watch);
    assert_eq!(top.watching.interval.as_secs(), 10);
    let connection = "--context c --kubeconfig k --as jane --as-group a --as-group b";
    let Ok(Command::Status(status)) =
        parse(&format!("status ws/shop -n shop -o name {connection}"))
    else {
        panic!("not a status")
    };
    let access = status.connection.access();
    assert_eq!((access.context.as_deref(), access.user.as_deref()), (Some("c"), Some("jane")));
    assert_eq!((access.groups.len(), status.output), (2, StatusOutput::Name));
    let Ok(Command::History(history)) = parse("history cws/company") else { panic!("no history") };
    assert_eq!(history.object, Some(ObjectName::Tree("company".into())));
    let Ok(Command::SetWeight(set)) = parse("set-weight ws/shop a=1 b=2 --dry-run=server") else {
        panic!("not a weight")
    };
    assert_eq!(set.weights.len(), 2);
}

#[test]
fn wrong_arguments_say_what_is_right() {
    let error = |text: &str| parse(text).unwrap_err();
    assert!(error("status pod/search-1").contains("ws/NAME, weightedshare/NAME"));
    assert!(error("explain ws/shop").contains("pod/NAME"));
    assert!(error("top --interval 5").contains("write 24h, 90m or 60s"));
    assert!(error("plan -l a=b=c").contains("write KEY=VALUE"));
    assert!(error("set-weight shop checkout").contains("write MEMBER=WEIGHT"));
    for text in ["plan --as-group a", "plan ws/shop -l a=b", "set-weight shop", "plan -f"] {
        assert!(parse(text).is_err(), "{text}");
    }
}

/// The verbs that look at a cluster.
#[test]
fn every_verb_that_asks_a_cluster_takes_the_options_of_kubectl() {
    let local = ["controller", "crd", "completion", "from-vsphere", "weightedshare"];
    for verb in verbs() {
        let has = |long: &str| verb.get_arguments().any(|it| it.get_long() == Some(long));
        let name = verb.get_name();
        for long in ["context", "kubeconfig", "as", "as-group"] {
            assert_eq!(has(long), !local.contains(&name), "{name}: --{long}");
        }
        let prints = !local.contains(&name) && !["logs", "page"].contains(&name);
        assert_eq!(has("output"), prints, "{name}");
    }
}
