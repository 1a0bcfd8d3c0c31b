//! What a dashboard is made of, as tables say it.

/// A dashboard.
#[derive(Debug)]
pub struct Dashboard {
    /// In its address, and the name of its file.
    pub name: &'static str,
    pub description: &'static str,
    /// What the reader chooses.
    pub choice: Option<Choice>,
    pub rows: &'static [Row],
}

/// A label of which the reader chooses values; queries have it as `$name`.
#[derive(Debug)]
pub struct Choice {
    /// The label.
    pub name: &'static str,
    /// For people.
    pub label: &'static str,
    /// A series that has it.
    pub of: &'static str,
}

/// Panels that belong together. They flow from left to right, and into the next line where they do not fit.
#[derive(Debug)]
pub struct Row {
    pub title: &'static str,
    pub panels: &'static [Panel],
}

/// One panel.
#[derive(Debug)]
pub struct Panel {
    pub title: &'static str,
    pub description: &'static str,
    pub shape: Shape,
    pub unit: Unit,
    /// Of the 24 columns.
    pub width: u32,
    pub queries: &'static [Query],
    /// What its values cannot exceed, drawn as a dashed line.
    pub capacity: Option<Query>,
    /// The alert whose lines in the runbook it is about.
    pub alert: Option<&'static str>,
}

impl Panel {
    /// A number: a query, of which the last value is shown.
    pub const fn number(
        title: &'static str,
        description: &'static str,
        unit: Unit,
        query: &'static [Query],
    ) -> Self {
        Self {
            title,
            description,
            shape: Shape::Number,
            unit,
            width: 4,
            queries: query,
            capacity: None,
            alert: None,
        }
    }

    /// Lines over time, of a third of the width.
    pub const fn lines(
        title: &'static str,
        description: &'static str,
        unit: Unit,
        queries: &'static [Query],
    ) -> Self {
        Self { title, description, shape: Shape::Lines, unit, width: 8, queries, capacity: None, alert: None }
    }

    /// A table of labels, of the whole width. `hidden`: labels that it does not show.
    pub const fn table(
        title: &'static str,
        description: &'static str,
        query: &'static [Query],
        shown: Shown,
    ) -> Self {
        let shape = Shape::Table(shown);
        Self {
            title,
            description,
            shape,
            unit: Unit::Number,
            width: 24,
            queries: query,
            capacity: None,
            alert: None,
        }
    }

    #[must_use]
    pub const fn wide(mut self, width: u32) -> Self {
        self.width = width;
        self
    }

    #[must_use]
    pub const fn up_to(mut self, capacity: Query) -> Self {
        self.capacity = Some(capacity);
        self
    }

    #[must_use]
    pub const fn alert(mut self, alert: &'static str) -> Self {
        self.alert = Some(alert);
        self
    }

    /// A number that should be 0.
    #[must_use]
    pub const fn bad(mut self) -> Self {
        self.shape = Shape::Bad;
        self
    }
}

/// How it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Number,
    /// A number that is red from 1 on.
    Bad,
    Lines,
    Table(Shown),
}

/// What a table shows of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Its labels; its value is always 1.
    Labels,
    /// Its name and its value.
    NameAndValue,
}

/// What numbers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Number,
    /// 0 to 1.
    Share,
    Seconds,
    Bytes,
    BytesPerSecond,
    PerSecond,
}

impl Unit {
    /// As Grafana calls it.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Number => "short",
            Self::Share => "percentunit",
            Self::Seconds => "s",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "Bps",
            Self::PerSecond => "cps",
        }
    }
}

/// An expression of PromQL, and what its series are called: text with labels as `{{label}}`.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    pub expr: &'static str,
    pub legend: &'static str,
}

/// A query.
pub const fn q(expr: &'static str, legend: &'static str) -> Query {
    Query { expr, legend }
}
