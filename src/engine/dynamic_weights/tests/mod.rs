//! Expressions in use, and what becomes of those that make no sense.

mod written;

use std::{fs, path::Path};

use super::*;

fn facts() -> Facts {
    Facts {
        weight: 400,
        current: 500.0,
        replicas: 3,
        measured: Signal::all().map(|signal| (signal, measured(signal))).collect(),
        // A Saturday.
        now: "2026-08-01T14:30:00Z".parse().unwrap(),
    }
}

fn measured(signal: Signal) -> f64 {
    match signal {
        Signal::Performance => 0.625,
        Signal::Usage(Resource::Cpu) => 1.25,
        Signal::Usage(Resource::Memory) => 512.0 * 1024.0 * 1024.0,
        Signal::Demand(Resource::Cpu) => 1.5,
        Signal::Share(Resource::Cpu) => 2.0,
        Signal::Share(Resource::Memory) => 2e9,
        Signal::CpuPressure => 0.1,
        _ => 1e9,
    }
}

fn value(text: &str) -> Result<f64, String> {
    let expression = Expression::compile(text).map_err(|mistake| mistake.to_string())?;
    expression.work_out(&facts()).map_err(|failure| failure.to_string())
}

#[test]
fn expressions_are_worked_out_as_cel_has_it() {
    for (text, expected) in [
        ("weight", 400.0),
        ("weight * 2", 800.0),
        ("weight * (1 + cpu.pressure)", 440.0),
        ("current / performance", 800.0),
        ("1 + 2 * 3 - 4 / 8", 6.5),
        ("7 / 2", 3.5),
        ("10 - 4 - 3", 3.0),
        ("-3 + 5", 2.0),
        ("5 - -3", 8.0),
        ("2 * -(1 + 1)", -4.0),
        (".5 + 1e2 + 1.5e-1", 100.65),
        ("hour", 14.5),
        ("hour >= 8 && hour < 18 ? weight * 2 : weight", 800.0),
        ("weekday == 0 || weekday == 6 ? 1 : 2", 1.0),
        ("weekday == 6 ? (hour > 20 ? 1 : 2) : 3", 2.0),
        ("weekday == 0 ? 1 : hour > 20 ? 2 : 3", 3.0),
        ("!(weekday == 6) ? 1 : 2", 2.0),
        ("(hour < 8) == (hour > 18) ? 1 : 2", 1.0),
        ("true ? 1 : 2", 1.0),
        ("min(weight, 10, replicas)", 3.0),
        ("max(weight, 1000)", 1000.0),
        ("clamp(weight, 500, 1000)", 500.0),
        ("clamp(weight, 100, 300)", 300.0),
        ("cpu.usage + cpu.demand + cpu.share", 4.75),
        ("memory.usage / 1048576", 512.0),
        ("memory.demand / memory.share", 0.5),
        ("1 / 0 > 1 && weekday == 0 ? 1 : 2", 2.0),
        ("weekday == 6 || 1 / 0 > 1 ? 1 : 2", 1.0),
        ("weekday == 6 ? 1 : 1 / 0", 1.0),
        ("\n  weight\n  * 2\n", 800.0),
    ] {
        let found = value(text).unwrap();
        assert!((found - expected).abs() < 1e-9, "{text}: {found}");
    }
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (text, expected) in [
        ("", "it is empty: write how the weight is computed"),
        ("weight * perfomance", "column 10: 'perfomance' is not known: did you mean performance?"),
        ("cpu.presure", "column 1: 'cpu.presure' is not known: did you mean cpu.pressure?"),
        ("weight\n  * weigth", "line 2, column 5: 'weigth' is not known: did you mean weight?"),
        (
            "weight * now",
            "column 10: 'now' is not known: write one of weight, current, replicas, performance,",
        ),
        ("weight + memory.pressure", "column 10: 'memory.pressure' is not known"),
        ("[1, 2].map(x, x)", "column 1: lists and maps are not allowed in a weight"),
        ("{1: 2}", "column 1: lists and maps are not allowed in a weight"),
        ("size('a')", "column 1: there is no function 'size': write min, max, clamp"),
        ("weight.map(x, x)", "column 1: there is no function 'weight.map'"),
        ("has(cpu.usage)", "column 1: there is no function 'has'"),
        ("weight + 'a'", "column 10: text is not allowed in a weight"),
        ("weight + min", "column 10: 'min' is a function: write min(a, b)"),
        ("weight // twice", "column 8: a comment is not allowed here"),
        ("weight % 2", "column 8: '%' is for whole numbers"),
        ("weight = 2", "column 8: '=' is not a comparison: write =="),
        ("weight & 2", "column 8: a single '&' is not an operator: write &&"),
        ("weight + ü", "column 10: 'ü' is not allowed in a weight"),
        ("weight + 2x", "column 10: '2x' is not a number"),
        ("weight + 2.", "column 10: '2.' is not a number"),
        ("weight + 0x10", "column 10: '0x10' is not a number"),
        ("weight + 2u", "column 10: '2u' is not a number"),
        ("weight + 1e999", "column 10: '1e999' is too large a number"),
        (
            "weight + 99999999999999999999",
            "column 10: '99999999999999999999' is too large a number",
        ),
        ("--weight", "column 2: '-' follows '-'"),
        ("weight - --weight", "column 11: '-' follows '-'"),
        ("!!true ? 1 : 2", "column 2: '!' follows '!'"),
        ("weight)", "column 7: no parenthesis is open here"),
        (
            "weekday == 6 ? hour > 20 ? 1 : 2 : 3",
            "column 26: '?' is not allowed here: write it in another way",
        ),
        ("hour > 8 ? 1", "column 13: it ends too soon"),
        ("weight : 2", "column 8: ':' is not allowed here"),
        ("min(1, , 2)", "column 8: ',' is not allowed here"),
        ("() + 1", "column 2: ')' is not allowed here"),
        ("2 weight", "column 3: 'weight' is not allowed here"),
        ("weight (2)", "column 1: there is no function 'weight'"),
        ("(weight)(2)", "column 9: '(' is not allowed here"),
        ("(cpu).usage", "column 2: 'cpu' is not known"),
        ("!-1 > 0 ? 1 : 2", "column 2: '-' follows '!'"),
        ("(weight", "column 8: it ends too soon"),
        ("weight *", "column 9: it ends too soon"),
        ("weight weight", "column 8: 'weight' is not allowed here"),
        ("weight\n* * 2", "line 2, column 3: '*' is not allowed here"),
        (
            "hour > 8",
            "it is true or false, and a weight is a number: write condition ? number : number",
        ),
        ("hour ? 1 : 2", "column 6: '?' takes conditions, but is given a number"),
        ("hour && true ? 1 : 2", "column 6: '&&' takes conditions, but is given a number"),
        ("weight * (hour > 8)", "column 8: '*' takes numbers, but is given a condition"),
        (
            "hour > 8 ? 1 : true",
            "column 10: '?' has a number on one side and a condition on the other",
        ),
        (
            "1 == true ? 1 : 2",
            "column 3: '==' has a number on one side and a condition on the other",
        ),
        ("min(weight)", "column 1: min takes two numbers or more: write min(a, b)"),
        ("max()", "column 1: max takes two numbers or more"),
        ("clamp(1, 2)", "column 1: clamp takes three numbers: write clamp(a, least, most)"),
        ("hour in weight", "column 6: 'in' is not known"),
        ("weight; 2", "column 7: ';' is not allowed in a weight"),
    ] {
        let mistake = Expression::compile(text).unwrap_err().to_string();
        assert!(mistake.starts_with(expected), "{text}: {mistake}");
    }
}

#[test]
fn what_comes_to_no_number_is_said() {
    for (text, expected) in [
        ("weight / 0", "it divides by zero: keep the divisor above zero"),
        ("0 / 0", "it divides by zero"),
        ("weight / (hour - 14.5)", "it divides by zero"),
        ("1e300 * 1e300", "its result is too large"),
        ("1e300 * 1e300 - 1e300 * 1e300", "its result is too large"),
    ] {
        let failure = value(text).unwrap_err();
        assert!(failure.starts_with(expected), "{text}: {failure}");
    }
}

#[test]
fn the_signals_that_it_needs_are_known_before() {
    let expression = Expression::compile("hour > 8 ? cpu.usage : weight / performance").unwrap();
    let needs: Vec<Signal> = expression.needs().collect();
    assert_eq!(needs, [Signal::Performance, Signal::Usage(Resource::Cpu)]);
    assert_eq!(Expression::compile("current * 2").unwrap().needs().count(), 0);
}

/// The expressions in a text: what stands after `expression:`, or is indented below it.
fn expressions(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(own) = line.trim_start().strip_prefix("expression:") else { continue };
        let depth = |line: &str| line.len() - line.trim_start().len();
        let mut expression = own.trim().trim_matches(['"', '|']).to_owned();
        while let Some(more) = lines
            .next_if(|next| own.contains('|') && !own.contains('"') && depth(next) > depth(line))
        {
            expression += &format!("{}\n", more.trim());
        }
        found.push(expression);
    }
    found
}

#[test]
fn the_expressions_in_the_documents_and_examples_can_be_worked_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("docs/weights.md")];
    let examples = fs::read_dir(root.join("examples")).unwrap().map(|entry| entry.unwrap().path());
    paths.extend(examples.filter(|path| path.is_file()));
    let mut count = 0;
    for path in paths {
        for text in expressions(&fs::read_to_string(&path).unwrap()) {
            let found = value(&text);
            assert!(
                found.as_ref().is_ok_and(|&it| it >= 1.0),
                "{}: {text}: {found:?}",
                path.display()
            );
            count += 1;
        }
    }
    assert!(count >= 13, "{count} expressions");
}

#[test]
fn the_names_are_explained() {
    let crd = include_str!("../../../../crds/weightedshares.yaml");
    let text = include_str!("../../../../docs/weights.md");
    for name in Variable::ALL.map(Variable::name) {
        assert!(
            text.contains(&format!("`{name}`")) && crd.contains(&format!("`{name}`")),
            "{name}"
        );
    }
}

fn weigh(spec: &DynamicWeight, facts: &Facts, seconds: u64) -> Weighted {
    let expression = Expression::compile(&spec.expression);
    weigh_member(spec, &expression, facts, Duration::from_secs(seconds))
}

fn spec(expression: &str) -> DynamicWeight {
    DynamicWeight { expression: expression.into(), ..DynamicWeight::default() }
}

#[test]
fn a_weight_moves_toward_what_is_worked_out() {
    let at_once = DynamicWeight { half_life_seconds: 0, ..spec("current / performance") };
    let weighted = weigh(&at_once, &facts(), 1);
    assert_eq!(
        weighted,
        Weighted { weight: 800.0, signals: "performance 0.62".into(), trouble: None }
    );
    let half = weigh(&spec("current / performance"), &facts(), 60);
    assert!((half.weight - 650.0).abs() < 1e-9, "{half:?}");
    let bounded = DynamicWeight { max: 550, ..at_once.clone() };
    assert_eq!(weigh(&bounded, &facts(), 1).weight, 550.0);
    let doubled = weigh(&spec("10000"), &facts(), 3600);
    assert_eq!(doubled.weight, 1000.0);
}

#[test]
fn signals_are_shown_as_people_write_them() {
    let some = "weight + current + replicas + hour + weekday + performance + cpu.usage + memory.usage + cpu.demand \
                + memory.demand + cpu.share + memory.share + cpu.pressure";
    assert_eq!(
        weigh(&spec(some), &facts(), 60).signals,
        "replicas 3, hour 14, weekday 6, performance 0.62, cpu.usage 1250m, memory.usage 512Mi, cpu.demand 1500m, \
         memory.demand 953.67Mi, cpu.share 2, memory.share 1.86Gi, cpu.pressure 0.10"
    );
}

#[test]
fn the_weight_stays_as_written_where_it_cannot_be_worked_out() {
    let trouble = |expression: &str, facts: &Facts| {
        let weighted = weigh(&spec(expression), facts, 60);
        assert_eq!(weighted.weight, 400.0);
        let trouble = weighted.trouble.unwrap();
        (trouble.reason, trouble.message)
    };
    let (reason, message) = trouble("current / perf", &facts());
    let names = Variable::ALL.map(Variable::name).join(", ");
    assert_eq!(reason, "ExpressionInvalid");
    assert_eq!(
        message,
        format!(
            "dynamicWeight.expression: column 11: 'perf' is not known: write one of {names}; meanwhile the weight is 400"
        )
    );
    let mut blind = facts();
    blind.measured.remove(&Signal::Performance);
    blind.measured.insert(Signal::CpuPressure, f64::NAN);
    assert_eq!(
        trouble("current / performance * (1 + cpu.pressure)", &blind),
        (
            "SignalMissing",
            "dynamicWeight.expression needs performance and cpu.pressure, which are not measured now; meanwhile the weight is 400"
                .into()
        )
    );
    let mut idle = facts();
    idle.measured.insert(Signal::Demand(Resource::Cpu), 0.0);
    assert_eq!(
        trouble("weight / cpu.demand", &idle),
        (
            "ExpressionFailed",
            "dynamicWeight.expression: it divides by zero: keep the divisor above zero, such as \
             max(cpu.demand, 0.01) (cpu.demand 0); meanwhile the weight is 400"
                .into()
        )
    );
}

/// A member whose performance grows with its part of the pool, beside one of a weight that stands still.
fn performance_at(weight: f64, load: f64) -> f64 {
    (weight / (weight + 300.0) / load).clamp(0.01, 100.0)
}

#[test]
fn a_weight_by_objective_settles_where_it_is_met() {
    for (load, expected) in
        [(0.75, 900.0), (0.5, 300.0), (0.25, 100.0), (0.999, 10_000.0), (0.01, 3.03)]
    {
        let spec = spec("current / performance");
        let mut facts = facts();
        for _ in 0..40_000 {
            let performance = performance_at(facts.current, load);
            facts.measured.insert(Signal::Performance, performance);
            facts.current = weigh_member(&spec, &COMPILED, &facts, Duration::from_secs(15)).weight;
        }
        assert!((facts.current / expected - 1.0).abs() < 0.01, "{load}: {}", facts.current);
    }
}

static COMPILED: std::sync::LazyLock<Result<Expression, Mistake>> =
    std::sync::LazyLock::new(|| Expression::compile("current / performance"));
