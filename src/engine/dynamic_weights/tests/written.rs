//! Whatever is written is read or refused, in no time.

use proptest::prelude::*;

use super::*;
use crate::cpu_time;

/// Texts of one shape, `n` pieces of it.
fn shapes(n: usize) -> Vec<String> {
    let wrapped = |a: &str, b: &str| format!("{}1{}", a.repeat(n), b.repeat(n));
    vec![
        wrapped("(", ")"),
        wrapped("-(", ")"),
        wrapped("!(", ")"),
        wrapped("min(", ",1)"),
        wrapped("(1+2*", ")"),
        wrapped("(1<2?1:", ")"),
        wrapped("true?1:", ""),
        wrapped("true?", ":1"),
        wrapped("--(", ")"),
        wrapped("-", ""),
        wrapped("!", ""),
        wrapped("- ", ""),
        wrapped("(", ""),
        wrapped("", ")"),
        wrapped("[", "]"),
        wrapped("1+", ""),
        wrapped("1*2+", ""),
        wrapped("1<", ""),
        wrapped("true&&", ""),
        wrapped("true||true&&", ""),
        wrapped("min(1,2)+", ""),
        wrapped("?", ""),
        wrapped(":", ""),
        wrapped(",", ""),
        format!("min({}1)", "1,".repeat(n)),
        "1".repeat(n),
        ".".repeat(n),
        "1e".repeat(n),
        "weight.".repeat(n),
        "ü".repeat(n),
    ]
}

#[test]
fn deep_and_long_expressions_are_read_or_refused_in_no_time() {
    // As little stack as a thread of the controller has, most of it in use.
    let shaped = || {
        for n in [1, 2, 8, 15, 16, 17, 100, 340, 511, 1023, 1024, 100_000] {
            for text in shapes(n) {
                let began = cpu_time::of_this_thread();
                if let Ok(expression) = Expression::compile(&text) {
                    _ = expression.work_out(&facts());
                }
                let took = cpu_time::of_this_thread() - began;
                assert!(took < Duration::from_secs(5), "{text}: {took:?}");
            }
        }
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(shaped).unwrap().join().unwrap();
}

#[test]
fn what_is_deep_but_not_too_deep_is_read() {
    let nested = |n| format!("{}weight{}", "(".repeat(n), ")".repeat(n));
    assert_eq!(value(&nested(16)), Ok(400.0));
    let expected =
        "column 17: more than 16 parentheses, calls and ? : are nested: write it with fewer levels";
    assert_eq!(value(&nested(17)), Err(expected.into()));
    let long = format!("weight{}", "+1".repeat(500));
    assert_eq!(value(&long), Ok(900.0));
    let longer = format!("weight{}", "+1".repeat(510));
    assert_eq!(value(&longer), Err("it is longer than 1024 characters: shorten it".into()));
}

/// Pieces that expressions are made of, and some that they are not made of.
fn soup() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "weight",
        "current",
        "cpu.usage",
        "performance",
        "hour",
        "1",
        "2.5",
        "0",
        "true",
        "false",
        "min(",
        "max(",
        "clamp(",
        "(",
        ")",
        ")",
        "+",
        "-",
        "*",
        "/",
        "<",
        "<=",
        "==",
        "!=",
        "&&",
        "||",
        "!",
        "?",
        ":",
        ",",
        " ",
        "1e3",
    ];
    const STRANGE: &[&str] = &[
        "'", "\"\"\"", "[", "]", "{", "}", "in", "null", "map(", "has(", ".", "//", "\n", "%", "`",
        "\\", "b'\\x",
    ];
    let piece = prop_oneof![20 => prop::sample::select(PIECES), 1 => prop::sample::select(STRANGE)];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.join(" "))
}

/// An expression that CEL takes, with what its parts are.
fn numbers() -> BoxedStrategy<String> {
    let leaf = prop::sample::select(vec![
        "weight",
        "current",
        "cpu.usage",
        "hour",
        "2",
        "0.5",
        "0",
        "3",
        "weekday",
    ]);
    leaf.prop_map(str::to_owned)
        .prop_recursive(4, 24, 3, |inner| {
            let operator = prop::sample::select(vec!["+", "-", "*", "/"]);
            let comparison = prop::sample::select(vec!["<", "<=", ">", ">=", "==", "!="]);
            let junction = prop::sample::select(vec!["&&", "||"]);
            prop_oneof![
                (inner.clone(), operator.clone(), inner.clone())
                    .prop_map(|(a, it, b)| format!("({a} {it} {b})")),
                (inner.clone(), operator, inner.clone())
                    .prop_map(|(a, it, b)| format!("{a} {it} {b}")),
                inner.clone().prop_map(|a| format!("-({a})")),
                (inner.clone(), comparison.clone(), inner.clone(), inner.clone())
                    .prop_map(|(a, it, b, c)| format!("({a} {it} {b} ? {c} : {a})")),
                (inner.clone(), comparison, inner.clone(), junction, inner).prop_map(
                    |(a, it, b, and, c)| format!("(!({a} {it} {b}) {and} {c} > {b} ? {c} : 7)")
                ),
            ]
        })
        .boxed()
}

/// What the crate's own interpreter makes of an expression, once its whole numbers have a point.
fn oracle(text: &str) -> Option<f64> {
    let mut context = cel::Context::default();
    let variables = ["weight", "current", "hour", "weekday"];
    for name in variables {
        context.add_variable_from_value(name, facts().value(Variable::named(name)?)?);
    }
    context.add_variable_from_value("cpu", std::collections::HashMap::from([("usage", 1.25)]));
    let mut floats = String::new();
    let mut rest = text.chars().peekable();
    while let Some(it) = rest.next() {
        let alone = !floats.ends_with('.') && rest.peek() != Some(&'.');
        floats.push(it);
        if it.is_ascii_digit() && alone {
            floats.push_str(".0");
        }
    }
    match cel::Program::compile(&floats).ok()?.execute(&context) {
        Ok(cel::Value::Float(number)) => Some(number),
        _ => None,
    }
}

proptest! {
    #[test]
    fn no_text_does_harm(text in ".{0,200}") {
        _ = value(&text);
    }

    #[test]
    fn no_pieces_do_harm(text in soup()) {
        let began = cpu_time::of_this_thread();
        if let Ok(number) = value(&text) {
            prop_assert!(number.is_finite());
        }
        let took = cpu_time::of_this_thread() - began;
        prop_assert!(took < Duration::from_secs(2), "{took:?}");
    }

    #[test]
    fn the_interpreter_of_cel_comes_to_the_same(text in numbers()) {
        if let Ok(found) = value(&text) {
            // The crate needs more stack than a test has.
            let own = text.clone();
            let expected = std::thread::Builder::new().stack_size(64 << 20).spawn(move || oracle(&own)).unwrap();
            prop_assert_eq!(Some(found), expected.join().unwrap(), "{}", text);
        }
    }

    #[test]
    fn a_weight_is_always_one(text in numbers(), current in -1e9..1e9_f64, seconds in 0..1000_u64) {
        let spec = DynamicWeight { expression: text, min: 5, max: 5000, ..DynamicWeight::default() };
        let facts = Facts { current, ..facts() };
        let weighted = weigh(&spec, &facts, seconds);
        prop_assert!((5.0..=5000.0).contains(&weighted.weight), "{weighted:?}");
        prop_assert!(weighted.trouble.is_none_or(|trouble| trouble.reason == "ExpressionFailed"));
    }
}
