//! When something may change for a pool, whatever happens: all in one order, so that a decision only looks at those that are due.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::{
    cluster::{Namespace, PoolId},
    engine::{View, history::PoolHistory, pool_members::PoolMembers},
};

/// Right after a time.
const MOMENT: SignedDuration = SignedDuration::from_nanos(1);

/// At most one deadline for each pool.
#[derive(Debug, Default)]
pub struct Deadlines {
    of_pools: BTreeMap<PoolId, Timestamp>,
    in_order: BTreeSet<(Timestamp, PoolId)>,
}

impl Deadlines {
    /// Sets the deadline of a pool, or that it has none.
    pub fn set(&mut self, pool: &PoolId, deadline: Option<Timestamp>) {
        let before = match deadline {
            Some(at) => self.of_pools.insert(pool.clone(), at),
            None => self.of_pools.remove(pool),
        };
        if let Some(before) = before {
            self.in_order.remove(&(before, pool.clone()));
        }
        if let Some(at) = deadline {
            self.in_order.insert((at, pool.clone()));
        }
    }

    /// The pools whose deadline has come.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = &PoolId> {
        self.in_order.iter().take_while(move |(at, _)| *at <= now).map(|(_, pool)| pool)
    }

    /// The next deadline.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        self.in_order.first().map(|(at, _)| *at)
    }
}

/// When something may change for a pool next, whatever happens.
#[must_use]
pub fn deadline(view: &View, pool: &PoolMembers, known: &PoolHistory) -> Option<Timestamp> {
    let now = view.now;
    let pods = pool.members.iter().flat_map(|member| &member.pods);
    let namespace = view.cluster.namespace(&pool.id.namespace);
    // Quotas no longer count pods that are overdue, whosever these are.
    let counted = namespace.filter(|it| it.quotas().next().is_some());
    let counted = counted.into_iter().flat_map(Namespace::pods);
    let leaving = pool.leaving.iter().chain(&pool.departed).copied();
    let overdue = leaving.chain(counted).filter_map(|pod| pod.overdue_from);
    let waiting = pods.filter_map(|pod| pod.measured?.waiting_until);
    [
        view.backoff.next(pool.pods(), now),
        view.conflicts.next(pool.pods(), now),
        known.weights.next(view.metrics, now),
        known.grants.next(now),
        waiting.filter(|until| *until > now).min(),
        pool.pods().filter_map(|pod| view.unconfirmed_until(pod)).filter(|at| *at > now).min(),
        overdue.filter(|at| *at >= now).min().map(|at| at + MOMENT),
        known.tells_at(),
    ]
    .into_iter()
    .flatten()
    .min()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    fn pool(name: &str) -> PoolId {
        PoolId::of(&ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() })
    }

    #[test]
    fn each_pool_has_the_deadline_that_was_set_last() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut deadlines = Deadlines::default();
        deadlines.set(&pool("a"), Some(at(30)));
        deadlines.set(&pool("b"), Some(at(20)));
        deadlines.set(&pool("c"), Some(at(25)));
        assert_eq!(deadlines.next(), Some(at(20)));
        assert_eq!(deadlines.due(at(25)).collect::<Vec<_>>(), [&pool("b"), &pool("c")]);
        deadlines.set(&pool("b"), Some(at(40)));
        deadlines.set(&pool("c"), None);
        assert_eq!(deadlines.next(), Some(at(30)));
        assert_eq!(deadlines.due(at(29)).count(), 0);
    }
}
