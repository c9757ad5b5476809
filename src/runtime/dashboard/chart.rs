//! Lines over the last hour, as SVG. Pure.

use maud::{Markup, html};

/// The size of a chart, in units of its own: the page stretches it to the width that it has.
const WIDTH: f32 = 600.0;
const HEIGHT: f32 = 120.0;

/// What a line shows, from the oldest on: when, in seconds since 1970, and how much. It stays so until the next; where
/// it is no number, there is no line.
pub type Line = Vec<(i64, f32)>;

/// A line, and the class of its style.
pub struct Drawn {
    pub class: String,
    /// Whether what is under it is filled.
    pub filled: bool,
    pub line: Line,
}

/// From when to when a chart goes, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    pub from: i64,
    pub to: i64,
}

/// A chart of lines, on a scale up to `most`. `label` says in words what it shows.
pub fn chart(lines: &[Drawn], most: f32, time: Time, label: &str) -> Markup {
    let view = format!("0 0 {WIDTH} {HEIGHT}");
    html! {
        svg viewBox=(view) preserveAspectRatio="none" role="img" aria-label=(label) {
            @for quarter in 1..4 {
                line.grid x1=(WIDTH * quarter as f32 / 4.0) x2=(WIDTH * quarter as f32 / 4.0) y1="0" y2=(HEIGHT) {}
            }
            @for drawn in lines {
                @let path = path(&drawn.line, drawn.filled, most, time);
                path class=(drawn.class) d=(path) {}
            }
        }
    }
}

/// Steps from point to point; filled ones down to the ground.
fn path(line: &Line, filled: bool, most: f32, Time { from, to }: Time) -> String {
    let length = (to - from).max(1);
    let x = |at: i64| WIDTH * (at - from).clamp(0, length) as f32 / length as f32;
    let y = |amount: f32| HEIGHT - (HEIGHT - 2.0) * (amount / most.max(f32::MIN_POSITIVE)).min(1.0);
    let ends = line.iter().skip(1).map(|(at, _)| *at).chain([to]);
    let (mut path, mut open) = (String::new(), false);
    for ((at, amount), end) in line.iter().zip(ends) {
        if amount.is_nan() {
            open = false;
            continue;
        }
        let (from, to, height) = (x(*at), x(end), y(*amount));
        path += &match (filled, open) {
            (true, _) => format!("M{from:.1} {HEIGHT}V{height:.1}H{to:.1}V{HEIGHT}Z"),
            (false, true) => format!("V{height:.1}H{to:.1}"),
            (false, false) => format!("M{from:.1} {height:.1}H{to:.1}"),
        };
        open = true;
    }
    path
}

/// Each line on top of those before it. At a time at which one of them has no point it is as it was last.
pub fn stack(lines: &[Line]) -> Vec<Line> {
    let mut times: Vec<i64> = lines.iter().flatten().map(|(at, _)| *at).collect();
    times.sort_unstable();
    times.dedup();
    let mut ground = vec![0.0; times.len()];
    let mut stacked = Vec::new();
    for line in lines {
        let mut points = line.iter().peekable();
        let mut amount = 0.0;
        for (at, below) in times.iter().zip(&mut ground) {
            while let Some((_, next)) = points.next_if(|(then, _)| then <= at) {
                amount = if next.is_nan() { 0.0 } else { *next };
            }
            *below += amount;
        }
        stacked.push(times.iter().copied().zip(ground.iter().copied()).collect());
    }
    stacked
}
