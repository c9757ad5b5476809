//! Draws the pictures of the documents: `make pictures`. All numbers in them come from the division itself.

use std::{fmt::Write, fs, io, path::PathBuf};

use weightedshare::share::{
    Claim, Demand, Division, Idle, MemberClaim, Node, PodClaim, PodDivision, Pool, divide, fill,
};

/// Colours that can be told apart on light and on dark ground.
const STYLE: &str = "\
text { font: 13px sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.soft { fill: #656d76 }
.end { text-anchor: end }
.middle { text-anchor: middle }
.own { fill: #4c8dd6 }
.more { fill: #3fa45b }
.least { fill: #7f8fa3 }
.lent { fill: #d9a13b; fill-opacity: 0.35 }
.edge, .axis, .mark, .curve { fill: none; stroke: #24292f }
.axis { stroke: #8c959f }
.mark { stroke: #cf5c36; stroke-width: 1.5; stroke-dasharray: 6 4 }
.curve { stroke-width: 2.5 }
.gold { stroke: #d9a13b }
.silver { stroke: #8c959f }
.bronze { stroke: #b0673a }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .soft { fill: #9198a1 }
  .edge { stroke: #e6edf3 }
}
";

/// A picture in the making.
struct Picture {
    width: u32,
    height: u32,
    title: &'static str,
    body: String,
}

impl Picture {
    fn new(width: u32, height: u32, title: &'static str) -> Self {
        let mut picture = Self { width, height, title, body: String::new() };
        picture.text("title", 20.0, 28.0, title);
        picture
    }

    fn add(&mut self, element: std::fmt::Arguments) {
        // A String takes all that is written to it.
        let _ = writeln!(self.body, "{element}");
    }

    fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        self.add(format_args!(r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{text}</text>"#));
    }

    /// A box, from its upper left corner.
    fn area(&mut self, class: &str, [x, y]: [f64; 2], [width, height]: [f64; 2]) {
        self.add(format_args!(
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"/>"#
        ));
    }

    fn curve(&mut self, class: &str, points: &[[f64; 2]]) {
        let points: Vec<String> = points.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
        self.add(format_args!(r#"<polyline class="{class}" points="{}"/>"#, points.join(" ")));
    }

    fn svg(self) -> String {
        let Self { width, height, title, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n{body}</svg>\n"
        )
    }
}

/// Vessels as wide as their weights, filled to one level, but for their bounds.
fn water() -> String {
    const TOTAL: u64 = 1200;
    const NONE: u64 = TOTAL;
    let members = [
        ("web", Claim { weight: 300, lo: 0, hi: NONE }),
        ("api", Claim { weight: 100, lo: 250, hi: NONE }),
        ("db", Claim { weight: 200, lo: 0, hi: 200 }),
        ("job", Claim { weight: 200, lo: 0, hi: NONE }),
        ("log", Claim { weight: 100, lo: 0, hi: NONE }),
    ];
    let claims = members.map(|(_, claim)| claim);
    let shares = fill(&claims, TOTAL);
    // So many pixels are one unit of weight, and one unit for each of weight.
    let (wide, high, floor) = (0.65, 80.0, 290.0);
    let height = |amount: u64, weight: u64| amount as f64 / weight as f64 * high;

    let mut picture = Picture::new(
        760,
        350,
        "1200m in vessels as wide as their weights: one level L, but for min and max",
    );
    let mut x = 40.0;
    for ((name, claim), &share) in members.iter().zip(&shares) {
        let width = claim.weight as f64 * wide;
        let full = height(share, claim.weight);
        picture.area("own", [x, floor - full], [width, full]);
        if claim.lo > 0 {
            let least = height(claim.lo, claim.weight);
            picture.area("least", [x, floor - least], [width, least]);
            picture.text(
                "middle",
                x + width / 2.0,
                floor - least - 8.0,
                &format!("min {}m", claim.lo),
            );
        }
        let top = if claim.hi == NONE { 225.0 } else { height(claim.hi, claim.weight) };
        let mut walls =
            vec![[x, floor - top], [x, floor], [x + width, floor], [x + width, floor - top]];
        if claim.hi < NONE {
            walls.push([x, floor - top]);
            picture.text(
                "middle",
                x + width / 2.0,
                floor - top - 28.0,
                &format!("max {}m", claim.hi),
            );
        }
        picture.curve("edge", &walls);
        picture.text("middle", x + width / 2.0, floor - 10.0, &format!("{share}m"));
        picture.text("middle", x + width / 2.0, floor + 20.0, name);
        picture.text("soft middle", x + width / 2.0, floor + 38.0, &claim.weight.to_string());
        x += width + 12.0;
    }
    // Any that is at neither bound shows the level.
    let floats = |(claim, share): &(&Claim, &u64)| claim.lo < **share && **share < claim.hi;
    if let Some((claim, &share)) = claims.iter().zip(&shares).find(floats) {
        let y = floor - height(share, claim.weight);
        picture.curve("mark", &[[25.0, y], [x, y]]);
        let level = share as f64 / claim.weight as f64;
        picture.text("", x + 6.0, y + 4.0, &format!("L = {level}m"));
    }
    picture.text("soft end", 34.0, floor + 38.0, "w");
    picture.svg()
}

/// A member with `lend` 75 %.
fn member(weight: u64, min: u64, pods: usize) -> MemberClaim {
    MemberClaim { weight, min, max: None, lend: 75, pods }
}

/// A pod on a node.
fn pod(node: u32, demand: Demand) -> PodClaim {
    PodClaim { weight: 1, floor: 10, node: Some(node), demand, ..PodClaim::default() }
}

/// Divides one pool on nodes that set no limit.
fn divided(capacity: u64, members: Vec<MemberClaim>, pods: Vec<PodClaim>) -> Division {
    let pool = Pool { capacity, idle: Idle::Lent, node_reserve: 0, members, pods };
    divide(&[pool], &[Node::default(); 2]).pop().unwrap_or_default()
}

/// What each pod on two nodes owns, lends and borrows.
fn stages() -> String {
    let names = ["gold-1", "gold-2", "silver-1", "bronze-1"];
    let (nodes, demands) = ([0, 1, 0, 1], [100, 900, 700, 60]);
    let pods = nodes.into_iter().zip(demands);
    let pods = pods.map(|(node, demand)| pod(node, Demand::Known(demand))).collect();
    let members = vec![member(500, 0, 2), member(200, 0, 1), member(100, 0, 1)];
    let shares = divided(1600, members, pods).pods;

    let mut picture = Picture::new(
        760,
        330,
        "A pool of 1600m on two nodes: what each pod owns, and what it holds",
    );
    let (left, wide) = (110.0, 0.4);
    let mut y = 68.0;
    for node in 0..2 {
        let here = |i: &usize| nodes[*i] == node;
        let owned: u64 = (0..4).filter(here).map(|i| shares[i].fair).sum();
        picture.text("soft", 20.0, y, &format!("node n{}: R_n = {owned}m", node + 1));
        y += 12.0;
        for i in (0..4).filter(here) {
            let PodDivision { fair, share, .. } = shares[i];
            let width = |amount: u64| amount as f64 * wide;
            let (kept, end) = (fair.min(share), left + width(fair.max(share)) + 10.0);
            picture.text("end", left - 10.0, y + 19.0, names[i]);
            picture.area("own", [left, y], [width(kept), 28.0]);
            picture.area("lent", [left + width(kept), y], [width(fair - kept), 28.0]);
            picture.area("more", [left + width(fair), y], [width(share - kept), 28.0]);
            picture.area("edge", [left, y], [width(fair), 28.0]);
            let told = match share < fair {
                true => format!("lends {}m", fair - share),
                false => format!("borrows {}m", share - fair),
            };
            let told = format!("owns {fair}m, needs {}m, {told}, holds {share}m", demands[i]);
            picture.text("", end, y + 19.0, &told);
            y += 40.0;
        }
        y += 22.0;
    }
    let mut x = left;
    for (class, name) in [("own", "held of its own"), ("lent", "lent"), ("more", "borrowed")] {
        picture.area(class, [x, y - 4.0], [14.0, 14.0]);
        picture.text("soft", x + 22.0, y + 8.0, name);
        x += 150.0;
    }
    picture.area("edge", [x, y - 4.0], [14.0, 14.0]);
    picture.text("soft", x + 22.0, y + 8.0, "what it owns: stage 1");
    picture.svg()
}

/// What each of three members holds while the demand of the first falls from all that it owns to nothing.
fn falling() -> String {
    const MIN: u64 = 200;
    let shares = |demand: u64| -> Vec<PodDivision> {
        let busy = pod(0, Demand::Known(2000));
        let pods = vec![pod(0, Demand::Known(demand)), busy, busy];
        divided(1200, vec![member(500, MIN, 1), member(200, 0, 1), member(100, 0, 1)], pods).pods
    };
    let full = shares(1200)[0].fair;
    let (left, right, bottom, high) = (70.0, 590.0, 300.0, 0.3);
    let at = |demand: u64| left + (full - demand) as f64 / full as f64 * (right - left);
    let up = |amount: u64| bottom - amount as f64 * high;

    let mut picture = Picture::new(760, 370, "What each member holds as gold needs less and less");
    for amount in (0..=full).step_by(250) {
        picture.curve("axis", &[[left, up(amount)], [right, up(amount)]]);
        picture.text("soft end", left - 8.0, up(amount) + 4.0, &format!("{amount}m"));
    }
    picture.curve("mark", &[[left, up(MIN)], [right, up(MIN)]]);
    picture.text("soft", right + 10.0, up(MIN) + 16.0, &format!("min of gold: {MIN}m"));
    for (i, name) in ["gold", "silver", "bronze"].into_iter().enumerate() {
        let points: Vec<[f64; 2]> = (0..=full)
            .rev()
            .step_by(10)
            .map(|demand| [at(demand), up(shares(demand)[i].share)])
            .collect();
        picture.curve(&format!("curve {name}"), &points);
        let last = shares(0)[i].share;
        picture.text("", right + 10.0, up(last) + 4.0, &format!("{name} {last}m"));
    }
    for demand in [full, full / 2, 0] {
        picture.text("soft middle", at(demand), bottom + 22.0, &format!("{demand}m"));
    }
    picture.text(
        "middle",
        f64::midpoint(left, right),
        bottom + 46.0,
        "gold's demand; silver and bronze want all they can get",
    );
    picture.svg()
}

/// What is said of a member: where its min, its demand, its fair share and its share are.
fn words() -> String {
    const MIN: u64 = 400;
    let (names, demands) = (["gold", "silver"], [60, 840]);
    let pods = demands.map(|demand| pod(0, Demand::Known(demand))).to_vec();
    let shares = divided(1000, vec![member(500, MIN, 1), member(200, 0, 1)], pods).pods;

    let mut picture =
        Picture::new(760, 250, "Two members of a pool of 1000m, and the words for what they have");
    let (left, wide) = (80.0, 0.7);
    let at = |amount: u64| left + amount as f64 * wide;
    for (i, name) in names.into_iter().enumerate() {
        let PodDivision { fair, share, .. } = shares[i];
        let (y, kept) = (72.0 + 92.0 * i as f64, fair.min(share));
        picture.text("end", left - 10.0, y + 19.0, name);
        picture.area("own", [left, y], [at(kept) - left, 28.0]);
        picture.area("lent", [at(kept), y], [at(fair) - at(kept), 28.0]);
        picture.area("more", [at(fair), y], [at(share) - at(kept), 28.0]);
        picture.area("edge", [left, y], [at(fair) - left, 28.0]);
        let min = if i == 0 { MIN } else { 0 };
        // Every other word stands above its bar, so that none covers its neighbour.
        let marks = [("min", min), ("demand", demands[i]), ("fair", fair), ("share", share)];
        for (word, amount) in marks.into_iter().filter(|(_, amount)| *amount > 0) {
            let (from, to) = match word {
                "share" | "demand" => (y - 6.0, y + 28.0),
                _ => (y, y + 34.0),
            };
            picture.curve("mark", &[[at(amount), from], [at(amount), to]]);
            let line = if from < y { y - 10.0 } else { y + 48.0 };
            picture.text("middle", at(amount), line, &format!("{word} {amount}m"));
        }
    }
    picture.text("soft", left, 238.0, "blue: held of its own · yellow: lent · green: borrowed");
    picture.svg()
}

/// The pictures, with their names.
fn pictures() -> [(&'static str, String); 4] {
    [
        ("fill.svg", water()),
        ("stages.svg", stages()),
        ("demand.svg", falling()),
        ("words.svg", words()),
    ]
}

/// Where a picture is kept.
fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "docs", "pictures", name].iter().collect()
}

fn main() -> io::Result<()> {
    pictures().into_iter().try_for_each(|(name, svg)| fs::write(path(name), svg))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pictures_are_what_the_division_says() {
        for (name, svg) in pictures() {
            let kept = fs::read_to_string(path(name)).unwrap();
            assert!(kept == svg, "docs/pictures/{name} is out of date: make pictures");
        }
    }
}
