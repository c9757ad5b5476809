use std::thread;

use proptest::prelude::*;

use super::*;

fn shop(query: &str) -> Result<String, ScopeError> {
    scoped(query, "shop")
}

#[test]
fn every_selector_is_limited() {
    for (query, wanted) in [
        ("up", r#"up{namespace="shop"}"#),
        (r#"up{job="a"}"#, r#"up{job="a",namespace="shop"}"#),
        (r#"{__name__=~".+"}"#, r#"{__name__=~".+",namespace="shop"}"#),
        ("rate(up[5m])", r#"rate(up{namespace="shop"}[5m])"#),
        ("up offset 5m", r#"up{namespace="shop"} offset 5m"#),
        ("up offset -5m", r#"up{namespace="shop"} offset -5m"#),
        ("up @ 1609746000", r#"up{namespace="shop"} @ 1609746000.000"#),
        ("up @ start()", r#"up{namespace="shop"} @ start()"#),
        ("up[5m] @ end() offset 1m", r#"up{namespace="shop"}[5m] @ end() offset 1m"#),
        ("1 + 2", "1 + 2"),
        ("time()", "time()"),
        ("-up", r#"-up{namespace="shop"}"#),
        ("(up)", r#"(up{namespace="shop"})"#),
        ("a or b", r#"a{namespace="shop"} or b{namespace="shop"}"#),
        (r#"{a="b" or c="d"}"#, r#"{a="b", namespace="shop" or c="d", namespace="shop"}"#),
        (
            "max_over_time(rate(up[1m])[1h:1m] offset 1h)",
            r#"max_over_time(rate(up{namespace="shop"}[1m])[1h:1m] offset 1h)"#,
        ),
        ("topk(scalar(a), b)", r#"topk(scalar(a{namespace="shop"}), b{namespace="shop"})"#),
        (
            "quantile(scalar(a), b) by (c)",
            r#"quantile by (c) (scalar(a{namespace="shop"}), b{namespace="shop"})"#,
        ),
        (
            "a * on(x) group_left(y) b",
            r#"a{namespace="shop"} * on (x) group_left (y) b{namespace="shop"}"#,
        ),
        (
            r#"label_replace(up, "namespace", "other", "", "")"#,
            r#"label_replace(up{namespace="shop"}, "namespace", "other", "", "")"#,
        ),
        ("up # {namespace=\"other\"}\n", r#"up{namespace="shop"}"#),
        (r#"{"quoted name"}"#, r#"{__name__="quoted name",namespace="shop"}"#),
        ("sum", r#"sum{namespace="shop"}"#),
        ("absent(up)", r#"absent(up{namespace="shop"})"#),
        (r#"count_values("a", up)"#, r#"count_values("a", up{namespace="shop"})"#),
        (
            "histogram_quantile(0.99, sum by (le) (rate(x_bucket[2m])))",
            r#"histogram_quantile(0.99, sum by (le) (rate(x_bucket{namespace="shop"}[2m])))"#,
        ),
    ] {
        assert_eq!(shop(query).as_deref(), Ok(wanted), "{query}");
    }
}

#[test]
fn the_users_own_matcher_stays_beside_ours() {
    for (query, wanted) in [
        (r#"up{namespace="other"}"#, r#"up{namespace="other",namespace="shop"}"#),
        (r#"up{namespace=~".+"}"#, r#"up{namespace="shop",namespace=~".+"}"#),
        (r#"up{namespace!="shop"}"#, r#"up{namespace!="shop",namespace="shop"}"#),
        (r#"up{namespace=""}"#, r#"up{namespace="",namespace="shop"}"#),
        (r#"up{"namespace"="other"}"#, r#"up{namespace="other",namespace="shop"}"#),
    ] {
        assert_eq!(shop(query).as_deref(), Ok(wanted), "{query}");
    }
}

#[test]
fn strings_cannot_break_out() {
    for value in [
        r#""\"} or up{a=\"""#,
        r#"'"} or up{a="'"#,
        r#"`"} or up{a="`"#,
        r#"`\`"#,
        r#""\\\"""#,
        r#""\n\r\t\a\x22\u0022\042""#,
        "\"\u{2028}\u{feff}\u{0}\"",
        "`\n`",
        "'#'",
    ] {
        let query = format!("up{{a={value}}}");
        let Ok(text) = shop(&query) else { continue };
        let Expr::VectorSelector(selector) = parse(&text).unwrap() else { panic!("{text}") };
        assert_eq!(selector.matchers.matchers.len(), 2, "{text}");
    }
}

#[test]
fn what_cannot_be_limited_is_refused() {
    let steps = |steps| Err(ScopeError::Steps(steps));
    let function = |name: &str| Err(ScopeError::Function(name.to_owned()));
    assert_eq!(shop("info(up)"), function("info"));
    assert_eq!(shop(r#"info(up, {__name__=~".+"})"#), function("info"));
    assert!(matches!(shop("nothing_known(up)"), Err(ScopeError::Syntax(_))));
    assert!(matches!(shop(""), Err(ScopeError::Syntax(_))));
    assert!(matches!(shop("{}"), Err(ScopeError::Syntax(_))));
    assert!(matches!(shop("up{"), Err(ScopeError::Syntax(_))));
    assert_eq!(shop("rate(up[8d])"), Err(ScopeError::Span));
    assert!(shop("rate(up[7d])").is_ok());
    assert_eq!(shop("max_over_time(rate(up[4d])[4d:1h])"), Err(ScopeError::Span));
    assert_eq!(shop("max_over_time(up[10y:1ms])"), Err(ScopeError::Span));
    assert_eq!(shop("max_over_time(up[1h:1ms])"), steps(3_600_000));
    assert_eq!(shop("max_over_time(max_over_time(up[2h:1m])[2h:1m])"), steps(14_400));
    assert_eq!(shop("max_over_time(up[7d:])"), steps(20_160));
    assert!(shop("max_over_time(up[1h:])").is_ok());
    assert!(matches!(shop("up[1e300]"), Err(ScopeError::Syntax(_))));
    assert!(matches!(shop("up offset 1e300"), Err(ScopeError::Syntax(_))));
    let pattern = ScopeError::Pattern("((a{99}){99})".to_owned());
    assert_eq!(shop(r#"up{a=~"((a{99}){99})"}"#), Err(pattern.clone()));
    assert_eq!(
        shop(
            r#"up{a =~ # so
        "((a\x7b99}){99})"}"#
        ),
        Err(pattern)
    );
    for namespace in ["", "a\"", "A", "a b", "a/b", "ä", &"a".repeat(64)] {
        assert!(matches!(scoped("up", namespace), Err(ScopeError::Namespace(_))), "{namespace}");
    }
}

#[test]
fn a_tree_that_is_too_big_is_refused_and_the_rest_fits_a_small_stack() {
    let check = || {
        let many = |part: &str, times: usize| part.repeat(times);
        assert_eq!(shop(&many("a", 2049)), Err(ScopeError::Long(2049)));
        assert_eq!(shop(&many("(", 2000)), Err(ScopeError::Deep));
        assert_eq!(shop(&many("-", 2000)), Err(ScopeError::Words));
        assert_eq!(shop(&many("{", 2000)), Err(ScopeError::Deep));
        assert_eq!(shop(&format!("{}1", many("1+", 900))), Err(ScopeError::Words));
        assert_eq!(shop(&format!("{}1", many("1^", 900))), Err(ScopeError::Words));
        assert!(shop(&format!("{}up", many("-", 499))).is_ok());
        assert!(shop(&format!("{}up", many("up+", 249))).is_ok());
        assert!(shop(&format!("{}up", many("up^", 249))).is_ok());
        assert!(shop(&format!("{}up{}", many("(", 32), many(")", 32))).is_ok());
        assert!(shop(&format!("{}up{}", many("abs(", 32), many(")", 32))).is_ok());
    };
    // As small as the stack of a thread of tokio.
    thread::Builder::new().stack_size(2 << 20).spawn(check).unwrap().join().unwrap();
}

#[test]
fn the_errors_say_what_to_write() {
    let steps = shop("max_over_time(up[1h:1ms])").unwrap_err().to_string();
    assert_eq!(
        steps,
        "a subquery takes 3600000 steps: write at most 11000, with a shorter range or a longer step, as in [1h:1m]"
    );
    assert_eq!(
        shop("info(up)").unwrap_err().to_string(),
        "info(...) cannot be limited to one namespace: write the query without it"
    );
}

/// PromQL, mostly.
fn promql() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        "\"[^\"\\\\\n]{0,8}\"",
        "`[^`]{0,8}`",
        "'(\\\\.|[^'\\\\\n]){0,4}'",
        Just("\".+\"".into())
    ];
    let label =
        prop_oneof![Just("namespace"), Just("__name__"), Just("job"), Just("\"a b\""), Just("or")];
    let op = prop_oneof![Just("="), Just("!="), Just("=~"), Just("!~")];
    let matcher = (label, op, value).prop_map(|(label, op, value)| format!("{label}{op}{value}"));
    let between = prop_oneof![Just(","), Just(" or ")];
    let matchers = prop::collection::vec((matcher, between), 0..4)
        .prop_map(|parts| {
            parts.into_iter().map(|(matcher, between)| matcher + between).collect::<String>()
        })
        .prop_map(|list| list.trim_end_matches(" or ").to_owned());
    let name =
        prop_oneof![Just(""), Just("up"), Just("a:b"), Just("sum"), Just("offset"), Just("\"q\"")];
    let selector = (name, matchers).prop_map(|(name, matchers)| format!("{name}{{{matchers}}}"));
    let leaf = prop_oneof![4 => selector, 1 => Just("up".to_owned()), 1 => "[0-9]{1,3}(\\.[0-9])?", 1 => Just("\"s\"".into())];
    leaf.prop_recursive(6, 40, 3, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            (
                pair.clone(),
                prop_oneof![
                    Just("+"),
                    Just(" or "),
                    Just(" unless on(a) "),
                    Just("/ on(a) group_left(b) "),
                    Just("> bool "),
                    Just("^")
                ]
            )
                .prop_map(|((a, b), op)| format!("{a}{op}{b}")),
            (
                inner.clone(),
                prop_oneof![
                    Just("abs"),
                    Just("rate"),
                    Just("scalar"),
                    Just("absent"),
                    Just("info"),
                    Just("sum"),
                    Just("max by (namespace)"),
                    Just("-"),
                    Just("vector")
                ]
            )
                .prop_map(|(a, of)| format!("{of}({a})")),
            (pair, prop_oneof![Just("topk"), Just("quantile without (x)"), Just("limitk")])
                .prop_map(|((a, b), of)| format!("{of}({a}, {b})")),
            (
                inner,
                prop_oneof![
                    Just("[5m]"),
                    Just("[1h:]"),
                    Just("[1h:30s]"),
                    Just(" offset 5m"),
                    Just(" offset -5m"),
                    Just(" @ 17.5"),
                    Just(" @ -3"),
                    Just(" @ start()"),
                    Just(" #\"\n")
                ]
            )
                .prop_map(|(a, after)| format!("{a}{after}")),
        ]
    })
}

/// What is accepted has the matcher wherever the parser sees a selector: counted in the tree's own words, not by the
/// walk that put it there.
fn holds(query: &str) -> Result<(), TestCaseError> {
    let Ok(text) = shop(query) else { return Ok(()) };
    let tree = format!("{:?}", parser::parse(&text).map_err(TestCaseError::fail)?);
    let selectors = tree.matches("VectorSelector {").count();
    let ours = r#"Matcher { op: Equal, name: "namespace", value: "shop" }"#;
    let alternatives: usize = tree
        .split("or_matchers: ")
        .skip(1)
        .map(|rest| {
            let lists = rest.split(" offset: ").next().unwrap_or_default();
            lists.matches("[Matcher {").count().max(1)
        })
        .sum();
    prop_assert!(alternatives >= selectors);
    prop_assert!(tree.matches(ours).count() >= alternatives, "{} -> {}", query, text);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_panics(query in "\\PC{0,80}") {
        holds(&query)?;
    }

    #[test]
    fn no_signs_panic(query in "[a-z{}()\\[\\]\"'`\\\\,=~!:@#+*^0-9.\n -]{0,60}") {
        holds(&query)?;
    }

    #[test]
    fn what_is_accepted_is_limited(query in promql()) {
        holds(&query)?;
    }

    #[test]
    fn no_value_breaks_out(value in ".{0,20}", name in ".{0,10}") {
        for query in [format!("up{{a={value:?}}}"), format!("up{{a=`{value}`}}"), format!("{{{name:?}=\"{value}\"}}"), format!("up{{a='{value}'}}")] {
            holds(&query)?;
        }
    }
}
