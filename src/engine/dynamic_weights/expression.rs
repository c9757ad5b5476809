//! An expression, read: from the text of a user to a formula.

use std::{collections::BTreeSet, thread};

use cel::{
    Program,
    common::ast::{CallExpr, Expr, LiteralValue, operators},
};

use super::{
    formula::{Comparison, Condition, Failure, Junction, Number, Operation, Values},
    mistake::Mistake,
    signal::{Signal, Variable},
    tokens::{FUNCTIONS, Token, tokens},
};

/// The stack for reading, in bytes. The parser takes 200 kB for each level without optimization, and 16 kB with it: the
/// thread that asks may not have that much left.
const READER_STACK: usize = 16 << 20;

/// An expression that can be worked out. It knows nothing of the member: one serves for all that have the same text.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    number: Number,
    variables: BTreeSet<Variable>,
}

impl Expression {
    /// Reads an expression. It takes milliseconds: keep what comes of it.
    ///
    /// # Errors
    /// When no weight can be worked out from it; says where, and what to write instead.
    pub fn compile(text: &str) -> Result<Self, Mistake> {
        let tokens = tokens(text)?;
        let read = || Reader { text, tokens: &tokens }.number_of(&parse(text, &tokens)?);
        let number = thread::scope(|scope| {
            let reader = thread::Builder::new().stack_size(READER_STACK).spawn_scoped(scope, read);
            match reader.map(|it| it.join()) {
                Ok(Ok(number)) => number,
                // What panics there ends the thread alone.
                Ok(Err(_)) => Err(Mistake::new("it cannot be read: write it in another way")),
                Err(error) => {
                    Err(Mistake::new(format!("no thread could be started to read it: {error}")))
                }
            }
        })?;
        let mut variables = BTreeSet::new();
        number.variables(&mut variables);
        Ok(Self { number, variables })
    }

    /// The signals that it needs, all of them whatever its conditions say.
    pub fn needs(&self) -> impl Iterator<Item = Signal> {
        self.variables.iter().filter_map(|variable| match variable {
            Variable::Signal(signal) => Some(*signal),
            _ => None,
        })
    }

    /// The names in it.
    #[must_use]
    pub fn variables(&self) -> &BTreeSet<Variable> {
        &self.variables
    }

    /// The number that it comes to, which is finite.
    ///
    /// # Errors
    /// When it divides by zero or grows out of all bounds, and when a value is missing.
    pub fn work_out(&self, values: &dyn Values) -> Result<f64, Failure> {
        self.number.work_out(values)
    }
}

/// What CEL makes of the text.
fn parse(text: &str, tokens: &[Token]) -> Result<Program, Mistake> {
    Program::compile(text).map_err(|errors| {
        // The others come of it, and point to where the broken part begins.
        let syntax = errors.errors.iter().find(|error| error.msg.starts_with("Syntax error"));
        misplaced(text, tokens, syntax.or(errors.errors.first()).map(|error| error.pos))
    })
}

/// What stands at the place where the parser was at a loss: line and column, from 1.
fn misplaced(text: &str, tokens: &[Token], place: Option<(isize, isize)>) -> Mistake {
    let (line, column) = place.unwrap_or((1, 1));
    let [line, column] = [line, column].map(|it| usize::try_from(it - 1).unwrap_or_default());
    // All of it is ASCII: a column is a byte.
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    match tokens.iter().find(|token| token.offset >= before + column) {
        Some(token) => {
            let sentence = format!("'{}' is not allowed here: write it in another way", token.text);
            Mistake::at(text, token.offset, sentence)
        }
        None => Mistake::at(
            text,
            text.trim_end().len(),
            "it ends too soon: write what is missing, such as ')' or a number",
        ),
    }
}

/// A number or a condition.
enum Formula {
    Number(Number),
    Condition(Condition),
}

/// From what CEL reads to what is worked out. It goes as deep as the text is long: a few hundred levels.
struct Reader<'a> {
    text: &'a str,
    tokens: &'a [Token<'a>],
}

impl Reader<'_> {
    fn number_of(&self, program: &Program) -> Result<Number, Mistake> {
        match self.read(&program.expression().expr)? {
            Formula::Number(number) => Ok(number),
            Formula::Condition(_) => Err(Mistake::new(
                "it is true or false, and a weight is a number: write condition ? number : number",
            )),
        }
    }

    fn read(&self, expression: &Expr) -> Result<Formula, Mistake> {
        Ok(match expression {
            Expr::Literal(LiteralValue::Boolean(it)) => {
                Formula::Condition(Condition::Constant(*it.inner()))
            }
            // A whole number is a number like all others.
            #[allow(
                clippy::cast_precision_loss,
                reason = "no weight depends on the last digit of 2^53"
            )]
            Expr::Literal(LiteralValue::Int(it)) => {
                Formula::Number(Number::Constant(*it.inner() as f64))
            }
            Expr::Literal(LiteralValue::Double(it)) => {
                Formula::Number(Number::Constant(*it.inner()))
            }
            Expr::Ident(name) => self.variable(name)?,
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(of) => self.variable(&format!("{of}.{}", select.field))?,
                _ => return Err(self.not_known(".")),
            },
            Expr::Call(CallExpr { func_name, target: None, args }) => self.call(func_name, args)?,
            _ => {
                return Err(Mistake::new(
                    "this is not allowed in a weight: write numbers and conditions",
                ));
            }
        })
    }

    fn variable(&self, name: &str) -> Result<Formula, Mistake> {
        let variable = Variable::named(name).ok_or_else(|| self.not_known(name))?;
        Ok(Formula::Number(Number::Variable(variable)))
    }

    fn call(&self, name: &str, args: &[cel::IdedExpr]) -> Result<Formula, Mistake> {
        let compare = |comparison| {
            let [a, b] = self.numbers(name, args)?;
            Ok(Formula::Condition(Condition::Compare(comparison, Box::new([a, b]))))
        };
        let operate = |operation| {
            let [a, b] = self.numbers(name, args)?;
            Ok(Formula::Number(Number::Both(operation, Box::new([a, b]))))
        };
        let join = |junction| {
            let [a, b] = self.conditions(name, args)?;
            Ok(Formula::Condition(Condition::Both(junction, Box::new([a, b]))))
        };
        match name {
            operators::ADD => operate(Operation::Add),
            operators::SUBSTRACT => operate(Operation::Subtract),
            operators::MULTIPLY => operate(Operation::Multiply),
            operators::DIVIDE => operate(Operation::Divide),
            operators::LESS => compare(Comparison::Less),
            operators::LESS_EQUALS => compare(Comparison::AtMost),
            operators::GREATER => compare(Comparison::More),
            operators::GREATER_EQUALS => compare(Comparison::AtLeast),
            operators::EQUALS => self.equal(true, name, args),
            operators::NOT_EQUALS => self.equal(false, name, args),
            operators::LOGICAL_AND => join(Junction::And),
            operators::LOGICAL_OR => join(Junction::Or),
            operators::NEGATE => {
                let [it] = self.numbers(name, args)?;
                Ok(Formula::Number(Number::Negative(Box::new(it))))
            }
            operators::LOGICAL_NOT => {
                let [it] = self.conditions(name, args)?;
                Ok(Formula::Condition(Condition::Not(Box::new(it))))
            }
            operators::CONDITIONAL => self.either(name, args),
            _ => self.function(name, args),
        }
    }

    fn function(&self, name: &str, args: &[cel::IdedExpr]) -> Result<Formula, Mistake> {
        let (_, takes) = FUNCTIONS
            .into_iter()
            .find(|&(function, _)| function == name)
            .ok_or_else(|| self.not_known(name))?;
        let mut numbers = Vec::with_capacity(args.len());
        for arg in args {
            numbers.push(self.number(name, arg)?);
        }
        let number = match (name, <[Number; 3]>::try_from(numbers)) {
            ("clamp", Ok(three)) => Number::Within(Box::new(three)),
            ("min", Ok(three)) => Number::Least(three.into()),
            ("max", Ok(three)) => Number::Most(three.into()),
            ("min", Err(some)) if some.len() > 1 => Number::Least(some),
            ("max", Err(some)) if some.len() > 1 => Number::Most(some),
            _ if takes.is_some() => {
                return Err(
                    self.wrong(name, "clamp takes three numbers: write clamp(a, least, most)")
                );
            }
            _ => {
                let sentence = format!("{name} takes two numbers or more: write {name}(a, b)");
                return Err(self.wrong(name, &sentence));
            }
        };
        Ok(Formula::Number(number))
    }

    /// Two numbers, or two conditions, that are compared.
    fn equal(&self, alike: bool, name: &str, args: &[cel::IdedExpr]) -> Result<Formula, Mistake> {
        let comparison = if alike { Comparison::Equal } else { Comparison::Different };
        Ok(Formula::Condition(match self.both(name, args)? {
            Two::Numbers(both) => Condition::Compare(comparison, both),
            Two::Conditions(both) => Condition::Alike(alike, both),
        }))
    }

    /// `condition ? a : b`.
    fn either(&self, name: &str, args: &[cel::IdedExpr]) -> Result<Formula, Mistake> {
        let Some((condition, rest)) = args.split_first() else { return Err(self.not_known(name)) };
        let condition = Box::new(self.condition(name, condition)?);
        Ok(match self.both(name, rest)? {
            Two::Numbers(either) => Formula::Number(Number::Either(condition, either)),
            Two::Conditions(either) => Formula::Condition(Condition::Either(condition, either)),
        })
    }

    fn both(&self, name: &str, args: &[cel::IdedExpr]) -> Result<Two, Mistake> {
        let [a, b] = args else { return Err(self.not_known(name)) };
        match (self.read(&a.expr)?, self.read(&b.expr)?) {
            (Formula::Number(a), Formula::Number(b)) => Ok(Two::Numbers(Box::new([a, b]))),
            (Formula::Condition(a), Formula::Condition(b)) => Ok(Two::Conditions(Box::new([a, b]))),
            _ => {
                let sentence = format!(
                    "'{}' has a number on one side and a condition on the other: write two of the same kind",
                    written(name)
                );
                Err(self.wrong(name, &sentence))
            }
        }
    }

    fn numbers<const N: usize>(
        &self,
        name: &str,
        args: &[cel::IdedExpr],
    ) -> Result<[Number; N], Mistake> {
        let mut numbers = Vec::with_capacity(N);
        for arg in args {
            numbers.push(self.number(name, arg)?);
        }
        numbers.try_into().map_err(|_| self.not_known(name))
    }

    fn conditions<const N: usize>(
        &self,
        name: &str,
        args: &[cel::IdedExpr],
    ) -> Result<[Condition; N], Mistake> {
        let mut conditions = Vec::with_capacity(N);
        for arg in args {
            conditions.push(self.condition(name, arg)?);
        }
        conditions.try_into().map_err(|_| self.not_known(name))
    }

    fn number(&self, of: &str, expression: &cel::IdedExpr) -> Result<Number, Mistake> {
        match self.read(&expression.expr)? {
            Formula::Number(number) => Ok(number),
            Formula::Condition(_) => {
                let sentence = format!(
                    "'{}' takes numbers, but is given a condition: write condition ? number : number",
                    written(of)
                );
                Err(self.wrong(of, &sentence))
            }
        }
    }

    fn condition(&self, of: &str, expression: &cel::IdedExpr) -> Result<Condition, Mistake> {
        match self.read(&expression.expr)? {
            Formula::Condition(condition) => Ok(condition),
            Formula::Number(_) => {
                let sentence = format!(
                    "'{}' takes conditions, but is given a number: compare it, such as hour >= 8",
                    written(of)
                );
                Err(self.wrong(of, &sentence))
            }
        }
    }

    fn not_known(&self, name: &str) -> Mistake {
        let written = written(name);
        self.wrong(
            name,
            &format!("'{written}' is not supported here: write numbers and conditions"),
        )
    }

    /// CEL keeps no places. Where an operator or a function stands only once, the place is known all the same.
    fn wrong(&self, name: &str, sentence: &str) -> Mistake {
        let mut places = self.tokens.iter().filter(|token| token.text == written(name));
        match (places.next(), places.next()) {
            (Some(token), None) => Mistake::at(self.text, token.offset, sentence),
            _ => Mistake::new(sentence),
        }
    }
}

/// Two of a kind.
enum Two {
    Numbers(Box<[Number; 2]>),
    Conditions(Box<[Condition; 2]>),
}

/// How an operator or a function is written: CEL calls `a + b` `_+_`, and `a ? b : c` `_?_:_`.
fn written(name: &str) -> &str {
    match name {
        operators::CONDITIONAL => "?",
        other => other.trim_matches('_'),
    }
}
