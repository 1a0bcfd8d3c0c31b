//! Rows that differ in one numeric factor: a curve per model over it, and where the best model changes.

use super::chart::{Curve, CurvePoint, Curves, Drawing as _, Mark, Side, Unit, can_show};
use super::html::{Table, bullets};
use super::row::what_is_compared;
use super::words::or_dash;
use crate::compare::time_with_interval;
use crate::kept::Row;
use crate::summary::plain;
use std::collections::{BTreeMap, BTreeSet};

/// By model, in the order of the rows: the row at each value.
type Series<'a> = Vec<(String, Vec<Option<&'a Row>>)>;

/// One factor and the models' times over it.
#[derive(Debug)]
struct Sweep<'a> {
    factor: &'a str,
    /// Its values, rising.
    values: Vec<f64>,
    series: Series<'a>,
}

/// Where the best one changes.
#[derive(Debug, PartialEq)]
struct Crossover {
    /// The best before and behind it, by place.
    from: usize,
    to: usize,
    /// Measured values on both sides.
    between: (f64, f64),
    /// Where straight lines between the measured points cross.
    at: f64,
}

/// Chart, crossovers and table, where the rows have what it takes.
pub fn section(rows: &[Row]) -> Option<String> {
    let sweep = Sweep::of(rows)?;
    let (crossovers, (title, label)) = (sweep.crossovers(), sweep.compared());
    let chart = Curves {
        title: format!("{title} of a run by {}", sweep.factor),
        description: format!("{} {}", sweep.sentences(&crossovers).join(" "), sweep.ranges()),
        bottom: Side::Values { label: sweep.factor.to_owned() },
        label: format!("{label} of a run"),
        unit: Unit::Seconds,
        curves: sweep.curves(),
        marks: crossovers.iter().map(|crossover| sweep.mark(crossover)).collect(),
    };
    let sentences = sweep.sentences(&crossovers);
    Some(chart.figure() + &bullets("findings", &sentences) + &sweep.table())
}

impl<'a> Sweep<'a> {
    fn of(rows: &'a [Row]) -> Option<Self> {
        let factor = only_factor(rows)?;
        let timed: Vec<(&Row, f64)> = rows
            .iter()
            .filter(|row| row.shown_time().is_some())
            .filter_map(|row| Some((row, row.factors.get(factor)?.as_f64()?)))
            .filter(|(_, value)| can_show(*value))
            .collect();
        let mut values: Vec<f64> = timed.iter().map(|(_, value)| *value).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        if values.len() < 2 {
            return None;
        }
        let names: [fn(&Row) -> String; 3] = [model, model_and_shape, |row| row.name.clone()];
        let series = names.into_iter().find_map(|name| series(&timed, &values, name))?;
        Some(Self { factor, values, series })
    }

    /// What is compared of its rows.
    fn compared(&self) -> (&'static str, &'static str) {
        what_is_compared(self.series.iter().flat_map(|(_, rows)| rows.iter().flatten().copied()))
    }

    fn curves(&self) -> Vec<Curve> {
        let curve = |(name, rows): &(String, Vec<Option<&Row>>)| {
            let points = self.values.iter().zip(rows).filter_map(|(&x, row)| {
                let time = (*row)?.compared()?;
                let counts = row.is_some_and(|row| row.valid);
                Some(CurvePoint { x, y: time.median, interval: Some((time.lo, time.hi)), counts })
            });
            Curve { name: name.clone(), points: points.collect() }
        };
        self.series.iter().map(curve).collect()
    }

    /// The time of a series at a value, when it counts.
    fn time(&self, series: usize, at: usize) -> Option<f64> {
        self.series[series].1[at]?.usable_time().map(|time| time.median)
    }

    /// The fastest at a value; of equal ones the first.
    fn best(&self, at: usize) -> Option<usize> {
        let timed = (0..self.series.len()).filter_map(|series| Some((series, self.time(series, at)?)));
        timed.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(series, _)| series)
    }

    fn crossovers(&self) -> Vec<Crossover> {
        let best: Vec<(usize, usize)> =
            (0..self.values.len()).filter_map(|at| Some((at, self.best(at)?))).collect();
        let changes = best.windows(2).filter(|pair| pair[0].1 != pair[1].1);
        changes.map(|pair| self.crossover(pair[0], pair[1])).collect()
    }

    fn crossover(&self, (left, from): (usize, usize), (right, to): (usize, usize)) -> Crossover {
        let between = (self.values[left], self.values[right]);
        let ahead = |at: usize| Some(self.time(to, at)? - self.time(from, at)?);
        let at = match (ahead(left), ahead(right)) {
            (Some(before), Some(behind)) if before > behind => {
                between.0 + (between.1 - between.0) * (before / (before - behind)).clamp(0.0, 1.0)
            }
            _ => f64::midpoint(between.0, between.1),
        };
        Crossover { from, to, between, at }
    }

    fn mark(&self, crossover: &Crossover) -> Mark {
        let (from, to) = (&self.series[crossover.from].0, &self.series[crossover.to].0);
        Mark { x: crossover.at, words: format!("{from} → {to}") }
    }

    fn sentences(&self, crossovers: &[Crossover]) -> Vec<String> {
        let factor = self.factor;
        if crossovers.is_empty() {
            let best = (0..self.values.len()).find_map(|at| self.best(at));
            return best
                .map(|best| {
                    format!("No crossover: {} is the fastest at every {factor}.", self.series[best].0)
                })
                .into_iter()
                .collect();
        }
        let sentence = |crossover: &Crossover| {
            let (from, to) = (&self.series[crossover.from].0, &self.series[crossover.to].0);
            let (left, right) = crossover.between;
            format!(
                "Crossover: up to {factor} {} {from} is the fastest, from {} on {to}; straight lines between the medians \
                 cross at about {}{}.",
                plain(left),
                plain(right),
                about(crossover.at),
                self.doubt(crossover)
            )
        };
        crossovers.iter().map(sentence).collect()
    }

    /// Where the intervals of the two overlap, medians alone do not tell which is the faster.
    fn doubt(&self, crossover: &Crossover) -> String {
        let overlap = |value: f64| {
            let at = self.values.iter().position(|other| *other == value)?;
            let (a, b) = (
                self.series[crossover.from].1[at]?.compared()?,
                self.series[crossover.to].1[at]?.compared()?,
            );
            (a.lo <= b.hi && b.lo <= a.hi).then(|| plain(value))
        };
        let (left, right) = crossover.between;
        let doubtful: Vec<String> = [left, right].into_iter().filter_map(overlap).collect();
        if doubtful.is_empty() {
            return String::new();
        }
        format!(" (their intervals overlap at {})", doubtful.join(" and "))
    }

    fn ranges(&self) -> String {
        let one = |(name, rows): &(String, Vec<Option<&Row>>)| {
            let ends = self.values.iter().zip(rows).filter_map(|(x, row)| Some((x, (*row)?.compared()?)));
            let times =
                ends.map(|(x, time)| format!("{} at {}", crate::summary::seconds(time.median), plain(*x)));
            format!("{name}: {}.", times.collect::<Vec<_>>().join(", "))
        };
        self.series.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn table(&self) -> String {
        let mut table = Table::new(format!("{} of a run (95 %) by {}", self.compared().0, self.factor));
        table.text(self.factor);
        for (name, _) in &self.series {
            table.number(name.as_str());
        }
        table.text("Fastest");
        for (at, value) in self.values.iter().enumerate() {
            let mut cells = vec![plain(*value)];
            for (_, rows) in &self.series {
                let invalid = rows[at].is_some_and(|row| !row.valid);
                let time = or_dash(rows[at].and_then(|row| row.compared()), |time| time_with_interval(&time));
                cells.push(if invalid { format!("{time}, invalid") } else { time });
            }
            cells.push(or_dash(self.best(at), |best| self.series[best].0.clone()));
            table.row(cells);
        }
        table.html()
    }
}

/// The one factor that differs, when all others are the same everywhere and it is a number.
fn only_factor(rows: &[Row]) -> Option<&str> {
    let mut values: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        for (name, value) in &row.factors {
            values.entry(name).or_default().insert(value.to_string());
        }
    }
    let mut differing = values.into_iter().filter(|(_, values)| values.len() > 1);
    let (name, _) = differing.next()?;
    let is_number = |row: &Row| row.factors.get(name).is_none_or(serde_json::Value::is_number);
    (differing.next().is_none() && rows.iter().all(is_number)).then_some(name)
}

fn model(row: &Row) -> String {
    if row.model.is_empty() { row.name.clone() } else { row.model.clone() }
}

fn model_and_shape(row: &Row) -> String {
    let flow = if row.in_flight > 1 { format!("/{}", row.in_flight) } else { String::new() };
    format!("{} {}x{}{flow}", row.model, row.processes, row.threads)
}

/// Rows by name, when each name has at most one row at each value, and one of them at least two.
fn series<'a>(timed: &[(&'a Row, f64)], values: &[f64], name: fn(&Row) -> String) -> Option<Series<'a>> {
    let mut series: Series<'_> = Vec::new();
    for (row, value) in timed {
        let name = name(row);
        let place = series.iter().position(|(other, _)| *other == name).unwrap_or_else(|| {
            series.push((name, vec![None; values.len()]));
            series.len() - 1
        });
        let at = values.iter().position(|other| other == value)?;
        if series[place].1[at].replace(row).is_some() {
            return None;
        }
    }
    let is_curve = |rows: &[Option<&Row>]| rows.iter().flatten().count() > 1;
    series.iter().any(|(_, rows)| is_curve(rows)).then_some(series)
}

/// Two digits: more would claim that straight lines are what is between the points.
fn about(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let step = 10_f64.powf(value.abs().log10().floor() - 1.0);
    plain((value / step).round() * step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Spread;

    fn row(model: &str, share: f64, time: f64) -> Row {
        Row {
            name: format!("{model} 1x4"),
            model: model.to_owned(),
            valid: true,
            time_s: Some(Spread { median: time, lo: time * 0.99, hi: time * 1.01 }),
            factors: [("share".to_owned(), share.into())].into_iter().collect(),
            ..Row::default()
        }
    }

    #[test]
    fn the_crossover_is_where_the_lines_cross() {
        let rows = [
            row("thread", 0.0, 1.0),
            row("process", 0.0, 2.0),
            row("thread", 1.0, 4.0),
            row("process", 1.0, 3.0),
        ];
        let sweep = Sweep::of(&rows).unwrap();
        assert_eq!((sweep.factor, sweep.series.len()), ("share", 2));
        // 1 + 3x and 2 + x meet at one half.
        let wanted = Crossover { from: 0, to: 1, between: (0.0, 1.0), at: 0.5 };
        assert_eq!(sweep.crossovers(), [wanted]);
        let html = section(&rows).unwrap();
        assert!(html.contains("cross at about 0.5."), "{html}");
        assert!(html.contains("thread → process"), "{html}");
    }

    #[test]
    fn invalid_rows_and_other_factors_decide_nothing() {
        let mut rows = vec![row("thread", 0.0, 1.0), row("process", 0.0, 2.0), row("thread", 1.0, 1.0)];
        assert!(section(&rows).unwrap().contains("No crossover: thread is the fastest"));
        rows.push(Row { valid: false, ..row("process", 1.0, 0.1) });
        assert!(section(&rows).unwrap().contains("No crossover"));
        for row in &mut rows {
            row.factors.insert("size".to_owned(), (row.model.len() as u64).into());
        }
        assert!(section(&rows).is_none(), "two factors differ");
        assert!(section(&[row("thread", 0.0, 1.0)]).is_none());
    }
}
