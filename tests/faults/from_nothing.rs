//! Each decision is held against one from nothing: an engine that is new, and looks at everything. And one does not follow another
//! without end.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use serde_json::json;
use weightedshare::{
    cluster::{Changes, Cluster, Event, Kept},
    engine::{Engine, History, Plan, PoolPlan},
    metrics::News,
    runtime::{Before, Check},
};

use super::{
    cluster::{Shared, with},
    oracle::Oracle,
    plant::Bug,
    progress,
};

/// So many decisions at one moment are too many.
const AT_ONCE: u32 = 100;

/// Looks at each decision of an instance, and says how long it took.
pub fn check(shared: &Shared, bug: Option<Bug>) -> Check {
    let shared = shared.clone();
    let (mut last, mut at_once) = (Duration::MAX, 0);
    Box::new(move |before, engine, plan, after| {
        let mut took = with(&shared, |cluster| cluster.deciding());
        at_once = if before.now.steady == last { at_once + 1 } else { 0 };
        last = before.now.steady;
        if at_once >= AT_ONCE {
            let what = format!("{at_once} decisions at one moment: nothing else gets its turn");
            with(&shared, |cluster| cluster.violate(Oracle::Alive, what));
            // Else no time would ever pass.
            took = took.max(Duration::from_secs(1));
        }
        progress::note(&shared, before.cluster, plan, took);
        // Who looks at everything sees what the engine has overlooked.
        let overlooked = (bug == Some(Bug::Dozes)).then(|| {
            let mut cluster = before.cluster.clone();
            cluster.apply(node("node-0"));
            cluster
        });
        let cluster = overlooked.as_ref().unwrap_or(before.cluster);
        if let Some(what) = difference(before, cluster, engine, plan, after) {
            with(&shared, |cluster| cluster.violate(Oracle::FromNothing, what));
        }
        took
    })
}

/// How the decision differs from one from nothing, if it does.
fn difference(
    before: &Before<'_>,
    cluster: &Cluster,
    engine: &Engine,
    plan: &Plan,
    after: &History,
) -> Option<String> {
    let Before { metrics, history, now, .. } = before;
    let (mut new, mut remembered) = (Engine::default(), history.clone());
    let (all, news) = (Changes::all(cluster), News::default());
    let full = new.decide(cluster, metrics, &all, &news, &mut remembered, *now);
    for (id, of_full) in &full.pools {
        let Some(kept) = engine.planned(id) else {
            return Some(format!("pool {} was never decided", id.name));
        };
        let mut of_full =
            PoolPlan { notices: Vec::new(), reclaimed: Vec::new(), ..of_full.clone() };
        // A version that changes nothing is looked up when it is sent.
        for (resize, kept) in of_full.resizes.iter_mut().zip(&kept.resizes) {
            resize.resource_version.clone_from(&kept.resource_version);
        }
        if *kept != of_full {
            return Some(format!("pool {}: {}", id.name, first_difference(kept, &of_full)));
        }
    }
    for (name, of_full) in &full.trees {
        let kept = after.tree_status(name);
        if kept != Some(&*of_full.status) {
            return Some(format!("tree {name}: {}", first_difference(&kept, &of_full.status)));
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

/// A node that can allocate nearly nothing.
fn node(name: &str) -> Event {
    let node = json!({"metadata": {"name": name}, "status": {"allocatable": {"cpu": "10m", "memory": "1Mi"}}});
    let node: Node = serde_json::from_value(node).unwrap_or_default();
    Event::Applied(node.key(), node.read())
}

/// Where two values begin to differ, in words.
fn first_difference(one: &impl std::fmt::Debug, other: &impl std::fmt::Debug) -> String {
    let (one, other) = (format!("{one:?}"), format!("{other:?}"));
    let same = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let part =
        |text: &str| text.chars().skip(same.saturating_sub(160)).take(320).collect::<String>();
    format!("... {} ... instead of ... {} ...", part(&one), part(&other))
}
