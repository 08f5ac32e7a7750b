//! Expression text to syntax tree.

use crate::error::{Error, Result};

/// Longest expression, in bytes.
pub const EXPRESSION_MAX_BYTES: usize = 8 * 1024;
/// Deepest nesting of predicates and parentheses.
pub const NESTING_MAX: usize = 32;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    /// Flat, so that a long chain does not nest.
    Or(Vec<Self>),
    And(Vec<Self>),
    Compare(Comparison, Box<Self>, Box<Self>),
    Union(Vec<Self>),
    Path(Path),
    Literal(String),
    Number(f64),
    Call(Function, Vec<Self>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Path {
    pub(super) absolute: bool,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) axis: Axis,
    /// `None` is `*`.
    pub(super) name: Option<String>,
    pub(super) predicates: Vec<Expr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    Child,
    Attribute,
    Itself,
    Parent,
    /// What `//` stands for.
    DescendantOrSelf,
    Descendant,
    /// Nearest first, as positions count them.
    Ancestor,
    AncestorOrSelf,
}

/// Axes by their names, where one is written out.
const AXES: [(&str, Axis); 8] = [
    ("child", Axis::Child),
    ("attribute", Axis::Attribute),
    ("self", Axis::Itself),
    ("parent", Axis::Parent),
    ("descendant-or-self", Axis::DescendantOrSelf),
    ("descendant", Axis::Descendant),
    ("ancestor", Axis::Ancestor),
    ("ancestor-or-self", Axis::AncestorOrSelf),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Count,
    Not,
    Contains,
    StartsWith,
    Name,
    Position,
    Last,
    True,
    False,
}

const FUNCTIONS: [(&str, Function, usize); 9] = [
    ("count", Function::Count, 1),
    ("not", Function::Not, 1),
    ("contains", Function::Contains, 2),
    ("starts-with", Function::StartsWith, 2),
    ("name", Function::Name, 0),
    ("position", Function::Position, 0),
    ("last", Function::Last, 0),
    ("true", Function::True, 0),
    ("false", Function::False, 0),
];

pub(super) fn parse(text: &str) -> Result<Expr> {
    if text.len() > EXPRESSION_MAX_BYTES {
        let what = format!("the expression is longer than {EXPRESSION_MAX_BYTES} bytes");
        return Err(refuse(1, what, "shorten it, or query several times"));
    }
    let tokens = tokenize(text)?;
    let mut parser = Parser {
        tokens,
        next: 0,
        end: text.chars().count() + 1,
        depth: 0,
    };
    let expr = parser.or()?;
    match parser.peek() {
        None => Ok(expr),
        Some(token) => {
            let what = format!("{} is not expected here", token.describe());
            Err(parser.refuse(what, "remove it, or put and, or, | before it"))
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Symbol(&'static str),
    Name(String),
    Literal(String),
    Number(f64),
}

impl Token {
    fn describe(&self) -> String {
        match self {
            Self::Symbol(s) => format!("\"{s}\""),
            Self::Name(n) => format!("\"{n}\""),
            Self::Literal(l) => format!("'{l}'"),
            Self::Number(n) => n.to_string(),
        }
    }
}

/// Longest first, so that `//` is not two `/`.
const SYMBOLS: [&str; 21] = [
    "//", "..", "::", "!=", "<=", ">=", "/", "[", "]", "(", ")", "@", ",", "|", "=", "<", ">", "*",
    ".", "+", "$",
];

/// Tokens with the 1-based character at which each starts.
fn tokenize(text: &str) -> Result<Vec<(usize, Token)>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let at = text[..text.len() - rest.len()].chars().count() + 1;
        if c.is_whitespace() {
            rest = &rest[c.len_utf8()..];
        } else if c == '\'' || c == '"' {
            let Some((literal, tail)) = rest[1..].split_once(c) else {
                let what = format!("the string started with {c} does not end");
                return Err(refuse(at, what, "close the quote"));
            };
            tokens.push((at, Token::Literal(literal.to_owned())));
            rest = tail;
        } else if c.is_ascii_digit() {
            let end = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            let number = rest[..end].parse().map_err(|_| {
                refuse(
                    at,
                    format!("{} is not a number", &rest[..end]),
                    "write digits",
                )
            })?;
            tokens.push((at, Token::Number(number)));
            rest = &rest[end..];
        } else if is_name_start(c) {
            let end = name_end(rest);
            tokens.push((at, Token::Name(rest[..end].to_owned())));
            rest = &rest[end..];
        } else if let Some(symbol) = SYMBOLS.iter().find(|s| rest.starts_with(**s)) {
            tokens.push((at, Token::Symbol(symbol)));
            rest = &rest[symbol.len()..];
        } else {
            let what = format!("character {c:?} has no meaning here");
            return Err(refuse(at, what, "quote values: [@id='…']"));
        }
    }
    Ok(tokens)
}

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

/// A name may hold one `:` of a prefix, but `::` belongs to an axis.
fn name_end(text: &str) -> usize {
    let mut chars = text.char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        let fine = match c {
            ':' => chars.peek().is_some_and(|(_, next)| is_name_start(*next)),
            c => c.is_alphanumeric() || matches!(c, '-' | '_' | '.'),
        };
        if !fine {
            return i;
        }
    }
    text.len()
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    end: usize,
    depth: usize,
}

impl Parser {
    fn or(&mut self) -> Result<Expr> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            let what = format!("nested deeper than {NESTING_MAX}");
            return Err(self.refuse(what, "simplify it"));
        }
        let mut parts = vec![self.and()?];
        while self.take_word("or") {
            parts.push(self.and()?);
        }
        self.depth -= 1;
        Ok(only(parts, Expr::Or))
    }

    fn and(&mut self) -> Result<Expr> {
        let mut parts = vec![self.comparison()?];
        while self.take_word("and") {
            parts.push(self.comparison()?);
        }
        Ok(only(parts, Expr::And))
    }

    fn comparison(&mut self) -> Result<Expr> {
        const OPERATORS: [(&str, Comparison); 6] = [
            ("=", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<", Comparison::Less),
            ("<=", Comparison::LessOrEqual),
            (">", Comparison::Greater),
            (">=", Comparison::GreaterOrEqual),
        ];
        let left = self.union()?;
        let found = OPERATORS.into_iter().find(|(symbol, _)| self.take(symbol));
        match found {
            Some((_, op)) => Ok(Expr::Compare(op, Box::new(left), Box::new(self.union()?))),
            None => Ok(left),
        }
    }

    fn union(&mut self) -> Result<Expr> {
        let first = self.primary()?;
        if !self.is("|") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take("|") {
            parts.push(self.primary()?);
        }
        if parts
            .iter()
            .any(|p| !matches!(p, Expr::Path(_) | Expr::Union(_)))
        {
            return Err(self.refuse("| between values".to_owned(), "join paths with |"));
        }
        Ok(Expr::Union(parts))
    }

    fn primary(&mut self) -> Result<Expr> {
        match self.peek().cloned() {
            Some(Token::Literal(text)) => {
                self.next += 1;
                Ok(Expr::Literal(text))
            }
            Some(Token::Number(number)) => {
                self.next += 1;
                Ok(Expr::Number(number))
            }
            Some(Token::Symbol("(")) => {
                self.next += 1;
                let inner = self.or()?;
                self.expect(")")?;
                if self.is("[") || self.is("/") || self.is("//") {
                    let what = "a path that goes on after )".to_owned();
                    return Err(self.refuse(what, "write it as one path, without parentheses"));
                }
                Ok(inner)
            }
            Some(Token::Name(name)) if self.is_at(1, "(") => self.call(&name),
            _ => self.path(),
        }
    }

    fn call(&mut self, name: &str) -> Result<Expr> {
        let Some((_, function, arity)) = FUNCTIONS.iter().find(|(n, ..)| *n == name) else {
            let what = format!("function {name}() is not supported");
            let known: Vec<&str> = FUNCTIONS.iter().map(|(n, ..)| *n).collect();
            return Err(self.refuse(what, &format!("supported: {}", known.join(", "))));
        };
        let start = self.next;
        self.next += 2;
        let mut arguments = Vec::new();
        while !self.is(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            arguments.push(self.or()?);
        }
        self.expect(")")?;
        if arguments.len() != *arity {
            self.next = start;
            let what = format!("{name}() with {} arguments", arguments.len());
            return Err(self.refuse(what, &format!("it takes {arity}")));
        }
        let wants_nodes = *function == Function::Count;
        if wants_nodes && !matches!(arguments[0], Expr::Path(_) | Expr::Union(_)) {
            self.next = start;
            return Err(self.refuse(format!("{name}() of a value"), "give it a path"));
        }
        Ok(Expr::Call(*function, arguments))
    }

    fn path(&mut self) -> Result<Expr> {
        let mut steps = Vec::new();
        let absolute = self.is("/") || self.is("//");
        if self.take("//") {
            steps.push(Step::any(Axis::DescendantOrSelf));
        } else if self.take("/") && !self.at_step() {
            return Ok(Expr::Path(Path { absolute, steps }));
        }
        loop {
            steps.push(self.step()?);
            if self.take("//") {
                steps.push(Step::any(Axis::DescendantOrSelf));
            } else if !self.take("/") {
                return Ok(Expr::Path(Path { absolute, steps }));
            }
        }
    }

    fn at_step(&self) -> bool {
        match self.peek() {
            Some(Token::Name(_)) => true,
            Some(Token::Symbol(s)) => matches!(*s, "@" | "*" | "." | ".."),
            _ => false,
        }
    }

    fn step(&mut self) -> Result<Step> {
        if self.take("..") {
            return Ok(Step::any(Axis::Parent));
        }
        if self.take(".") {
            return Ok(Step::any(Axis::Itself));
        }
        let axis = self.axis()?;
        let name = self.name_test()?;
        let mut predicates = Vec::new();
        while self.take("[") {
            predicates.push(self.or()?);
            self.expect("]")?;
        }
        Ok(Step {
            axis,
            name,
            predicates,
        })
    }

    fn axis(&mut self) -> Result<Axis> {
        if self.take("@") {
            return Ok(Axis::Attribute);
        }
        let Some(Token::Name(name)) = self.peek().filter(|_| self.is_at(1, "::")) else {
            return Ok(Axis::Child);
        };
        match AXES.iter().find(|(known, _)| known == name) {
            Some((_, axis)) => {
                self.next += 2;
                Ok(*axis)
            }
            None => {
                let known: Vec<&str> = AXES.iter().map(|(n, _)| *n).collect();
                let what = format!("axis {name}:: is not supported");
                Err(self.refuse(what, &format!("supported: {}", known.join(", "))))
            }
        }
    }

    fn name_test(&mut self) -> Result<Option<String>> {
        if self.take("*") {
            return Ok(None);
        }
        let Some(Token::Name(name)) = self.peek().cloned() else {
            let what = match self.peek() {
                Some(token) => format!("{} instead of an element's name", token.describe()),
                None => "the expression ends where an element's name should be".to_owned(),
            };
            return Err(self.refuse(what, "write a tag, * or @attribute"));
        };
        if self.is_at(1, "(") {
            let what = format!("{name}() cannot be a step");
            return Err(self.refuse(what, "select elements or @attributes"));
        }
        self.next += 1;
        Ok(Some(name))
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, t)| t)
    }

    fn is(&self, symbol: &str) -> bool {
        self.is_at(0, symbol)
    }

    fn is_at(&self, ahead: usize, symbol: &str) -> bool {
        let token = self.tokens.get(self.next + ahead).map(|(_, t)| t);
        matches!(token, Some(Token::Symbol(s)) if *s == symbol)
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        self.next += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Name(n)) if n == word);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<()> {
        if self.take(symbol) {
            return Ok(());
        }
        let what = match self.peek() {
            Some(token) => format!("{} instead of {symbol}", token.describe()),
            None => format!("the expression ends before {symbol}"),
        };
        Err(self.refuse(what, "check brackets and quotes"))
    }

    fn refuse(&self, what: String, cure: &str) -> Error {
        let at = self.tokens.get(self.next).map_or(self.end, |(at, _)| *at);
        refuse(at, what, cure)
    }
}

impl Step {
    const fn any(axis: Axis) -> Self {
        Self {
            axis,
            name: None,
            predicates: Vec::new(),
        }
    }
}

/// A chain of one link is the link.
fn only(mut parts: Vec<Expr>, chain: fn(Vec<Expr>) -> Expr) -> Expr {
    match parts.pop() {
        Some(part) if parts.is_empty() => part,
        last => {
            parts.extend(last);
            chain(parts)
        }
    }
}

fn refuse(at: usize, what: String, cure: &str) -> Error {
    Error::XPath {
        at,
        what,
        cure: cure.to_owned(),
    }
}
