//! The statuses that a plan gives its pools.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::{json_of, looked, shop};
use crate::{
    cli::{
        Wanted,
        planned::{Planned, fill_in_statuses},
        top::{Style, top},
    },
    cluster::{Event, Kept},
    runtime::plan_page,
    share::Resource,
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

#[test]
fn the_planned_status_has_the_amounts_of_the_plan() {
    let planned = Planned::of(&shop(), NOW).pools;
    let status = planned[0].pool.status.as_ref().unwrap();
    let plan = json_of(&shop());
    let members = plan["pools"][0]["members"].as_array().unwrap();
    assert_eq!(status.members.len(), members.len());
    for (of_status, of_plan) in status.members.iter().zip(members) {
        assert_eq!(of_plan["name"], *of_status.name);
        assert_eq!(of_plan["reason"], *of_status.reason);
        assert_eq!(of_plan["effectiveWeight"], of_status.effective_weight);
        for resource in Resource::ALL {
            let amount = |amounts: &crate::api::Resources| amounts.get(resource).map(Value::from);
            let of_plan = &of_plan[resource.name()];
            let demand = of_plan["demand"].as_u64().map(Value::from);
            assert_eq!(amount(&of_status.demand), demand, "{}", of_status.name);
            assert_eq!(amount(&of_status.fair).as_ref(), of_plan.get("fair"));
            assert_eq!(amount(&of_status.share).as_ref(), of_plan.get("share"));
        }
    }
    let used = planned[0].used.iter().map(|used| used.cpu).collect::<Vec<_>>();
    assert_eq!(used[..2], [Some(720), Some(590)]);
}

#[test]
fn only_a_pool_without_a_status_gets_the_planned_one() {
    let mut looked = shop();
    assert!(fill_in_statuses(&mut looked, NOW));
    let bars = top(&looked, &Wanted::default(), Style { width: 80, colours: false, headers: true });
    assert!(bars.contains("offers") && bars.contains("borrows"), "{bars}");

    let mut with_one = shop();
    let (id, pool) = with_one.cluster.pools().next().unwrap();
    let (id, mut pool) = (id.clone(), pool.object.clone());
    pool.status = Some(Default::default());
    with_one.cluster.apply(Event::Applied(pool.key(), pool.read()));
    assert!(!fill_in_statuses(&mut with_one, NOW));
    assert_eq!(with_one.cluster.pool(&id).unwrap().object.status, Some(Default::default()));
}

#[test]
fn the_page_of_a_plan_has_every_member_and_asks_for_nothing() {
    let page = plan_page(&[], &Planned::of(&shop(), NOW).pools);
    for part in [
        "<h1>shop/shop</h1>",
        "<h3>checkout</h3>",
        "<h3>search</h3>",
        "<h3>batch</h3>",
        "cpu: pods would hold 1805m of 2",
        "TargetNotFound: There is no Deployment gone",
        "a plan: nothing was changed",
    ] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    for part in ["<script", "http-equiv", "href=", "src=", "url("] {
        assert!(!page.contains(part), "{part} is in\n{page}");
    }
    assert!(plan_page(&[], &[]).contains("There are no pools."));
}

#[test]
fn a_tree_gets_its_planned_status_too() {
    let page = include_str!("../../../docs/trees.md");
    let (_, yaml) = page.split_once("```yaml\n").unwrap();
    let mut looked = looked(yaml.split_once("```").unwrap().0);
    let mut planned = Planned::of(&looked, NOW);
    let page = plan_page(&planned.trees, &planned.pools);
    for part in ["<h3>company</h3>", "<strong>shop</strong>", "cpu 3540m of 4 owned", "shop/jobs"] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    let namespace = Some("shop".to_owned());
    planned.keep(&Wanted { namespace, ..Wanted::default() });
    assert_eq!((planned.trees.len(), planned.pools.len()), (0, 2));

    assert!(fill_in_statuses(&mut looked, NOW));
    let bars = top(&looked, &Wanted::default(), Style { width: 80, colours: false, headers: true });
    assert!(bars.starts_with("Tree company") && bars.contains("teams"), "{bars}");
    assert!(!fill_in_statuses(&mut looked, NOW));
}
