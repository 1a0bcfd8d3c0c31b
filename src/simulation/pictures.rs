//! The makespan against what was swept.

use super::comparison::PointSummary;
use super::plan::Plan;
use muster_sim::chart::{Axis, Chart, Interval, LINES_MAX, Line, Panel, Point, Scale, TimeUnit};

/// The makespan against the first thing that was swept, a line for each combination of the rest; none when nothing
/// was swept.
pub fn makespans(plan: &Plan, points: &[PointSummary]) -> Option<Chart> {
    let axis = plan.axes.first()?;
    let numbers: Option<Vec<Value>> = axis.values.iter().map(|value| Value::parse(value)).collect();
    let numbers = numbers.filter(|values| values.windows(2).all(|pair| pair[0].unit == pair[1].unit));
    let (x, place) = x_axis(&axis.key, &axis.values, numbers.as_deref());
    let longest = points.iter().map(|point| point.makespan_s.max).fold(0.0, f64::max);
    let unit = TimeUnit::of(longest);
    let mut lines: Vec<Line> = Vec::new();
    let mut left_out: Vec<String> = Vec::new();
    for point in points {
        let name = line_name(plan, point);
        let makespan = &point.makespan_s;
        let value = point.set.get(&axis.key).and_then(|value| place(value))?;
        let point = Point {
            x: value,
            y: makespan.mean / unit.seconds,
            band: makespan
                .low
                .zip(makespan.high)
                .map(|(low, high)| (low / unit.seconds, high / unit.seconds)),
        };
        match lines.iter().position(|line| line.name == name) {
            Some(at) => lines[at].points.push(point),
            None if lines.len() < LINES_MAX => lines.push(Line { name, points: vec![point] }),
            None if left_out.contains(&name) => {}
            None => left_out.push(name),
        }
    }
    for line in &mut lines {
        line.points.sort_by(|one, other| one.x.total_cmp(&other.x));
    }
    let ends = lines.iter().flat_map(|line| &line.points).flat_map(|point| {
        let (low, high) = point.band.unwrap_or((point.y, point.y));
        [low, point.y, high]
    });
    let scale = Scale::around(ends.collect::<Vec<_>>()).with_room();
    let runs = match plan.replicas {
        1 => "one run each".to_owned(),
        runs => format!("mean of {runs} runs each with its 95 % interval"),
    };
    let rest = match left_out.len() {
        0 => String::new(),
        _ => format!("; there are colours for {LINES_MAX} lines, missing: {}", some_of(&left_out)),
    };
    Some(Chart {
        title: format!("{}: makespan by {}", plan.name(), axis.key),
        subtitle: format!("simulated, {runs}{rest}"),
        x,
        panels: vec![Panel {
            y: Axis { label: format!("makespan ({})", unit.full_name), scale },
            lines,
            filled: false,
            height: 320,
        }],
    })
}

/// The same in rows of characters.
pub fn intervals(points: &[PointSummary]) -> Vec<Interval> {
    points
        .iter()
        .map(|point| Interval {
            name: point.name.clone(),
            mean: point.makespan_s.mean,
            ends: point.makespan_s.low.zip(point.makespan_s.high),
        })
        .collect()
}

/// The first of many names, and how many follow.
fn some_of(names: &[String]) -> String {
    const SHOWN_MAX: usize = 10;
    let shown = names[..names.len().min(SHOWN_MAX)].join("; ");
    match names.len().saturating_sub(SHOWN_MAX) {
        0 => shown,
        rest => format!("{shown} and {rest} more"),
    }
}

/// All values but the first axis'.
fn line_name(plan: &Plan, point: &PointSummary) -> String {
    let rest = plan.axes.iter().skip(1).filter_map(|axis| {
        let value = point.set.get(&axis.key)?;
        Some(if axis.key == "policy" { value.clone() } else { format!("{}={value}", axis.key) })
    });
    rest.collect::<Vec<_>>().join(", ")
}

type Place = Box<dyn Fn(&str) -> Option<f64>>;

fn x_axis(key: &str, values: &[String], numbers: Option<&[Value]>) -> (Axis, Place) {
    let Some(numbers) = numbers else {
        let names = values.to_vec();
        let scale = Scale::Names(names.clone());
        let place = move |value: &str| names.iter().position(|name| name == value).map(|at| at as f64);
        return (Axis { label: key.to_owned(), scale }, Box::new(place));
    };
    let unit = match numbers.first() {
        Some(Value { unit: Unit::Time, .. }) => {
            Some(TimeUnit::of(numbers.iter().map(|value| value.number).fold(0.0, f64::max)))
        }
        _ => None,
    };
    let seconds = unit.map_or(1.0, |unit| unit.seconds);
    let all: Vec<f64> = numbers.iter().map(|value| value.number / seconds).collect();
    let label = unit.map_or_else(|| key.to_owned(), |unit| format!("{key} ({})", unit.full_name));
    let place = move |value: &str| Value::parse(value).map(|value| value.number / seconds);
    (Axis { label, scale: Scale::around(all) }, Box::new(place))
}

/// A value that has a place on an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Value {
    number: f64,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    None,
    Time,
}

impl Value {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches(['"', '\'']);
        let number =
            text.replace('_', "").parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        if let Some(number) = number {
            return Some(Self { number, unit: Unit::None });
        }
        let span = muster_core::quantity::duration(text).ok()?;
        Some(Self { number: span.0 as f64 / 1e9, unit: Unit::Time })
    }
}
