//! The members of each pool, and of the trees that they are in, as bars: what they use, are granted and own. Pure.

use std::fmt::Write;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};

use super::{
    Looked, Wanted,
    trees::{self, UsedTree},
};
use crate::{
    api::{MemberState, MemberStatus, TreeMember, TreeMemberStatus, condition},
    engine::{MemberPods, PoolMembers, Preview},
    share::Resource,
};

/// How it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// How many columns there are.
    pub width: usize,
    /// Whether there are colours.
    pub colours: bool,
    /// Whether there are names of columns, and a legend.
    pub headers: bool,
}

/// The narrowest that the bars become.
const NARROWEST: usize = 8;
/// The columns of amounts: their heads, and how wide each is.
const AMOUNTS: [&str; 3] = ["USE", "SHARE", "FAIR"];
const AMOUNT: usize = 9;
/// The longest remark: what is lent, or why a member is as it is.
const REMARK: usize = 17;
/// The longest name that is shown whole.
const NAME: usize = 20;
const LEGEND: &str = "█ used  ░ granted and idle  ▓ used beyond what is granted  │ owned  ╎ min\n";

/// Draws the wanted pools and the trees that they are in, as their status says, with what their pods use now.
#[must_use]
pub fn top(Looked { cluster, metrics, .. }: &Looked, wanted: &Wanted, style: Style) -> String {
    let preview = Preview::of(cluster);
    let view = preview.view(cluster, metrics, Timestamp::UNIX_EPOCH);
    let live = cluster.pools().filter(|(_, pool)| pool.is_live());
    let mut wanted: Vec<_> = live.filter(|(_, pool)| wanted.includes(&pool.object)).collect();
    wanted.sort_by_key(|(id, _)| *id);
    let trees = trees::used(&view, &preview, wanted.iter().map(|(id, _)| *id));
    let trees = trees.iter().filter_map(|tree| draw_tree(tree, style));
    let pools = wanted.into_iter().map(|(id, pool)| {
        draw_pool(&PoolMembers::of(&view, &preview.membership, id, &pool.object), style)
    });
    let all: Vec<String> = trees.chain(pools).collect();
    match all.is_empty() {
        true => "No pools found.\n".to_owned(),
        false if !style.headers => all.join("\n"),
        false => all.join("\n") + "\n" + &style.paint(DIM, LEGEND.trim_end()) + "\n",
    }
}

fn draw_pool(pool: &PoolMembers, style: Style) -> String {
    let name = format!("{}/{}", pool.id.namespace, pool.id.name);
    let Some(status) = &pool.object.status else {
        return format!(
            "{}  Not divided yet. Is the controller running?\n",
            style.paint(BOLD, &name)
        );
    };
    let mut text = title(&name, &status.conditions, style);
    for resource in Resource::ALL {
        if let Some(capacity) = status.capacity.get(resource) {
            let rows = pool.members.iter().filter_map(|member| {
                let known = status.members.iter().find(|it| it.name == member.spec.name)?;
                Some(Row::of(member, known, resource))
            });
            let allocated = status.allocated.get(resource).unwrap_or_default();
            text += &draw_one(&rows.collect::<Vec<_>>(), resource, (allocated, capacity), style);
        }
    }
    text
}

/// None if the controller has not reported on the tree yet: its pools say so.
fn draw_tree(tree: &UsedTree, style: Style) -> Option<String> {
    let status = tree.object.status.as_ref()?;
    let mut text = title(&format!("Tree {}", tree.name), &status.conditions, style);
    for resource in Resource::ALL {
        if let Some(capacity) = status.capacity.get(resource) {
            let rows =
                tree.object.spec.members.iter().zip(&tree.used).filter_map(|(spec, used)| {
                    let known = status.members.iter().find(|it| it.name == spec.name)?;
                    Some(Row::of_tree(spec, known, used[resource], resource))
                });
            let allocated = status.allocated.get(resource).unwrap_or_default();
            text += &draw_one(&rows.collect::<Vec<_>>(), resource, (allocated, capacity), style);
        }
    }
    Some(text)
}

/// A name, with the conditions that are news.
fn title(name: &str, conditions: &[Condition], style: Style) -> String {
    let mut text = style.paint(BOLD, name);
    // That it is not ready, its members say.
    let news = |it: &&Condition| it.type_ != condition::READY && condition::is_news(it);
    for condition in conditions.iter().filter(news) {
        let _ = write!(
            text,
            "  {}",
            style.paint(YELLOW, &format!("{} ({})", condition.type_, condition.reason))
        );
    }
    text + "\n"
}

fn draw_one(
    rows: &[Row],
    resource: Resource,
    (allocated, capacity): (u64, u64),
    style: Style,
) -> String {
    let longest = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let names = longest.clamp("MEMBER".len(), NAME);
    let taken = 2 + names + 1 + AMOUNTS.len() * AMOUNT + 2 + REMARK;
    let bars = style.width.saturating_sub(taken).max(NARROWEST);
    let most = rows.iter().map(Row::most).max().unwrap_or(0).max(1);

    let held = resource.readable(allocated);
    let head = format!("{resource}: {held} of {}", resource.readable(capacity));
    let mut text = match style.headers {
        true => format!("  {:<fill$}", head, fill = names + 1 + bars),
        false => format!("  {head}"),
    };
    for head in AMOUNTS.into_iter().filter(|_| style.headers) {
        let _ = write!(text, "{head:>AMOUNT$}");
    }
    text.push('\n');
    for row in rows {
        let name: String = row.name.chars().take(names).collect();
        let bar = row.bar(bars, most, style);
        let used = row.used.map_or_else(|| "-".to_owned(), |used| resource.readable(used));
        let (share, fair) = (resource.readable(row.share), resource.readable(row.fair));
        let remark: String = row.remark(resource).chars().take(REMARK).collect();
        let remark = style.paint(row.colour, &remark);
        let line = format!(
            "  {name:<names$} {bar}{used:>AMOUNT$}{share:>AMOUNT$}{fair:>AMOUNT$}  {remark}"
        );
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// One resource of one member.
struct Row<'a> {
    name: &'a str,
    min: u64,
    fair: u64,
    share: u64,
    /// None: not all of its pods were measured.
    used: Option<u64>,
    /// Why it is as it is. None: it holds what it is granted, or is on its way.
    trouble: Option<&'a str>,
    colour: &'static str,
}

impl<'a> Row<'a> {
    fn of(member: &MemberPods<'a>, status: &'a MemberStatus, resource: Resource) -> Self {
        Self {
            name: &status.name,
            min: member.spec.min.get(resource).unwrap_or_default(),
            fair: status.fair.get(resource).unwrap_or_default(),
            share: status.share.get(resource).unwrap_or_default(),
            used: member.used()[resource],
            trouble: match status.state {
                Some(MemberState::Settled | MemberState::Resizing) | None => None,
                Some(_) => Some(&status.reason),
            },
            colour: match status.state {
                Some(MemberState::Deferred | MemberState::Infeasible) => RED,
                Some(MemberState::Skipped) => YELLOW,
                _ => PLAIN,
            },
        }
    }

    /// A member of a tree, whose pods use so much.
    fn of_tree(
        spec: &TreeMember,
        status: &'a TreeMemberStatus,
        used: Option<u64>,
        resource: Resource,
    ) -> Self {
        Self {
            name: &status.name,
            min: spec.min.get(resource).unwrap_or_default(),
            fair: status.fair.get(resource).unwrap_or_default(),
            share: status.share.get(resource).unwrap_or_default(),
            used,
            trouble: (!status.reason.is_empty()).then_some(&*status.reason),
            colour: YELLOW,
        }
    }

    fn most(&self) -> u64 {
        self.fair.max(self.share).max(self.used.unwrap_or_default())
    }

    /// So many cells, of which all stand for `most`.
    fn bar(&self, cells: usize, most: u64, style: Style) -> String {
        let cell = |amount: u64| {
            let scaled = u128::from(amount) * cells as u128 / u128::from(most);
            usize::try_from(scaled).unwrap_or(cells)
        };
        let mark =
            |amount: u64| (amount > 0).then(|| cell(amount).saturating_sub(1).min(cells - 1));
        let used = self.used.unwrap_or_default();
        let (fair, min) = (mark(self.fair), mark(self.min));
        let (mut bar, mut run) = (String::new(), (PLAIN, String::new()));
        for i in 0..cells {
            let (colour, glyph) = match i {
                _ if fair == Some(i) => (PLAIN, '│'),
                _ if min == Some(i) => (PLAIN, '╎'),
                _ if i < cell(used.min(self.share)) => (GREEN, '█'),
                _ if i < cell(used) => (YELLOW, '▓'),
                _ if i < cell(self.share) => (DIM, '░'),
                _ => (PLAIN, ' '),
            };
            if run.0 != colour {
                bar += &style.paint(run.0, &std::mem::take(&mut run.1));
                run.0 = colour;
            }
            run.1.push(glyph);
        }
        bar + &style.paint(run.0, &run.1)
    }

    fn remark(&self, resource: Resource) -> String {
        let amount = |amount| resource.readable(amount);
        match self.trouble {
            Some(reason) => reason.to_owned(),
            // Others borrow a part of it, on the nodes where they need it.
            None if self.share < self.fair => format!("offers {}", amount(self.fair - self.share)),
            None if self.share > self.fair => format!("borrows {}", amount(self.share - self.fair)),
            None => String::new(),
        }
    }
}

const PLAIN: &str = "";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const END: &str = "\x1b[0m";

impl Style {
    fn paint(self, colour: &str, text: &str) -> String {
        match self.colours && !colour.is_empty() && !text.is_empty() {
            true => format!("{colour}{text}{END}"),
            false => text.to_owned(),
        }
    }
}
