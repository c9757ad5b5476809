//! A user's PromQL, made to see the series of its own namespace only: it is parsed, every selector gets the matcher
//! `namespace="..."` beside its own, and it is printed again. What was printed is parsed once more and must be the same
//! tree. What cannot be limited surely is refused, with what to write instead.
//!
//! This rests on the label `namespace` being that of the scraped object: with `honor_labels: true` a pod could set
//! it by itself.

mod bounds;
#[cfg(test)]
mod tests;

use std::{panic::catch_unwind, time::Duration};

use promql_parser::{
    label::{MatchOp, Matcher},
    parser::{
        self, AggregateExpr, BinaryExpr, Call, Expr, MatrixSelector, SubqueryExpr, VectorSelector,
    },
};

/// The label that says whose a series is.
const LABEL: &str = "namespace";
/// How far back a query may look in all.
const SPAN: Duration = Duration::from_secs(7 * 24 * 3600);
/// The most steps that subqueries may take, one inside of the other.
const STEPS: u128 = 11_000;
/// Taken for the step of a subquery that names none: the server's evaluation interval is often half a minute.
const STEP: Duration = Duration::from_secs(30);

/// What works on the series that it is given, and on nothing else. `info` is not among them: it fetches more series.
const FUNCTIONS: &[&str] = &[
    "abs",
    "absent",
    "absent_over_time",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "avg_over_time",
    "ceil",
    "changes",
    "clamp",
    "clamp_max",
    "clamp_min",
    "cos",
    "cosh",
    "count_over_time",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "deg",
    "delta",
    "deriv",
    "double_exponential_smoothing",
    "exp",
    "first_over_time",
    "floor",
    "histogram_avg",
    "histogram_count",
    "histogram_fraction",
    "histogram_quantile",
    "histogram_stddev",
    "histogram_stdvar",
    "histogram_sum",
    "hour",
    "idelta",
    "increase",
    "irate",
    "label_join",
    "label_replace",
    "last_over_time",
    "ln",
    "log10",
    "log2",
    "mad_over_time",
    "max_over_time",
    "min_over_time",
    "minute",
    "month",
    "pi",
    "predict_linear",
    "present_over_time",
    "quantile_over_time",
    "rad",
    "rate",
    "resets",
    "round",
    "scalar",
    "sgn",
    "sin",
    "sinh",
    "sort",
    "sort_by_label",
    "sort_by_label_desc",
    "sort_desc",
    "sqrt",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
    "tan",
    "tanh",
    "time",
    "timestamp",
    "vector",
    "year",
];

/// Why a query is not asked, in words for its user.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ScopeError {
    /// It could not be limited to such a namespace.
    #[error("{0:?} is not the name of a namespace: the query is not sent")]
    Namespace(String),
    /// Too many bytes.
    #[error("the query has {0} bytes: write it in at most {max}, for example with a recording rule", max = bounds::BYTES)]
    Long(usize),
    /// Too many words and signs.
    #[error("the query has more than {max} words and signs: write a shorter one, for example with a recording rule", max = bounds::WORDS)]
    Words,
    /// Too many brackets, one inside of the other.
    #[error("the query nests brackets more than {max} deep: write it with fewer", max = bounds::DEPTH)]
    Deep,
    /// A pattern that is costly to work out.
    #[error(
        "the pattern {0:?} counts repetitions: write it without {{n}}, for example with + or *"
    )]
    Pattern(String),
    /// The parser does not take it.
    #[error("the query is not valid PromQL: {0}: try it in Prometheus first")]
    Syntax(String),
    /// A function that fetches series by itself, or that is not known.
    #[error("{0}(...) cannot be limited to one namespace: write the query without it")]
    Function(String),
    /// Too far back.
    #[error("the query looks back more than a week: write shorter ranges in [...]")]
    Span,
    /// Too many steps.
    #[error(
        "a subquery takes {0} steps: write at most {STEPS}, with a shorter range or a longer step, as in [1h:1m]"
    )]
    Steps(u128),
    /// It came out different.
    #[error(
        "the query cannot be limited to its namespace for certain: write it more simply, with plain names and with label \
         values without control characters"
    )]
    Unsure,
}

/// The query, limited to the series of the namespace.
///
/// # Errors
/// When it is not PromQL, is too much, or cannot be limited surely.
pub fn scoped(query: &str, namespace: &str) -> Result<String, ScopeError> {
    // An empty value would match the series that have no namespace.
    let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if namespace.is_empty() || namespace.len() > 63 || !namespace.chars().all(named) {
        return Err(ScopeError::Namespace(namespace.to_owned()));
    }
    // The parser panics at some texts: a range of 1e300 seconds, an escape before a letter of two bytes.
    catch_unwind(|| limited(query, namespace)).unwrap_or_else(|_| {
        Err(ScopeError::Syntax("a number or an escape in it is out of range".to_owned()))
    })
}

fn limited(query: &str, namespace: &str) -> Result<String, ScopeError> {
    bounds::check(query)?;
    let ours = Matcher::new(MatchOp::Equal, LABEL, namespace);
    let mut tree = parse(query)?;
    visit(&mut tree, Reach::default(), &mut |selector| limit(selector, &ours))?;
    let text = tree.to_string();
    let mut again = parse(&text).map_err(|_| ScopeError::Unsure)?;
    let mut limited = again == tree;
    visit(&mut again, Reach::default(), &mut |selector| limited &= is_limited(selector, &ours))?;
    if limited { Ok(text) } else { Err(ScopeError::Unsure) }
}

fn parse(query: &str) -> Result<Expr, ScopeError> {
    parser::parse(query).map_err(|error| ScopeError::Syntax(brief(&error)))
}

/// The first line, without what ends it.
fn brief(error: &str) -> String {
    let line = error.lines().next().unwrap_or_default().trim_end_matches(['.', ':', ' ']);
    line.chars().take(200).collect()
}

fn limit(selector: &mut VectorSelector, ours: &Matcher) {
    let matchers = &mut selector.matchers;
    // Where there is an `or`, each of its sides is a list of its own, and the plain list is not in use.
    for list in &mut matchers.or_matchers {
        list.push(ours.clone());
    }
    if matchers.or_matchers.is_empty() {
        matchers.matchers.push(ours.clone());
        // As they are printed, so that the trees can be compared.
        matchers.matchers.sort_by_key(Matcher::to_string);
    }
}

fn is_limited(selector: &VectorSelector, ours: &Matcher) -> bool {
    let matchers = &selector.matchers;
    match matchers.or_matchers.as_slice() {
        [] => matchers.matchers.contains(ours),
        lists => matchers.matchers.is_empty() && lists.iter().all(|list| list.contains(ours)),
    }
}

/// What the expressions around one add to its cost.
#[derive(Clone, Copy)]
struct Reach {
    span: Duration,
    steps: u128,
}

impl Default for Reach {
    fn default() -> Self {
        Self { span: Duration::ZERO, steps: 1 }
    }
}

impl Reach {
    fn back(self, range: Duration) -> Result<Self, ScopeError> {
        let span = self.span.checked_add(range).filter(|&span| span <= SPAN);
        Ok(Self { span: span.ok_or(ScopeError::Span)?, ..self })
    }

    fn again(self, range: Duration, step: Option<Duration>) -> Result<Self, ScopeError> {
        let step = step.unwrap_or(STEP).as_millis().max(1);
        let steps = self.steps.saturating_mul((range.as_millis() / step).max(1));
        if steps > STEPS { Err(ScopeError::Steps(steps)) } else { Ok(Self { steps, ..self }) }
    }
}

/// Visits every selector. (The parser's own visitor leaves out the parameters of aggregations.)
fn visit(
    expression: &mut Expr,
    reach: Reach,
    to: &mut impl FnMut(&mut VectorSelector),
) -> Result<(), ScopeError> {
    match expression {
        Expr::VectorSelector(selector) => to(selector),
        Expr::MatrixSelector(MatrixSelector { vs, range }) => {
            reach.back(*range)?;
            to(vs);
        }
        Expr::Subquery(SubqueryExpr { expr, offset: _, at: _, range, step }) => {
            visit(expr, reach.back(*range)?.again(*range, *step)?, to)?;
        }
        Expr::Aggregate(AggregateExpr { op: _, expr, param, modifier: _ }) => {
            if let Some(param) = param {
                visit(param, reach, to)?;
            }
            visit(expr, reach, to)?;
        }
        Expr::Binary(BinaryExpr { op: _, lhs, rhs, modifier: _ }) => {
            visit(lhs, reach, to)?;
            visit(rhs, reach, to)?;
        }
        Expr::Call(Call { func, args }) => {
            if !FUNCTIONS.contains(&func.name) {
                return Err(ScopeError::Function(func.name.to_owned()));
            }
            for argument in &mut args.args {
                visit(argument, reach, to)?;
            }
        }
        Expr::Unary(unary) => visit(&mut unary.expr, reach, to)?,
        Expr::Paren(paren) => visit(&mut paren.expr, reach, to)?,
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => {}
        Expr::Extension(_) => return Err(ScopeError::Unsure),
    }
    Ok(())
}
