//! A page to look at: the pools and their members as their status says, and how they did in the last hour. It only reads,
//! is whole without a script, and takes nothing from elsewhere.

mod chart;
mod plan;
mod record;
#[cfg(test)]
mod tests;
mod view;
mod why;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
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
use kube::{ResourceExt, runtime::reflector::Store};
use maud::Markup;

pub use plan::{PlannedPool, plan_page};
use record::Record;
pub use record::Used;

use crate::{
    api::{WeightedShare, WeightedShareStatus},
    observe::{Clock, Guarded},
};

/// What the page allows a browser: its own style, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page. Cheap to copy: all copies are one.
#[derive(Clone, Default)]
pub struct Page(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// None: this process does not lead, and knows of nothing.
    pools: OnceLock<Store<Guarded>>,
    record: Mutex<Record>,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}

impl Page {
    /// The pools that are shown.
    pub fn are(&self, pools: Store<Guarded>) {
        // Whoever leads does so once in the life of its process.
        let _ = self.0.pools.set(pools);
    }

    /// Notes how the members of a pool do: what the status says, and what their pods use, in the order of the status.
    pub fn saw(&self, pool: &str, status: &WeightedShareStatus, used: &[Used], now: Timestamp) {
        self.record().note(pool, status, used, now);
    }

    /// `/`, and `/pools/NAMESPACE/NAME`.
    pub fn routes(self, clock: Clock) -> Router {
        let (all, at) = (self.clone(), clock.clone());
        let overview = async move || {
            let Some(pools) = all.pools() else {
                return answer(StatusCode::OK, &view::stands_by());
            };
            answer(StatusCode::OK, &view::overview(&pools, at.now()))
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
                    let record = self.record();
                    answer(StatusCode::OK, &view::pool(pool, &record, now))
                }
                None => answer(StatusCode::NOT_FOUND, &view::no_pool(&namespace, &name)),
            }
        };
        Router::new().route("/", get(overview)).route("/pools/{namespace}/{name}", get(one))
    }

    /// All pools that can be read, by namespace and name.
    fn pools(&self) -> Option<Vec<WeightedShare>> {
        let guarded = self.0.pools.get()?.state();
        let mut pools: Vec<_> =
            guarded.iter().filter_map(|it| it.0.as_ref().ok().cloned()).collect();
        pools.sort_by_key(|pool| (pool.namespace(), pool.name_any()));
        Some(pools)
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        // Nothing panics while it is held; it would be whole all the same.
        self.0.record.lock().unwrap_or_else(PoisonError::into_inner)
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
