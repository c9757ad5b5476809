//! Each decision is held against one from nothing: an engine that is new, and looks at everything.

use weightedshare::{
    cluster::Changes,
    engine::{Engine, History, Plan, PoolPlan},
    metrics::News,
    runtime::{Before, Check},
};

use super::{
    cluster::{Shared, with},
    oracle::Oracle,
    progress,
};

/// Looks at each decision of an instance.
pub fn check(shared: &Shared) -> Check {
    let shared = shared.clone();
    Box::new(move |before, engine, plan, after| {
        progress::note(&shared, before.cluster, plan);
        if let Some(what) = difference(before, engine, plan, after) {
            with(&shared, |cluster| cluster.violate(Oracle::FromNothing, what));
        }
    })
}

/// How the decision differs from one from nothing, if it does.
fn difference(
    before: &Before<'_>,
    engine: &Engine,
    plan: &Plan,
    after: &History,
) -> Option<String> {
    let Before { cluster, metrics, history, now } = before;
    let (mut new, mut remembered) = (Engine::default(), history.clone());
    let (all, news) = (Changes::all(cluster), News::default());
    let full = new.decide(cluster, metrics, &all, &news, &mut remembered, *now);
    for (id, of_full) in &full.pools {
        let Some(kept) = engine.planned(id) else {
            return Some(format!("pool {} was never decided", id.name));
        };
        let of_full = PoolPlan { notices: Vec::new(), reclaimed: Vec::new(), ..of_full.clone() };
        if *kept != of_full {
            return Some(format!("pool {}: {}", id.name, first_difference(kept, &of_full)));
        }
    }
    if plan.restores != full.restores {
        return Some(format!("restores {:?} instead of {:?}", plan.restores, full.restores));
    }
    if plan.deletions != full.deletions {
        return Some(format!("deletions {:?} instead of {:?}", plan.deletions, full.deletions));
    }
    if plan.hotplug != full.hotplug {
        return Some(format!("{:?} instead of {:?}", plan.hotplug, full.hotplug));
    }
    (*after != remembered).then(|| format!("remembers {}", first_difference(after, &remembered)))
}

/// Where two values begin to differ, in words.
fn first_difference(one: &impl std::fmt::Debug, other: &impl std::fmt::Debug) -> String {
    let (one, other) = (format!("{one:?}"), format!("{other:?}"));
    let same = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let part =
        |text: &str| text.chars().skip(same.saturating_sub(160)).take(320).collect::<String>();
    format!("... {} ... instead of ... {} ...", part(&one), part(&other))
}
