//! Charts as SVG.

use super::labels::{Labels, TICK_ROW, wrapped};
use super::{Chart, LINES_MAX, Line, Panel, Point, Scale};
use std::fmt::Write as _;

const WIDTH: f64 = 840.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 30.0;
const TITLE: f64 = 58.0;
const LEGEND_ROW: f64 = 20.0;
const BOTTOM: f64 = 54.0;
const GAP: f64 = 22.0;
/// The mean width of a letter, for what has to fit beside each other.
const LETTER: f64 = 7.2;
/// The same of the subtitle.
const SUBTITLE_LETTER: f64 = 7.0;
const SUBTITLE_ROW: f64 = 17.0;

/// How lines are broken, so that those on top of each other can be told apart.
const DASHES: [&str; 4] = ["none", "9 4", "3 3", "12 3 3 3"];

/// Colours that differ also for those who see few: after Okabe and Ito, lighter on dark.
const LIGHT: [&str; LINES_MAX] =
    ["#0072b2", "#d55e00", "#009e73", "#aa3377", "#b58900", "#3a6ea5", "#666666", "#7a4b00"];
const DARK: [&str; LINES_MAX] =
    ["#56b4e9", "#ff9a56", "#2ed3a7", "#e58fc4", "#f0e442", "#9cc4ee", "#bbbbbb", "#d9a860"];

pub(super) fn svg(chart: &Chart) -> String {
    let names: Vec<&str> = match &chart.panels[..] {
        [panel] if panel.lines.len() > 1 => panel.lines.iter().map(|line| line.name.as_str()).collect(),
        _ => Vec::new(),
    };
    let subtitle = wrapped(&chart.subtitle, ((WIDTH - LEFT - RIGHT) / SUBTITLE_LETTER) as usize);
    let title = TITLE + SUBTITLE_ROW * subtitle.len().saturating_sub(1) as f64;
    let (legend, legend_rows) = legend(&names, title);
    let top = title + legend_rows as f64 * LEGEND_ROW;
    let labels = Labels::of(&chart.x.scale, WIDTH - LEFT - RIGHT, LEFT);
    let heights: f64 = chart.panels.iter().map(|panel| f64::from(panel.height)).sum();
    let height = top + heights + GAP * (chart.panels.len().saturating_sub(1)) as f64 + BOTTOM + labels.more;
    let mut out = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-labelledby=\"title desc\">\n\
         <title id=\"title\">{title}</title>\n<desc id=\"desc\">{subtitle}</desc>\n<style>\n{style}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"26\">{title}</text>\n\
         {lines}",
        title = escape(&chart.title),
        subtitle = escape(&chart.subtitle),
        lines = tspans("soft", "start", LEFT, 45.0, SUBTITLE_ROW, &subtitle),
        style = style(),
    );
    out.push_str(&legend);
    let mut y = top;
    for (at, panel) in chart.panels.iter().enumerate() {
        draw(&mut out, chart, panel, at, y);
        y += f64::from(panel.height) + GAP;
    }
    x_axis(&mut out, chart, &labels, y - GAP);
    out.push_str("</svg>\n");
    out
}

fn style() -> String {
    let base = "text{font:13px system-ui,'DejaVu Sans',sans-serif;fill:#222}\
                .title{font-size:17px;font-weight:600}.soft,.tick{fill:#555}.tick{font-size:12px}\
                .page{fill:#fff}.grid{stroke:#ddd}.axis{stroke:#777}.line{fill:none;stroke-width:1.8}\
                .band{stroke:none;opacity:.22}.fill{stroke:none;opacity:.3}.dot{stroke:none}.bar{fill:none;stroke-width:1.6}\n";
    let colours = |colours: [&str; LINES_MAX]| -> String {
        let rule = |(at, colour): (usize, &str)| {
            format!(
                ".line.c{at},.bar.c{at}{{stroke:{colour}}}.band.c{at},.fill.c{at},.dot.c{at}{{fill:{colour}}}"
            )
        };
        colours.into_iter().enumerate().map(rule).collect()
    };
    let dashes: String = (0..LINES_MAX)
        .map(|at| format!(".dashed.c{at}{{stroke-dasharray:{}}}", DASHES[at % DASHES.len()]))
        .collect();
    format!(
        "{base}{dashes}\n{}\n@media (prefers-color-scheme: dark){{text{{fill:#eee}}.soft,.tick{{fill:#bbb}}\
         .page{{fill:#17181c}}.grid{{stroke:#34363d}}.axis{{stroke:#8a8d96}}\n{}}}\n",
        colours(LIGHT),
        colours(DARK)
    )
}

fn legend(names: &[&str], top: f64) -> (String, usize) {
    let (mut text, mut x, mut row) = (String::new(), LEFT, 0);
    for (at, name) in names.iter().enumerate() {
        let width = 34.0 + name.chars().count() as f64 * LETTER;
        if x + width > WIDTH - RIGHT && x > LEFT {
            (x, row) = (LEFT, row + 1);
        }
        let y = top + 6.0 + f64::from(row) * LEGEND_ROW;
        let _ = writeln!(
            text,
            "<line class=\"line dashed c{colour}\" x1=\"{x:.1}\" x2=\"{:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>\
             <text x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
            x + 20.0,
            y - 4.5,
            y - 4.5,
            x + 26.0,
            escape(name),
            colour = at % LINES_MAX,
        );
        x += width;
    }
    (text, if names.is_empty() { 0 } else { row as usize + 1 })
}

fn draw(out: &mut String, chart: &Chart, panel: &Panel, number: usize, top: f64) {
    let (height, width) = (f64::from(panel.height), WIDTH - LEFT - RIGHT);
    let bottom = top + height;
    for (value, words) in panel.y.scale.ticks((height / 36.0) as usize) {
        let y = bottom - panel.y.scale.place(value) * height;
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"tick\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{words}</text>",
            LEFT + width,
            LEFT - 8.0,
            y + 4.0
        );
    }
    let middle = top + height / 2.0;
    let _ = writeln!(
        out,
        "<text text-anchor=\"middle\" transform=\"translate(20 {middle:.1}) rotate(-90)\">{}</text>",
        escape(&panel.y.words())
    );
    for (at, line) in panel.lines.iter().enumerate() {
        let colour = (at + number) % LINES_MAX;
        let place = |x: f64, y: f64| {
            (LEFT + chart.x.scale.place(x) * width, bottom - panel.y.scale.place(y) * height)
        };
        if panel.filled {
            draw_area(out, line, colour, bottom, &place);
            continue;
        }
        // Nothing lies between names.
        if !matches!(chart.x.scale, Scale::Names(_)) {
            draw_line(out, line, colour, &place);
        }
        line.points.iter().for_each(|point| draw_dot(out, point, colour, &place));
    }
    let _ = writeln!(
        out,
        "<path class=\"axis\" fill=\"none\" d=\"M{LEFT} {top:.1}V{bottom:.1}H{:.1}\"/>",
        LEFT + width
    );
}

type Place<'a> = &'a dyn Fn(f64, f64) -> (f64, f64);

fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
}

/// A line and the area below it.
fn draw_area(out: &mut String, line: &Line, colour: usize, bottom: f64, place: Place<'_>) {
    let (Some(first), Some(last)) = (line.points.first(), line.points.last()) else { return };
    let points = path(line.points.iter().map(|point| place(point.x, point.y)));
    let (start, end) = (place(first.x, first.y).0, place(last.x, last.y).0);
    let _ = writeln!(
        out,
        "<polygon class=\"fill c{colour}\" points=\"{start:.1},{bottom:.1} {points} {end:.1},{bottom:.1}\"/>\n\
         <polyline class=\"line c{colour}\" points=\"{points}\"/>"
    );
}

/// A line through points, and the band of their intervals.
fn draw_line(out: &mut String, line: &Line, colour: usize, place: Place<'_>) {
    let bands = line.points.iter().filter_map(|point| Some((point.x, point.band?)));
    let low = bands.clone().map(|(x, (low, _))| place(x, low));
    let high = bands.rev().map(|(x, (_, high))| place(x, high));
    let (area, points) =
        (path(low.chain(high)), path(line.points.iter().map(|point| place(point.x, point.y))));
    if !area.is_empty() {
        let _ = writeln!(out, "<polygon class=\"band c{colour}\" points=\"{area}\"/>");
    }
    let _ = writeln!(out, "<polyline class=\"line dashed c{colour}\" points=\"{points}\"/>");
}

/// A dot and its interval.
fn draw_dot(out: &mut String, point: &Point, colour: usize, place: Place<'_>) {
    if let Some((low, high)) = point.band {
        let ((x, low), (_, high)) = (place(point.x, low), place(point.x, high));
        let left = x - 4.0;
        let _ = writeln!(
            out,
            "<path class=\"bar c{colour}\" d=\"M{x:.1} {low:.1}V{high:.1}M{left:.1} {low:.1}h8M{left:.1} {high:.1}h8\"/>"
        );
    }
    let (x, y) = place(point.x, point.y);
    let _ = writeln!(out, "<circle class=\"dot c{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\"/>");
}

fn x_axis(out: &mut String, chart: &Chart, labels: &Labels, bottom: f64) {
    let width = WIDTH - LEFT - RIGHT;
    for (value, lines) in &labels.ticks {
        let x = LEFT + chart.x.scale.place(*value) * width;
        let words = match labels.turned {
            None => tspans("tick", "middle", x, bottom + 19.0, TICK_ROW, lines),
            Some(angle) => format!(
                "<text class=\"tick\" text-anchor=\"end\" transform=\"translate({:.1} {:.1}) rotate(-{angle})\">{}</text>",
                x + 4.0,
                bottom + 14.0,
                escape(&lines.concat())
            ),
        };
        let _ = writeln!(out, "<path class=\"axis\" d=\"M{x:.1} {bottom:.1}v5\"/>{words}");
    }
    let _ = writeln!(
        out,
        "<text text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        LEFT + width / 2.0,
        bottom + 42.0 + labels.more,
        escape(&chart.x.words())
    );
}

/// A text in lines below each other.
fn tspans(class: &str, anchor: &str, x: f64, y: f64, row: f64, lines: &[String]) -> String {
    let line = |(at, line): (usize, &String)| {
        let dy = if at == 0 { 0.0 } else { row };
        format!("<tspan x=\"{x:.1}\" dy=\"{dy}\">{}</tspan>", escape(line))
    };
    let text: String = match lines {
        [only] => escape(only),
        lines => lines.iter().enumerate().map(line).collect(),
    };
    format!("<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::Axis;
    use super::*;

    #[test]
    fn several_lines_have_bands_dots_and_a_legend() {
        let line = |name: &str, y: f64| Line {
            name: name.to_owned(),
            points: (1..4).map(|x| Point { x: f64::from(x), y, band: Some((y - 1.0, y + 1.0)) }).collect(),
        };
        let chart = Chart {
            title: "makespan".to_owned(),
            subtitle: "20 runs each".to_owned(),
            x: Axis { label: "workers".to_owned(), scale: Scale::up_to(4.0) },
            panels: vec![Panel {
                y: Axis { label: "makespan, s".to_owned(), scale: Scale::up_to(8.0) },
                lines: vec![line("fifo", 4.0), line("<fair>", 6.0)],
                filled: false,
                height: 300,
            }],
        };
        let svg = chart.svg();
        assert_eq!(svg.matches("<polygon class=\"band").count(), 2);
        assert_eq!(svg.matches("<circle").count(), 6);
        assert!(svg.contains(">fifo</text>") && svg.contains(">&lt;fair&gt;</text>"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    fn of_names(names: &[&str]) -> Chart {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let points = (0..names.len()).map(|at| Point { x: at as f64, y: 1.0, band: None });
        let line = Line { name: String::new(), points: points.collect() };
        let y = Axis { label: "makespan (minutes)".to_owned(), scale: Scale::Log { min: 0.1, max: 9.0 } };
        Chart {
            title: "makespan by policy".to_owned(),
            subtitle: "word ".repeat(50),
            x: Axis { label: "policy".to_owned(), scale: Scale::Names(names) },
            panels: vec![Panel { y, lines: vec![line], filled: false, height: 300 }],
        }
    }

    #[test]
    fn every_name_has_a_label() {
        let long =
            ["fifo+adaptive+speculation", "fair+guided+speculation", "fair+factoring+speculation", "x"];
        let svg = of_names(&long).svg();
        assert_eq!(svg.matches("class=\"tick\" text-anchor=\"middle\"").count(), 4, "{svg}");
        assert!(svg.contains(">fair+factoring+</tspan>") && svg.contains(">speculation</tspan>"), "{svg}");
        assert!(svg.contains("makespan (minutes), log scale<"), "{svg}");
        assert_eq!(svg.matches(">word word").count(), 4, "the description, and a subtitle of three lines");
        let many: Vec<String> = (0..30).map(|at| format!("fair+fixed:{at}+speculation")).collect();
        let svg = of_names(&many.iter().map(String::as_str).collect::<Vec<_>>()).svg();
        assert_eq!(svg.matches("rotate(-60)").count(), 30, "{svg}");
    }
}
