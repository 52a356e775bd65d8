//! SELECT, and the WHERE clause that other statements share.

use dodona_types::CqlType;

use super::{ArithmeticOperator, FunctionName, Position, QualifiedName, RawType, Term};

/// `SELECT`.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// `SELECT JSON`.
    pub json: bool,
    /// `SELECT DISTINCT`.
    pub distinct: bool,
    /// What is selected.
    pub selectors: Selectors,
    /// The table or view.
    pub table: QualifiedName,
    /// The WHERE clause: all must hold.
    pub relations: Vec<Relation>,
    /// `GROUP BY`.
    pub group_by: Vec<Selectable>,
    /// `ORDER BY`.
    pub order_by: Vec<Ordering>,
    /// `PER PARTITION LIMIT`: an integer or a marker.
    pub per_partition_limit: Option<Term>,
    /// `LIMIT`: an integer or a marker.
    pub limit: Option<Term>,
    /// `ALLOW FILTERING`.
    pub allow_filtering: bool,
}

/// What a SELECT or a view selects.
#[derive(Clone, Debug, PartialEq)]
pub enum Selectors {
    /// `*`.
    All,
    /// Selectables with their aliases.
    List(Vec<(Selectable, Option<String>)>),
}

/// Something that can be selected.
#[derive(Clone, Debug, PartialEq)]
pub enum Selectable {
    /// A column.
    Column(String),
    /// A constant, `NULL` or a marker.
    Term(Term),
    /// `COUNT(*)`.
    CountRows,
    /// `WRITETIME(..)` and its kin.
    Metadata(MetadataFunction, Box<Selectable>),
    /// A call of a function or an aggregate.
    Function(FunctionName, Vec<Selectable>),
    /// `CAST(selectable AS type)`, the type being native.
    Cast(Box<Selectable>, CqlType),
    /// Parts of a value: `a.b[0]` is column `a` with two steps.
    Path(Box<Selectable>, Vec<PathStep>),
    /// `(type) selectable`.
    TypeHint(RawType, Box<Selectable>),
    /// `[a, b]`: a list, or a vector.
    List(Vec<Selectable>),
    /// `{a, b}`. `{}` is an empty set here, but may be meant as a map.
    Set(Vec<Selectable>),
    /// `{a: b}`: a map, or a user-defined type whose fields look like columns.
    Map(Vec<(Selectable, Selectable)>),
    /// `(a, b)`: a tuple. A lone selectable in parentheses is one too, of one field.
    Tuple(Vec<Selectable>),
    /// `-selectable`.
    Negation(Box<Selectable>),
    /// `first op second op third`, to be taken from left to right; all operators bind equally.
    Arithmetic(Box<Selectable>, Vec<(ArithmeticOperator, Selectable)>),
}

impl Selectable {
    /// How many operators and signs there are in it.
    #[must_use]
    pub fn operators(&self) -> usize {
        let all = |items: &[Self]| items.iter().map(Self::operators).sum();
        match self {
            Self::Column(_) | Self::CountRows => 0,
            Self::Term(term) => term.operators(),
            Self::Metadata(_, inner)
            | Self::Cast(inner, _)
            | Self::Path(inner, _)
            | Self::TypeHint(_, inner) => inner.operators(),
            Self::Function(_, items) | Self::List(items) | Self::Set(items) | Self::Tuple(items) => {
                all(items)
            }
            Self::Map(entries) => entries.iter().map(|(k, v)| k.operators() + v.operators()).sum(),
            Self::Negation(inner) => 1 + inner.operators(),
            Self::Arithmetic(first, rest) => {
                first.operators() + rest.iter().map(|(_, item)| 1 + item.operators()).sum::<usize>()
            }
        }
    }

    /// Shows the name of each column in it.
    pub fn each_column(&self, show: &mut dyn FnMut(&str)) {
        match self {
            Self::Column(name) => show(name),
            Self::Term(_) | Self::CountRows => {}
            Self::Metadata(_, inner)
            | Self::Cast(inner, _)
            | Self::Path(inner, _)
            | Self::TypeHint(_, inner)
            | Self::Negation(inner) => inner.each_column(show),
            Self::Function(_, items) | Self::List(items) | Self::Set(items) | Self::Tuple(items) => {
                items.iter().for_each(|item| item.each_column(show));
            }
            Self::Map(entries) => {
                for (key, value) in entries {
                    // The names of fields look like columns.
                    if !matches!(key, Self::Column(_)) {
                        key.each_column(show);
                    }
                    value.each_column(show);
                }
            }
            Self::Arithmetic(first, rest) => {
                first.each_column(show);
                rest.iter().for_each(|(_, item)| item.each_column(show));
            }
        }
    }
}

/// A function of what is stored with a column's value. Its argument is a column or a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetadataFunction {
    /// `WRITETIME`.
    WriteTime,
    /// `MAXWRITETIME`.
    MaxWriteTime,
    /// `TTL`.
    Ttl,
}

/// One step into a value.
#[derive(Clone, Debug, PartialEq)]
pub enum PathStep {
    /// `.field`.
    Field(String),
    /// `[key]`.
    Element(Term),
    /// `[from..to]`, either of which may be missing but not both.
    Slice(Option<Term>, Option<Term>),
}

/// An item of `ORDER BY`.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordering {
    /// The column.
    pub column: String,
    /// `ANN OF` this vector, instead of by the column's own order.
    pub ann_of: Option<Term>,
    /// `DESC`.
    pub descending: bool,
    /// Where the item starts.
    pub position: Position,
}

/// One condition of a WHERE clause.
#[derive(Clone, Debug, PartialEq)]
pub struct Relation {
    /// What is compared.
    pub subject: Subject,
    /// How.
    pub operator: Operator,
    /// With what.
    pub operand: Operand,
    /// Where the relation starts.
    pub position: Position,
}

/// The left side of a relation.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// `column`.
    Column(String),
    /// `column[key]`.
    Element(String, Term),
    /// `(a, b)`.
    Tuple(Vec<String>),
    /// `TOKEN(a, b)`.
    Token(Vec<String>),
    /// `expr(index, term)`: the operator is `=` and the operand the term.
    Expression(QualifiedName),
}

/// The right side of a relation or a condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A term. After IN it is a marker that is bound to the whole list.
    One(Term),
    /// `IN (a, b)`.
    Many(Vec<Term>),
    /// `BETWEEN a AND b`.
    Range(Box<(Term, Term)>),
    /// Nothing, after `IS NOT NULL`.
    Nothing,
}

/// The operator of a relation or a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `!=`
    NotEqual,
    /// `IN`
    In,
    /// `NOT IN` (after 5.0)
    NotIn,
    /// `CONTAINS`
    Contains,
    /// `CONTAINS KEY`
    ContainsKey,
    /// `NOT CONTAINS` (after 5.0)
    NotContains,
    /// `NOT CONTAINS KEY` (after 5.0)
    NotContainsKey,
    /// `LIKE`
    Like,
    /// `BETWEEN` (after 5.0)
    Between,
    /// `IS NOT NULL`
    IsNotNull,
}

impl Operator {
    /// The operator as CQL.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::NotEqual => "!=",
            Self::In => "IN",
            Self::NotIn => "NOT IN",
            Self::Contains => "CONTAINS",
            Self::ContainsKey => "CONTAINS KEY",
            Self::NotContains => "NOT CONTAINS",
            Self::NotContainsKey => "NOT CONTAINS KEY",
            Self::Like => "LIKE",
            Self::Between => "BETWEEN",
            Self::IsNotNull => "IS NOT",
        }
    }
}
