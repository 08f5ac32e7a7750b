//! Evaluation over a tree laid out in document order: the number of an element is its place in
//! that order, and its descendants are the numbers up to its end.

use super::parse::{Axis, Comparison, Expr, Function, Path, Step};
use super::{Answer, Match, Place};
use crate::error::{Error, Result};
use crate::tree::{Element, Text};

/// Most element visits of one query.
pub const VISITS_MAX: usize = 20_000_000;

pub(super) fn eval<'a>(expr: &Expr, root: &'a Element) -> Result<Answer<'a>> {
    let mut query = Query {
        flat: flatten(root),
        visits: 0,
    };
    let context = Context {
        node: Item::element(DOCUMENT),
        position: 1,
        size: 1,
    };
    Ok(match query.value(expr, &context)? {
        Value::Nodes(items) => {
            Answer::Nodes(items.into_iter().filter_map(|i| query.found(i)).collect())
        }
        Value::Number(n) => Answer::Number(n),
        Value::Bool(b) => Answer::Bool(b),
        Value::Text(t) => Answer::Text(t),
    })
}

struct Flat<'a> {
    /// `None` for the document above the root.
    element: Option<&'a Element>,
    parent: usize,
    /// One past the last descendant.
    end: usize,
    /// Which child of its parent this is.
    index: usize,
}

/// An element, or one of its attributes by index. Ordered as the document is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    node: usize,
    /// 0 for the element itself, else the attribute's index plus 1.
    attr: usize,
}

impl Item {
    const fn element(node: usize) -> Self {
        Self { node, attr: 0 }
    }
}

struct Context {
    node: Item,
    position: usize,
    size: usize,
}

enum Value {
    Nodes(Vec<Item>),
    Bool(bool),
    Number(f64),
    Text(String),
}

struct Query<'a> {
    flat: Vec<Flat<'a>>,
    visits: usize,
}

fn flatten(root: &Element) -> Vec<Flat<'_>> {
    fn add<'a>(element: &'a Element, parent: usize, index: usize, flat: &mut Vec<Flat<'a>>) {
        let number = flat.len();
        flat.push(Flat {
            element: Some(element),
            parent,
            end: 0,
            index,
        });
        for (index, child) in element.children.iter().enumerate() {
            add(child, number, index, flat);
        }
        flat[number].end = flat.len();
    }
    let mut flat = vec![Flat {
        element: None,
        parent: DOCUMENT,
        end: 0,
        index: 0,
    }];
    add(root, DOCUMENT, 0, &mut flat);
    flat[DOCUMENT].end = flat.len();
    flat
}

impl<'a> Query<'a> {
    fn value(&mut self, expr: &Expr, context: &Context) -> Result<Value> {
        Ok(match expr {
            Expr::Or(parts) => Value::Bool(self.any(parts, true, context)?),
            Expr::And(parts) => Value::Bool(!self.any(parts, false, context)?),
            Expr::Compare(op, a, b) => {
                let (a, b) = (self.value(a, context)?, self.value(b, context)?);
                Value::Bool(self.compare(*op, &a, &b)?)
            }
            Expr::Union(parts) => {
                let mut all = Vec::new();
                for part in parts {
                    if let Value::Nodes(nodes) = self.value(part, context)? {
                        all.extend(nodes);
                    }
                }
                Value::Nodes(in_order(all))
            }
            Expr::Path(path) => Value::Nodes(self.path(path, context)?),
            Expr::Literal(text) => Value::Text(text.clone()),
            Expr::Number(number) => Value::Number(*number),
            Expr::Call(function, arguments) => self.call(*function, arguments, context)?,
        })
    }

    /// Whether some part has this truth; stops at the first.
    fn any(&mut self, parts: &[Expr], wanted: bool, context: &Context) -> Result<bool> {
        for part in parts {
            if self.truth(part, context)? == wanted {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn truth(&mut self, expr: &Expr, context: &Context) -> Result<bool> {
        Ok(match self.value(expr, context)? {
            Value::Nodes(nodes) => !nodes.is_empty(),
            Value::Bool(b) => b,
            Value::Number(n) => n != 0.0 && !n.is_nan(),
            Value::Text(t) => !t.is_empty(),
        })
    }

    fn call(&mut self, function: Function, args: &[Expr], context: &Context) -> Result<Value> {
        Ok(match (function, args) {
            (Function::Count, [of]) => match self.value(of, context)? {
                Value::Nodes(nodes) => number(nodes.len()),
                _ => Value::Number(0.0),
            },
            (Function::Not, [of]) => Value::Bool(!self.truth(of, context)?),
            (Function::Contains, [text, part]) => {
                let (text, part) = (self.text(text, context)?, self.text(part, context)?);
                Value::Bool(text.contains(&part))
            }
            (Function::StartsWith, [text, part]) => {
                let (text, part) = (self.text(text, context)?, self.text(part, context)?);
                Value::Bool(text.starts_with(&part))
            }
            (Function::Name, _) => Value::Text(self.name_of(context.node).to_owned()),
            (Function::Position, _) => number(context.position),
            (Function::Last, _) => number(context.size),
            (Function::True, _) => Value::Bool(true),
            // The parser has checked the number of arguments.
            _ => Value::Bool(false),
        })
    }

    fn text(&mut self, expr: &Expr, context: &Context) -> Result<String> {
        Ok(match self.value(expr, context)? {
            Value::Nodes(nodes) => match nodes.first() {
                Some(item) => self.string_value(*item)?,
                None => String::new(),
            },
            Value::Bool(b) => b.to_string(),
            Value::Number(n) => n.to_string(),
            Value::Text(t) => t,
        })
    }

    fn path(&mut self, path: &Path, context: &Context) -> Result<Vec<Item>> {
        let start = if path.absolute {
            Item::element(DOCUMENT)
        } else {
            context.node
        };
        let mut here = vec![start];
        for step in &path.steps {
            let mut next = Vec::new();
            for item in here {
                next.extend(self.step(step, item)?);
            }
            here = in_order(next);
        }
        Ok(here)
    }

    /// One step from one node; predicates count positions among these.
    fn step(&mut self, step: &Step, from: Item) -> Result<Vec<Item>> {
        let mut found = self.axis(step, from)?;
        for predicate in &step.predicates {
            let size = found.len();
            let mut kept = Vec::new();
            for (i, node) in found.into_iter().enumerate() {
                let context = Context {
                    node,
                    position: i + 1,
                    size,
                };
                if self.holds(predicate, &context)? {
                    kept.push(node);
                }
            }
            found = kept;
        }
        Ok(found)
    }

    fn axis(&mut self, step: &Step, from: Item) -> Result<Vec<Item>> {
        let node = from.node;
        let fits = |name: &str| step.name.as_deref().is_none_or(|wanted| wanted == name);
        let mut found = Vec::new();
        match step.axis {
            Axis::Parent if from.attr != 0 => found.push(Item::element(node)),
            Axis::Parent if node != DOCUMENT => found.push(Item::element(self.flat[node].parent)),
            Axis::Itself => found.push(from),
            Axis::DescendantOrSelf | Axis::Descendant if from.attr == 0 => {
                let first = node + usize::from(step.axis == Axis::Descendant);
                self.visit(self.flat[node].end - node)?;
                found.extend((first..self.flat[node].end).map(Item::element));
            }
            Axis::Ancestor | Axis::AncestorOrSelf => {
                // An attribute's nearest ancestor is its element.
                let mut at = match from.attr {
                    0 if step.axis == Axis::Ancestor => self.flat[node].parent,
                    _ => node,
                };
                while at != DOCUMENT {
                    self.visit(1)?;
                    found.push(Item::element(at));
                    at = self.flat[at].parent;
                }
            }
            Axis::Child if from.attr == 0 => {
                let mut child = node + 1;
                while child < self.flat[node].end {
                    self.visit(1)?;
                    if self.flat[child].element.is_some_and(|e| fits(&e.name)) {
                        found.push(Item::element(child));
                    }
                    child = self.flat[child].end;
                }
            }
            Axis::Attribute if from.attr == 0 => {
                self.visit(1)?;
                let attrs = self.flat[node].element.map_or(&[][..], |e| &e.attrs);
                let fitting = attrs.iter().enumerate().filter(|(_, (name, _))| fits(name));
                found.extend(fitting.map(|(i, _)| Item { node, attr: i + 1 }));
            }
            _ => {}
        }
        if step.name.is_some() {
            found.retain(|item| fits(self.name_of(*item)));
        }
        Ok(found)
    }

    /// A number as predicate means a position.
    fn holds(&mut self, predicate: &Expr, context: &Context) -> Result<bool> {
        if let Expr::Number(_) | Expr::Call(Function::Count | Function::Last, _) = predicate {
            let position = Value::Number(f64_of(context.position));
            let wanted = self.value(predicate, context)?;
            return self.compare(Comparison::Equal, &wanted, &position);
        }
        self.truth(predicate, context)
    }

    /// XPath 1.0, 3.4: node-sets compare by any of their nodes.
    fn compare(&mut self, op: Comparison, a: &Value, b: &Value) -> Result<bool> {
        if let (Value::Bool(_), _) | (_, Value::Bool(_)) = (a, b) {
            return Ok(compare_numbers(op, truth_number(a), truth_number(b)));
        }
        let left = self.atoms(a)?;
        let right = self.atoms(b)?;
        let numeric = matches!(a, Value::Number(_)) || matches!(b, Value::Number(_));
        for l in &left {
            for r in &right {
                self.visit(1)?;
                let holds = match op {
                    Comparison::Equal if !numeric => l == r,
                    Comparison::NotEqual if !numeric => l != r,
                    _ => compare_numbers(op, to_number(l), to_number(r)),
                };
                if holds {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn atoms(&mut self, value: &Value) -> Result<Vec<String>> {
        Ok(match value {
            Value::Nodes(nodes) => nodes
                .iter()
                .map(|n| self.string_value(*n))
                .collect::<Result<Vec<String>>>()?,
            Value::Number(n) => vec![n.to_string()],
            Value::Text(t) => vec![t.clone()],
            Value::Bool(b) => vec![b.to_string()],
        })
    }

    fn string_value(&mut self, item: Item) -> Result<String> {
        if item.attr != 0 {
            let attr = self.flat[item.node]
                .element
                .map(|e| &e.attrs[item.attr - 1].1);
            return Ok(attr.map(Text::to_string).unwrap_or_default());
        }
        let range = item.node..self.flat[item.node].end;
        self.visit(range.len())?;
        let texts = self.flat[range].iter().filter_map(|f| f.element);
        Ok(texts.map(|e| e.text.as_str()).collect())
    }

    fn name_of(&self, item: Item) -> &'a str {
        match self.flat[item.node].element {
            Some(element) if item.attr == 0 => &element.name,
            Some(element) => &element.attrs[item.attr - 1].0,
            None => "",
        }
    }

    /// The document above the root is not an element and is never an answer.
    fn found(&self, item: Item) -> Option<Match<'a>> {
        let element = self.flat[item.node].element?;
        let attribute = item.attr.checked_sub(1).map(|i| {
            let (name, value) = &element.attrs[i];
            (name.as_str(), value.as_str())
        });
        let mut indices = Vec::new();
        let mut node = item.node;
        while self.flat[node].parent != DOCUMENT {
            indices.push(self.flat[node].index);
            node = self.flat[node].parent;
        }
        indices.reverse();
        Some(Match {
            place: Place(indices),
            element,
            attribute,
        })
    }

    fn visit(&mut self, count: usize) -> Result<()> {
        self.visits += count;
        if self.visits > VISITS_MAX {
            return Err(Error::XPathWork { limit: VISITS_MAX });
        }
        Ok(())
    }
}

fn in_order(mut items: Vec<Item>) -> Vec<Item> {
    items.sort_unstable();
    items.dedup();
    items
}

fn compare_numbers(op: Comparison, a: f64, b: f64) -> bool {
    match op {
        // Positions, counts and the numbers people write are exact.
        #[expect(clippy::float_cmp)]
        Comparison::Equal => a == b,
        #[expect(clippy::float_cmp)]
        Comparison::NotEqual => a != b,
        Comparison::Less => a < b,
        Comparison::LessOrEqual => a <= b,
        Comparison::Greater => a > b,
        Comparison::GreaterOrEqual => a >= b,
    }
}

fn truth_number(value: &Value) -> f64 {
    let truth = match value {
        Value::Nodes(nodes) => !nodes.is_empty(),
        Value::Bool(b) => *b,
        Value::Number(n) => *n != 0.0 && !n.is_nan(),
        Value::Text(t) => !t.is_empty(),
    };
    f64::from(u8::from(truth))
}

fn to_number(text: &str) -> f64 {
    let text = text.trim();
    let plain = text
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '.' | '-'));
    if plain {
        text.parse().unwrap_or(f64::NAN)
    } else {
        f64::NAN
    }
}

fn number(count: usize) -> Value {
    Value::Number(f64_of(count))
}

/// Exact: counts are far below 2^32.
fn f64_of(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

const DOCUMENT: usize = 0;
