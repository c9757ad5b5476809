//! The division of a tree by its definition, from fills by theirs.

use super::super::super::{Claim, divide as divide_pools, testing::by_definition};
use super::*;

/// More than any capacity of these tests, in place of what is infinite.
const ENDLESS: u64 = 1 << 40;

/// Fills; where the lower bounds do not fit, they are cut in proportion.
fn fill(claims: &[Claim], total: u64) -> Vec<u64> {
    let least: u64 = claims.iter().map(|claim| claim.lo).sum();
    if least <= total {
        return by_definition(claims, total);
    }
    let mut shares: Vec<u64> = claims.iter().map(|claim| claim.lo * total / least).collect();
    let mut order: Vec<usize> = (0..claims.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(claims[i].lo * total % least));
    let left = total - shares.iter().sum::<u64>();
    order.into_iter().take(left as usize).for_each(|i| shares[i] += 1);
    shares
}

/// A branch on its way through the two stages.
pub struct Branch<'t> {
    sprout: &'t Sprout,
    pub children: Vec<Branch<'t>>,
    pub pods: u64,
    floor: u64,
    asked: u64,
    most: u64,
    promised: u64,
    pub fair: u64,
    /// Of a pool: what its pods own.
    of_pods: Vec<u64>,
}

/// The branches of a tree, as they own what there is.
pub fn owned(capacity: u64, sprouts: &[Sprout]) -> Vec<Branch<'_>> {
    let mut children: Vec<Branch> = sprouts.iter().map(Branch::climb).collect();
    descend(capacity, &mut children);
    children
}

/// What the pods of a tree own, and what they hold, those of one pool after those of another.
pub fn divided(capacity: u64, root: Idle, sprouts: &[Sprout]) -> (Vec<u64>, Vec<u64>) {
    let children = owned(capacity, sprouts);
    let mut shares = Vec::new();
    children.iter().for_each(|child| child.owned(&mut shares));
    let fair = shares.clone();
    for mut here in lent(capacity, root, &children) {
        let own = here.iter().map(|it| it.own).sum();
        offer(&mut here, root);
        pour(&mut here, own, true);
        here.iter().for_each(|it| it.write(&mut shares));
    }
    (fair, shares)
}

/// What the branches have on each node once idle shares are lent, before a surplus is spread.
pub fn lent(capacity: u64, root: Idle, children: &[Branch]) -> Vec<Vec<Here>> {
    let on_node = |node| {
        let (mut at, mut here) = (0, Vec::new());
        children.iter().for_each(|child| here.push(child.here(capacity, node, &mut at)));
        settle(&mut here, root);
        let own = here.iter().map(|it| it.own).sum();
        pour(&mut here, own, false);
        here
    };
    (0..3).map(on_node).collect()
}

impl<'t> Branch<'t> {
    fn climb(sprout: &'t Sprout) -> Self {
        let children: Vec<Branch> = sprout.children.iter().map(Branch::climb).collect();
        let there = || children.iter().filter(|child| child.pods > 0);
        let mut branch = Self {
            sprout,
            pods: there().map(|it| it.pods).sum(),
            floor: there().map(|it| it.floor).sum(),
            asked: there().map(|it| it.asked).sum(),
            most: there().map(|it| it.most).sum(),
            promised: 0,
            fair: 0,
            of_pods: Vec::new(),
            children,
        };
        if let Some(pool) = &sprout.pool {
            branch.pods = pool.pods.len() as u64;
            branch.floor = pool.pods.iter().map(|pod| pod.floor.min(10)).sum();
            let mut pods = pool.pods.iter();
            for member in pool.members.iter().filter(|member| member.pods > 0) {
                let of_member: Vec<&PodClaim> = pods.by_ref().take(member.pods).collect();
                let floor: u64 = of_member.iter().map(|pod| pod.floor).sum();
                let caps = of_member.iter().map(|pod| pod.cap.unwrap_or(ENDLESS).max(pod.floor));
                let most = floor.max(caps.sum::<u64>().min(member.max.unwrap_or(ENDLESS)));
                branch.most += most;
                branch.asked += most.min(member.min.max(floor));
            }
        }
        let most = branch.floor.max(branch.most.min(sprout.max.unwrap_or(ENDLESS)));
        branch.promised = most.min(sprout.min);
        let asked = if sprout.expandable { branch.asked } else { 0 };
        branch.asked = branch.floor.max(most.min(asked.max(branch.promised)));
        branch.most = most;
        branch
    }

    pub fn rungs(&self) -> [u64; 5] {
        let (p, f) = (self.promised, self.floor);
        [p.min(f), p, p.max(f), self.asked, self.most]
    }

    fn owned(&self, shares: &mut Vec<u64>) {
        shares.extend(&self.of_pods);
        self.children.iter().for_each(|child| child.owned(shares));
    }
}

fn descend(owned: u64, children: &mut [Branch]) {
    let mut there: Vec<&mut Branch> = children.iter_mut().filter(|it| it.pods > 0).collect();
    let sum = |rung: usize| there.iter().map(|it| it.rungs()[rung]).sum::<u64>();
    let rung = (0..4).find(|&rung| owned <= sum(rung + 1)).unwrap_or(3);
    let claims: Vec<Claim> = there
        .iter()
        .map(|it| Claim {
            weight: it.sprout.weight,
            lo: it.rungs()[rung],
            hi: it.rungs()[rung + 1],
        })
        .collect();
    for (child, fair) in there.iter_mut().zip(fill(&claims, owned)) {
        child.fair = fair;
        if let Some(pool) = &child.sprout.pool {
            let pool = Pool { capacity: fair, idle: Idle::Kept, ..pool.clone() };
            let pods = divide_pools(&[pool], &[]).remove(0).pods;
            child.of_pods = pods.iter().map(|pod| pod.fair).collect();
        }
        descend(fair, &mut child.children);
    }
}

/// A branch, or a pod, on one node.
pub struct Here {
    /// Exact, as a fraction.
    weight: (u64, u64),
    pub own: u64,
    lend: u64,
    min: u64,
    pub max: u64,
    pub lo: u64,
    pub hi: u64,
    wanted: u64,
    pub share: u64,
    spread: u64,
    idle: Idle,
    pub inside: Vec<Here>,
    /// Of a pod: its place among all pods of the tree.
    pod: Option<usize>,
}

impl Branch<'_> {
    /// Takes its pods, the first of which is the tree's pod `at`.
    fn here(&self, capacity: u64, node: u32, at: &mut usize) -> Here {
        let mut inside = self.pods_here(capacity, node, *at);
        *at += self.of_pods.len();
        inside.extend(self.children.iter().map(|child| child.here(capacity, node, at)));
        let own = inside.iter().map(|it| it.own).sum();
        let part = |amount: u64| if own == 0 { 0 } else { amount * own / self.fair };
        let sprout = self.sprout;
        Here {
            weight: (sprout.weight * own, self.fair.max(1)),
            own,
            lend: u64::from(sprout.lend),
            min: part(sprout.min.min(self.fair)),
            max: sprout.max.map_or(ENDLESS, |max| part(max.max(self.fair))),
            lo: 0,
            hi: 0,
            wanted: 0,
            share: 0,
            spread: 0,
            idle: sprout.pool.as_ref().map_or(sprout.idle, |pool| pool.idle),
            inside,
            pod: None,
        }
    }

    fn pods_here(&self, capacity: u64, node: u32, at: usize) -> Vec<Here> {
        let Some(pool) = self.sprout.pool.as_ref().filter(|_| !self.of_pods.is_empty()) else {
            return Vec::new();
        };
        let (mut first, mut here) = (0, Vec::new());
        for member in &pool.members {
            let run = first..first + member.pods;
            first = run.end;
            let (pods, owned) = (&pool.pods[run.clone()], &self.of_pods[run.clone()]);
            let fair: u64 = owned.iter().sum();
            let weight: u64 = pods.iter().map(|pod| pod.weight).sum();
            let most = |pod: &PodClaim| pod.cap.unwrap_or(capacity).max(pod.floor);
            let claims = |of: &dyn Fn(usize) -> (u64, u64)| -> Vec<Claim> {
                let claim = |(i, pod): (usize, &PodClaim)| {
                    let (lo, hi) = of(i);
                    Claim { weight: pod.weight, lo, hi: hi.max(lo) }
                };
                pods.iter().enumerate().map(claim).collect()
            };
            let min = fill(&claims(&|i| (0, owned[i])), member.min.min(fair));
            let max = fill(
                &claims(&|i| (owned[i], most(&pods[i]))),
                member.max.unwrap_or(ENDLESS).max(fair),
            );
            for (i, pod) in pods.iter().enumerate().filter(|(_, pod)| pod.node == Some(node)) {
                let (own, demand) = (owned[i], pod.demand.of(owned[i]));
                let max = if pool.idle == Idle::Kept { own } else { max[i].max(own) };
                let lent = u64::from(member.lend) * (own - own.min(min[i].max(demand))) / 100;
                let lo =
                    if pool.idle == Idle::Kept { own } else { pod.floor.min(own).max(own - lent) };
                here.push(Here {
                    weight: (member.weight * pod.weight, weight),
                    own,
                    lend: 0,
                    min: min[i],
                    max,
                    lo,
                    hi: demand.clamp(lo, max),
                    wanted: if pool.idle == Idle::Kept { own } else { min[i].max(demand).min(max) },
                    share: own,
                    spread: 0,
                    idle: Idle::Kept,
                    inside: Vec::new(),
                    pod: Some(at + run.start + i),
                });
            }
        }
        here
    }
}

/// What each claims, from the pods up.
fn settle(here: &mut [Here], parent: Idle) {
    for it in here.iter_mut().filter(|it| it.pod.is_none()) {
        let idle = it.idle;
        settle(&mut it.inside, idle);
        let most: u64 = it.inside.iter().map(|it| it.hi).sum();
        it.wanted = it.inside.iter().map(|it| it.wanted).sum();
        if parent == Idle::Kept {
            (it.lo, it.hi, it.wanted) = (it.own, it.own, it.own);
            continue;
        }
        let idle = it.own - it.own.min(it.min.max(it.wanted));
        it.lo = it.own.min(most).max(it.own - it.lend * idle / 100);
        it.hi = it.lo.max(most.min(it.max));
    }
}

/// What each may have of what would be released, from the pods up.
fn offer(here: &mut [Here], parent: Idle) {
    for it in here {
        if it.pod.is_some() {
            it.spread = if parent == Idle::Spread { it.max.max(it.share) } else { it.share };
            continue;
        }
        offer(&mut it.inside, it.idle);
        let inside: u64 = it.inside.iter().map(|it| it.spread).sum();
        let most = if parent == Idle::Spread { it.max } else { it.own };
        it.spread = it.share.max(most.min(inside));
    }
}

fn pour(here: &mut [Here], amount: u64, surplus: bool) {
    let mut there: Vec<&mut Here> =
        here.iter_mut().filter(|it| it.pod.is_some() || it.own > 0).collect();
    let common: u64 = there.iter().map(|it| it.weight.1).product();
    let claims: Vec<Claim> = there
        .iter()
        .map(|it| Claim {
            weight: it.weight.0 * (common / it.weight.1),
            lo: if surplus { it.share } else { it.lo },
            hi: if surplus { it.spread } else { it.hi },
        })
        .collect();
    for (it, share) in there.iter_mut().zip(fill(&claims, amount)) {
        it.share = share;
        pour(&mut it.inside, share, surplus);
    }
}

impl Here {
    fn write(&self, shares: &mut [u64]) {
        if let Some(pod) = self.pod {
            shares[pod] = self.share;
        }
        self.inside.iter().for_each(|it| it.write(shares));
    }
}
