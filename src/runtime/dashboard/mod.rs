//! A page to look at: the pools and their members as their status says, and how they did in the last hour. It only reads,
//! is whole without a script, and takes nothing from elsewhere.

mod chart;
mod past;
mod plan;
mod replayed;
#[cfg(test)]
mod tests;
mod trees;
mod view;
mod why;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    extract::Path,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use maud::Markup;

use past::Past;
pub use plan::{PlannedPool, plan_page};
pub use replayed::replay_page;

use crate::{
    api::{WeightedShare, WeightedShareStatus},
    engine::Used,
    runtime::{Clock, PublishedPools, PublishedTrees},
};

/// What the page allows a browser: its own style, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page. Cheap to copy: all copies are one.
#[derive(Clone, Default)]
pub struct Dashboard(Arc<Inner>);

#[derive(Default)]
struct Inner {
    pools: PublishedPools,
    trees: PublishedTrees,
    past: Mutex<Past>,
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dashboard").finish_non_exhaustive()
    }
}

impl Dashboard {
    /// A dashboard of these pools and trees.
    #[must_use]
    pub fn of(pools: PublishedPools, trees: PublishedTrees) -> Self {
        Self(Arc::new(Inner { pools, trees, ..Inner::default() }))
    }

    /// Notes how the members of pools, by UID, do: what the status says, and what their pods use, in the order of the status.
    pub fn saw<'s>(
        &self,
        pools: impl Iterator<Item = (&'s str, &'s WeightedShareStatus, &'s [Used])>,
        now: Timestamp,
    ) {
        let mut past = self.past();
        past.forget(now);
        pools.for_each(|(pool, status, used)| past.note(pool, status, used, now));
    }

    /// `/`, and `/pools/NAMESPACE/NAME`.
    pub fn routes(self, clock: Clock) -> Router {
        let (all, at) = (self.clone(), clock.clone());
        let overview = async move || {
            let Some(pools) = all.pools() else {
                return answer(StatusCode::OK, &view::stands_by());
            };
            let trees = all.0.trees.all().unwrap_or_default();
            answer(StatusCode::OK, &view::overview(&trees, &pools, at.now()))
        };
        let one = async move |Path((namespace, name)): Path<(String, String)>| {
            let Some(pools) = self.pools() else {
                return answer(StatusCode::OK, &view::stands_by());
            };
            let is_it = |pool: &&WeightedShare| {
                pool.namespace().as_ref() == Some(&namespace) && pool.name_any() == name
            };
            match pools.iter().find(is_it) {
                Some(pool) => {
                    let now = clock.now();
                    let past = self.past();
                    answer(StatusCode::OK, &view::pool(pool, &past, now))
                }
                None => answer(StatusCode::NOT_FOUND, &view::no_pool(&namespace, &name)),
            }
        };
        Router::new().route("/", get(overview)).route("/pools/{namespace}/{name}", get(one))
    }

    /// All pools that can be read, by namespace and name.
    fn pools(&self) -> Option<Vec<WeightedShare>> {
        let mut pools: Vec<WeightedShare> =
            self.0.pools.all()?.iter().map(|pool| (**pool).clone()).collect();
        pools.sort_by_key(|pool| (pool.namespace(), pool.name_any()));
        Some(pools)
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        // Nothing panics while it is held; it would be whole all the same.
        self.0.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(status: StatusCode, page: &Markup) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, page.0.clone()).into_response()
}
