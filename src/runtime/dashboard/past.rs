//! How members did in the last hour. Pure: the time is passed in.

use std::collections::{BTreeMap, VecDeque};

use k8s_openapi::jiff::Timestamp;

use crate::{
    api::{MemberStatus, WeightedShareStatus},
    engine::Used,
    share::PerResource,
};

/// How far back it goes, in seconds.
pub const SPAN: i64 = 3600;
/// How far apart the points are that are kept, in seconds.
const APART: i64 = 30;
/// How many members are kept: 4 KiB each. Those beyond it have no past.
const KEPT: usize = 2048;

/// How a member stood at some time. A chart needs no more digits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// In seconds since 1970.
    pub at: i64,
    pub share: PerResource<f32>,
    pub fair: PerResource<f32>,
    /// Not a number where it was not measured.
    pub used: PerResource<f32>,
}

/// The points of a member, from the oldest on. Each one holds until the next.
#[derive(Debug, Default)]
struct Series {
    kept: VecDeque<Point>,
    latest: Option<Point>,
}

/// The past of all members, by the UID of their pool and by name.
#[derive(Debug, Default)]
pub struct Past(BTreeMap<(String, String), Series>);

impl Past {
    /// Forgets members of which nothing was noted for an hour: also those whose pools are gone, and after the clock was set back.
    pub fn forget(&mut self, now: Timestamp) {
        let at = now.as_second();
        self.0.retain(|_, past| past.latest.is_some_and(|it| (0..=SPAN).contains(&(at - it.at))));
    }

    /// Notes how the members of a pool stand.
    pub fn note(
        &mut self,
        pool: &str,
        status: &WeightedShareStatus,
        used: &[Used],
        now: Timestamp,
    ) {
        let at = now.as_second();
        for (member, used) in status.members.iter().zip(used) {
            let key = (pool.to_owned(), member.name.clone());
            if self.0.len() < KEPT || self.0.contains_key(&key) {
                self.0.entry(key).or_default().add(point(member, *used, at));
            }
        }
    }

    /// The points of a member in the last hour, from the oldest on.
    pub fn of(&self, pool: &str, member: &str, now: Timestamp) -> Vec<Point> {
        let Some(past) = self.0.get(&(pool.to_owned(), member.to_owned())) else {
            return Vec::new();
        };
        let newer = |it: &&Point| past.kept.back().is_none_or(|last| last.at < it.at);
        let points = past.kept.iter().chain(past.latest.iter().filter(newer));
        points.filter(|it| it.at >= now.as_second() - SPAN).copied().collect()
    }
}

impl Series {
    fn add(&mut self, point: Point) {
        if self.kept.back().is_none_or(|last| point.at - last.at >= APART) {
            self.kept.push_back(point);
        }
        while self.kept.front().is_some_and(|first| point.at - first.at > SPAN) {
            self.kept.pop_front();
        }
        self.latest = Some(point);
    }
}

fn point(member: &MemberStatus, used: Used, at: i64) -> Point {
    let of = |amounts: &crate::api::Resources| {
        PerResource::from_fn(|resource| amounts.get(resource).unwrap_or_default() as f32)
    };
    let used = PerResource::from_fn(|resource| used[resource].map_or(f32::NAN, |used| used as f32));
    Point { at, share: of(&member.share), fair: of(&member.fair), used }
}
