//! Bars side by side, as an SVG that reads on light and dark pages.

use std::fmt::Write;

/// Bars of one figure.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What it is, with its unit.
    pub title: &'static str,
    /// How many digits after the point are of interest.
    pub digits: usize,
    /// One for each row, in their order. All panels have the same rows.
    pub bars: Vec<Bar>,
}

/// A bar, with a line from the least to the most of what was measured.
#[derive(Clone, Debug)]
pub struct Bar {
    /// The name of its row.
    pub name: String,
    /// The least.
    pub least: f64,
    /// The median, which is how long the bar is.
    pub median: f64,
    /// The most.
    pub most: f64,
}

/// Room for the names of the rows, and for a panel.
const NAMES: f64 = 176.0;
const PANEL: f64 = 190.0;
/// Of a panel, what is left for the number behind a bar.
const NUMBER: f64 = 52.0;
const ROW: f64 = 24.0;
const ABOVE: f64 = 52.0;
const COLOURS: [&str; 2] = ["#9aa7b4", "#1f6fb2"];

/// Draws panels under a title. The last rows, from the first whose name begins with "a pool", have a colour of their own.
#[must_use]
pub fn draw(title: &str, panels: &[Panel]) -> String {
    let rows = panels.iter().map(|panel| panel.bars.len()).max().unwrap_or(0);
    let (width, height) = (NAMES + PANEL * panels.len() as f64, ABOVE + ROW * rows as f64 + 10.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\" \
         role=\"img\">\n<title>{title}</title>\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"8\" y=\"18\" fill=\"#222222\" font-weight=\"bold\">{title}</text>\n"
    );
    let y = |row: usize| ABOVE + ROW * row as f64;
    for (row, bar) in panels.first().into_iter().flat_map(|it| &it.bars).enumerate() {
        let (right, at) = (NAMES - 10.0, y(row) + 12.0);
        let _ = writeln!(
            svg,
            "<text x=\"{right}\" y=\"{at}\" text-anchor=\"end\" fill=\"#222222\">{}</text>",
            bar.name
        );
    }
    for (place, panel) in panels.iter().enumerate() {
        let left = NAMES + PANEL * place as f64;
        let _ =
            writeln!(svg, "<text x=\"{left}\" y=\"40\" fill=\"#555555\">{}</text>", panel.title);
        let most = panel.bars.iter().map(|bar| bar.most).fold(f64::MIN_POSITIVE, f64::max);
        let x = |value: f64| left + (PANEL - NUMBER) * value / most;
        for (row, bar) in panel.bars.iter().enumerate() {
            let top = y(row);
            let colour = COLOURS[usize::from(bar.name.starts_with("a pool"))];
            let (long, middle) = (x(bar.median) - left, top + 8.0);
            let (from, to) = (x(bar.least), x(bar.most));
            let _ = writeln!(
                svg,
                "<rect x=\"{left}\" y=\"{top}\" width=\"{long:.1}\" height=\"16\" fill=\"{colour}\"/>\
                 <line x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{middle}\" y2=\"{middle}\" stroke=\"#222222\"/>\
                 <text x=\"{:.1}\" y=\"{}\" fill=\"#222222\">{:.*}</text>",
                to + 5.0,
                top + 12.0,
                panel.digits,
                bar.median
            );
        }
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_is_as_long_as_there_is_room() {
        let bar =
            |name: &str, median| Bar { name: name.to_owned(), least: median, median, most: median };
        let bars = vec![bar("alone", 1.0), bar("a pool", 2.0)];
        let svg = draw("Two", &[Panel { title: "cores", digits: 1, bars }]);
        assert!(svg.contains("width=\"138.0\" height=\"16\" fill=\"#1f6fb2\""), "{svg}");
        assert!(svg.contains("width=\"69.0\" height=\"16\" fill=\"#9aa7b4\""), "{svg}");
        assert!(svg.contains(">2.0</text>"), "{svg}");
    }
}
