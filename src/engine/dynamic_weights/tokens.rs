//! What may stand in an expression at all. What passes can be parsed without danger: the parser of the cel crate
//! needs stack for each level, works twice as long for each `--`, and takes `--a` for `-a`.

use super::{mistake::Mistake, signal::Variable};

/// The longest expression, in characters. The CRD says the same.
pub const LONGEST: usize = 1024;
/// How deep parentheses, calls and conditional expressions may stand in each other.
pub const DEEPEST: usize = 16;

/// A function, and what it takes: exactly that many numbers, or at least two.
pub const FUNCTIONS: [(&str, Option<usize>); 3] =
    [("min", None), ("max", None), ("clamp", Some(3))];

/// A piece of an expression.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Token<'a> {
    /// The byte at which it begins.
    pub offset: usize,
    /// How it is written.
    pub text: &'a str,
}

impl Token<'_> {
    /// Whether something that is complete ends here: what follows stands between two things.
    fn ends(self) -> bool {
        self.text == ")"
            || self.text.starts_with(|it: char| it.is_ascii_alphanumeric() || it == '.')
    }
}

/// Takes an expression to pieces, or says which of them cannot be there.
///
/// # Errors
/// When it is too long or too deep, speaks of what is not known, or of what no weight is made of.
pub fn tokens(text: &str) -> Result<Vec<Token<'_>>, Mistake> {
    if text.chars().count() > LONGEST {
        let sentence = format!("it is longer than {LONGEST} characters: shorten it");
        return Err(Mistake::new(sentence));
    }
    let mut tokens: Vec<Token> = Vec::new();
    // The depth at each parenthesis that is open. A conditional expression lasts until its parenthesis closes.
    let (mut open, mut depth) = (Vec::new(), 0_usize);
    let mut offset = 0;
    while let Some(first) = text[offset..].chars().next() {
        if first.is_ascii_whitespace() && first != '\u{c}' {
            offset += 1;
            continue;
        }
        let token = Token { offset, text: &text[offset..][..length(&text[offset..])] };
        let wrong = |sentence: String| Err(Mistake::at(text, offset, sentence));
        let before = tokens.last().copied();
        match token.text {
            word if first.is_ascii_alphabetic() || first == '_' => {
                let rest = text[offset + word.len()..].trim_start();
                if let Some(sentence) = unknown(word, rest.starts_with('(')) {
                    return wrong(sentence);
                }
            }
            number if number.contains(|it: char| it.is_ascii_digit()) => {
                if let Some(sentence) = no_number(number) {
                    return wrong(sentence);
                }
            }
            "-" | "!" if !before.is_some_and(Token::ends) => {
                if before.is_some_and(|before| matches!(before.text, "-" | "!"))
                    && !tokens.iter().rev().nth(1).copied().is_some_and(Token::ends)
                {
                    return wrong(format!(
                        "'{}' follows '{}': write one of them, or parentheses between them",
                        token.text,
                        before.map(|before| before.text).unwrap_or_default()
                    ));
                }
            }
            "(" => {
                open.push(depth);
                depth += 1;
            }
            ")" => match open.pop() {
                Some(outside) => depth = outside,
                None => return wrong("no parenthesis is open here: remove ')'".into()),
            },
            "?" => depth += 1,
            "+" | "-" | "*" | "/" | "!" | "<" | ">" | "==" | "!=" | "<=" | ">=" | "&&" | "||"
            | ":" | "," => {}
            other => return wrong(stranger(other)),
        }
        if depth > DEEPEST {
            return wrong(format!(
                "more than {DEEPEST} parentheses, calls and ? : are nested: write it with fewer levels"
            ));
        }
        offset += token.text.len();
        tokens.push(token);
    }
    if tokens.is_empty() {
        return Err(Mistake::new("it is empty: write how the weight is computed"));
    }
    Ok(tokens)
}

/// How many bytes the first token of a text has, which is not empty.
fn length(text: &str) -> usize {
    let first = text.chars().next().unwrap_or_default();
    let second = text.chars().nth(1).unwrap_or_default();
    let until = |end: &dyn Fn(char) -> bool| text.find(end).unwrap_or(text.len());
    let word = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '.';
    if first.is_ascii_digit() || (first == '.' && second.is_ascii_digit()) {
        let whole = until(&|it| !word(it));
        // The sign of an exponent is part of the number: 1e-3.
        let signed = text[..whole].ends_with(['e', 'E']) && text[whole..].starts_with(['+', '-']);
        let digits = |rest: &str| rest.find(|it: char| !word(it)).unwrap_or(rest.len());
        if signed { whole + 1 + digits(&text[whole + 1..]) } else { whole }
    } else if first.is_ascii_alphabetic() || first == '_' {
        until(&|it| !word(it))
    } else if ["==", "!=", "<=", ">=", "&&", "||", "//"].iter().any(|two| text.starts_with(two)) {
        2
    } else {
        first.len_utf8()
    }
}

/// What is wrong with a name, if something is.
fn unknown(word: &str, called: bool) -> Option<String> {
    let functions = || FUNCTIONS.map(|(name, _)| name).join(", ");
    if called {
        let known = FUNCTIONS.iter().any(|&(name, _)| name == word);
        return (!known).then(|| format!("there is no function '{word}': write {}", functions()));
    }
    if Variable::named(word).is_some() || matches!(word, "true" | "false") {
        return None;
    }
    if FUNCTIONS.iter().any(|&(name, _)| name == word) {
        return Some(format!("'{word}' is a function: write {word}(a, b)"));
    }
    let names = Variable::ALL.map(Variable::name);
    let near = |name: &&&str| strsim::damerau_levenshtein(name, word) <= 2;
    Some(match names.iter().find(near) {
        Some(name) => format!("'{word}' is not known: did you mean {name}?"),
        None => format!("'{word}' is not known: write one of {}", names.join(", ")),
    })
}

/// What is wrong with a number, if something is.
fn no_number(text: &str) -> Option<String> {
    let (whole, rest) = text.split_at(text.find(['.', 'e', 'E']).unwrap_or(text.len()));
    let digits = |text: &str| text.bytes().all(|it| it.is_ascii_digit());
    let fraction = rest.strip_prefix('.').map(|rest| rest.split(['e', 'E']).next().unwrap_or(rest));
    if !digits(whole) || !fraction.is_none_or(|it| !it.is_empty() && digits(it)) {
        return Some(format!(
            "'{text}' is not a number: write digits with a point, such as 2 or 0.5"
        ));
    }
    match text.parse::<f64>() {
        Err(_) => {
            Some(format!("'{text}' is not a number: write digits with a point, such as 2 or 0.5"))
        }
        Ok(number) if !number.is_finite() || (rest.is_empty() && text.parse::<i64>().is_err()) => {
            Some(format!("'{text}' is too large a number: write a smaller one"))
        }
        Ok(_) => None,
    }
}

/// Why a sign has no place in an expression.
fn stranger(sign: &str) -> String {
    match sign {
        "'" | "\"" | "`" => "text is not allowed in a weight: write numbers and conditions".into(),
        "[" | "]" | "{" | "}" => {
            "lists and maps are not allowed in a weight: write numbers and conditions".into()
        }
        "//" => "a comment is not allowed here: write it in the YAML, after #".into(),
        "=" => "'=' is not a comparison: write ==".into(),
        "&" | "|" => format!("a single '{sign}' is not an operator: write {sign}{sign}"),
        "%" => "'%' is for whole numbers, and these have fractions: write it without '%'".into(),
        other => format!("'{}' is not allowed in a weight: remove it", other.escape_debug()),
    }
}
