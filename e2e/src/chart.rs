//! A chart of what was measured over time, as an SVG that reads on light and dark pages.

use std::fmt::Write;

/// One line of a chart.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it shows.
    pub name: &'static str,
    /// Its colour.
    pub colour: &'static str,
    /// It is dashed.
    pub dashed: bool,
    /// Seconds and values, by time.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 300.0;
/// Room for the axes: left, right, above, below.
const MARGINS: [f64; 4] = [54.0, 16.0, 40.0, 34.0];

/// Draws lines under a title. `marks` are moments with a word; `unit` is that of the values.
#[must_use]
pub fn draw(title: &str, unit: &str, lines: &[Line], marks: &[(f64, &str)]) -> String {
    let [left, right, above, below] = MARGINS;
    let points = || lines.iter().flat_map(|line| &line.points);
    let last = points().map(|point| point.0).fold(1.0, f64::max);
    let top = (points().map(|point| point.1).fold(1.0, f64::max) / 500.0).ceil() * 500.0;
    let x = |second: f64| left + (WIDTH - left - right) * second / last;
    let y = |value: f64| HEIGHT - below - (HEIGHT - above - below) * value / top;

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n<title>{title}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    let text = |x: f64, y: f64, anchor: &str, colour: &str, words: &str| {
        format!(
            "<text x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{words}</text>\n"
        )
    };
    let mut body = text(left, 16.0, "start", "#222222", title);
    let mut value = 0.0;
    while value <= top {
        let at = y(value);
        let _ = writeln!(
            body,
            "<line x1=\"{left}\" x2=\"{:.0}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#dddddd\"/>",
            WIDTH - right
        );
        body += &text(left - 6.0, at + 4.0, "end", "#555555", &format!("{value:.0}{unit}"));
        value += 500.0;
    }
    let mut second = 0.0;
    while second <= last {
        body += &text(x(second), HEIGHT - 12.0, "middle", "#555555", &format!("{second:.0} s"));
        second += 30.0;
    }
    for (at, word) in marks {
        let _ = writeln!(
            body,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{above}\" y2=\"{1:.0}\" stroke=\"#888888\" stroke-dasharray=\"2 3\"/>",
            x(*at),
            HEIGHT - below
        );
        body += &text(x(*at) + 4.0, above + 10.0, "start", "#555555", word);
    }
    let mut legend = left;
    for line in lines {
        let dash = if line.dashed { " stroke-dasharray=\"6 4\"" } else { "" };
        let points: Vec<String> = line
            .points
            .iter()
            .map(|&(second, value)| format!("{:.1},{:.1}", x(second), y(value)))
            .collect();
        let _ = writeln!(
            body,
            "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\"{dash} points=\"{}\"/>",
            line.colour,
            points.join(" ")
        );
        let name = if line.dashed { format!("- - {}", line.name) } else { line.name.to_owned() };
        body += &text(legend, 32.0, "start", line.colour, &name);
        legend += 16.0 + 6.6 * name.len() as f64;
    }
    svg += &body;
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_from_edge_to_edge() {
        let points = vec![(0.0, 0.0), (60.0, 1000.0)];
        let line = Line { name: "heavy", colour: "#000000", dashed: false, points };
        let svg = draw("Two points", "m", &[line], &[(30.0, "half")]);
        assert!(svg.contains("points=\"54.0,266.0 844.0,40.0\""), "{svg}");
        assert!(svg.contains(">1000m</text>") && svg.contains(">60 s</text>"), "{svg}");
    }
}
