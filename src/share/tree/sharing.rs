//! What the pods of a tree hold while others are idle: the second stage of the division, one nested fill on each node.

use super::super::{
    Claim, Filling, Idle, PodDivision, Verdict,
    division::{
        parts::{Part, Parts},
        percent,
        weights::{self, Fraction},
    },
};
use super::{BranchIndex, Content, Tree, TreeDivision, Turn};

/// No place.
const NONE: u32 = u32::MAX;

/// A pod on one node.
#[derive(Clone, Copy, Debug)]
struct There {
    node: u32,
    branch: u32,
    /// Its place among the pods of its pool.
    pod: u32,
}

/// What a pod claims on its node. All of it in units of the resource.
#[derive(Clone, Copy, Debug)]
struct PodHere {
    /// The place of its pool in `here`.
    place: usize,
    branch: u32,
    pod: u32,
    weight: Fraction,
    lo: u64,
    hi: u64,
    /// The most that it may hold.
    most: u64,
    share: u64,
}

/// What a branch has on one node.
#[derive(Clone, Copy, Debug, Default)]
struct Here {
    branch: usize,
    /// The place of its parent. None: the root.
    parent: Option<usize>,
    /// What its pods there own.
    own: u64,
    /// The sums of what is inside it.
    most_inside: u64,
    wanted_inside: u64,
    spread_inside: u64,
    lo: u64,
    hi: u64,
    /// Its part of its max, by what it owns there.
    max: Option<u64>,
    /// The most that it gets of what would be released.
    spread: u64,
    share: u64,
}

/// The buffers of the second stage.
#[derive(Debug, Default)]
pub(super) struct NestedSharing {
    parts: Parts,
    /// The parts of all pods, those of one pool after those of another, and where those of each branch begin.
    of_pods: Vec<Part>,
    starts: Vec<usize>,
    there: Vec<There>,
    pods: Vec<PodHere>,
    here: Vec<Here>,
    /// The place of each branch in `here`.
    places: Vec<u32>,
    inside: Vec<usize>,
    /// The pools that have pods on a node that is not left as it is.
    here_now: Vec<bool>,
    /// The pools in which some pod's share changed.
    changed: Vec<BranchIndex>,
    fractions: Vec<Fraction>,
    numbers: Vec<u64>,
    claims: Vec<Claim>,
    shares: Vec<u64>,
}

impl NestedSharing {
    /// Lends what is idle. On each node, `own` is what the pods of a branch own there, together, and each branch has the part
    /// `own / fair` of its weight, min and max there. A pool's pods claim as in a pool of its own: D is what they need (their min
    /// included), as far as they may have it. From the pods up:
    ///
    /// ```text
    /// lo = max(min(own, sum of hi inside), own - round_down(lend * (own - min(own, max(min, sum of D inside)))))
    /// hi = max(lo, min(sum of hi inside, max))
    /// ```
    ///
    /// and from the root down, which has all that its pods own there, `x = fill(weight, lo, hi, x of the parent)`. What is not
    /// needed inside a branch and not lent by it is held back. Where a pool spreads its surplus, that is filled in a second turn,
    /// from x up: a branch then holds no more than it owns, unless its parent spreads, too.
    pub fn share(
        &mut self,
        filling: &mut Filling,
        tree: &mut Tree,
        turns: &[Turn],
        division: &mut TreeDivision,
    ) -> &[BranchIndex] {
        let turn = |node: u32| turns.get(node as usize).copied().unwrap_or_default();
        self.changed.clear();
        self.list_pods(tree, division, turn);
        self.work_out_parts(filling, tree, division);
        self.there.sort_unstable_by_key(|it| (it.node, it.branch, it.pod));
        let there = std::mem::take(&mut self.there);
        for there in there.chunk_by(|a, b| a.node == b.node) {
            match turn(there[0].node) {
                Turn::Lends => self.share_node(filling, tree, there, division),
                Turn::Keeps => self.keep_node(there, division),
                Turn::Stands => {}
            }
        }
        self.there = there;
        self.changed.sort_unstable();
        self.changed.dedup();
        &self.changed
    }

    /// Lists the pods on the nodes that are not left as they are.
    fn list_pods(&mut self, tree: &Tree, division: &TreeDivision, turn: impl Fn(u32) -> Turn) {
        self.there.clear();
        self.here_now.clear();
        self.here_now.resize(tree.branches.len(), false);
        for (i, branch) in tree.branches.iter().enumerate() {
            let Content::Pool { pool, .. } = &branch.content else { continue };
            let divided = &division.branches[i].pool;
            if matches!(divided.verdict, Verdict::TooSmall { .. }) || divided.pods.is_empty() {
                continue;
            }
            let before = self.there.len();
            let on_nodes = pool.pods.iter().enumerate();
            self.there.extend(on_nodes.filter_map(|(pod, claim)| {
                let node = claim.node.filter(|&node| turn(node) != Turn::Stands)?;
                Some(There { node, branch: i as u32, pod: pod as u32 })
            }));
            self.here_now[i] = self.there.len() > before;
        }
    }

    /// Works out each pod's part of what its member has, in the pools that have pods there.
    fn work_out_parts(&mut self, filling: &mut Filling, tree: &mut Tree, division: &TreeDivision) {
        self.of_pods.clear();
        self.starts.clear();
        for (i, branch) in tree.branches.iter_mut().enumerate() {
            self.starts.push(self.of_pods.len());
            let Content::Pool { pool, .. } = &mut branch.content else { continue };
            if !self.here_now[i] {
                continue;
            }
            // What a pod without a cap can take is no longer bounded by its pool.
            let capacity = std::mem::replace(&mut pool.capacity, tree.capacity);
            self.parts.work_out(filling, pool, &division.branches[i].pool);
            pool.capacity = capacity;
            self.of_pods.extend_from_slice(&self.parts.of_pods);
        }
    }

    /// On a node that is over, pods hold what they own.
    fn keep_node(&mut self, there: &[There], division: &mut TreeDivision) {
        for &There { branch, pod, .. } in there {
            let it = &mut division.branches[branch as usize].pool.pods[pod as usize];
            let kept = PodDivision { by_weight: it.by_weight, ..PodDivision::whole(it.fair) };
            if *it != kept {
                *it = kept;
                self.changed.push(BranchIndex(branch as usize));
            }
        }
    }

    fn share_node(
        &mut self,
        filling: &mut Filling,
        tree: &Tree,
        there: &[There],
        division: &mut TreeDivision,
    ) {
        self.find_branches(tree, there);
        self.claim_pods(tree, there, division);
        self.claim_branches(tree, division);
        let own = self.here.iter().filter(|it| it.parent.is_none()).map(|it| it.own).sum();
        self.pour(filling, tree, own, division, |it| (it.lo, it.hi), |it| (it.lo, it.hi));
        if self.pods.iter().any(|pod| spreads_in(tree, pod)) {
            self.offer_surplus(tree);
            self.pour(
                filling,
                tree,
                own,
                division,
                |it| (it.share, it.spread),
                |it| (it.share, if spreads_in(tree, it) { it.most } else { it.share }),
            );
        }
        for pod in &self.pods {
            let it = &mut division.branches[pod.branch as usize].pool.pods[pod.pod as usize];
            let now = PodDivision { least: pod.lo, most: pod.most, share: pod.share, ..*it };
            if *it != now {
                *it = now;
                self.changed.push(BranchIndex(pod.branch as usize));
            }
        }
    }

    /// Lists the branches that have pods on a node, parents first.
    fn find_branches(&mut self, tree: &Tree, there: &[There]) {
        self.places.resize(tree.branches.len(), NONE);
        self.here.clear();
        for pods in there.chunk_by(|a, b| a.branch == b.branch) {
            let mut next = Some(BranchIndex(pods[0].branch as usize));
            while let Some(BranchIndex(branch)) = next.filter(|it| self.places[it.0] == NONE) {
                self.places[branch] = 0;
                self.here.push(Here { branch, ..Here::default() });
                next = tree.branches[branch].parent;
            }
        }
        self.here.sort_unstable_by_key(|it| it.branch);
        for (place, it) in self.here.iter().enumerate() {
            self.places[it.branch] = place as u32;
        }
        for it in &mut self.here {
            it.parent = tree.branches[it.branch].parent.map(|it| self.places[it.0] as usize);
        }
        self.here.iter().for_each(|it| self.places[it.branch] = NONE);
    }

    /// What the pods claim, and its sums in their pools.
    fn claim_pods(&mut self, tree: &Tree, there: &[There], division: &TreeDivision) {
        self.pods.clear();
        let mut place = 0;
        for &There { branch, pod, .. } in there {
            while self.here[place].branch < branch as usize {
                place += 1;
            }
            let Content::Pool { pool, .. } = &tree.branches[branch as usize].content else {
                continue;
            };
            let part = self.of_pods[self.starts[branch as usize] + pod as usize];
            let fair = division.branches[branch as usize].pool.pods[pod as usize].fair;
            let claim = &pool.pods[pod as usize];
            let (lo, hi, wanted) = match pool.idle {
                Idle::Kept => (fair, fair, fair),
                Idle::Lent | Idle::Spread => {
                    let demand = claim.demand.of(fair);
                    let lo = part.least(claim, fair);
                    (lo, demand.clamp(lo, part.most), part.min.max(demand).min(part.most))
                }
            };
            let it = &mut self.here[place];
            it.own = it.own.saturating_add(fair);
            it.most_inside = it.most_inside.saturating_add(hi);
            it.wanted_inside = it.wanted_inside.saturating_add(wanted);
            self.pods.push(PodHere {
                place,
                branch,
                pod,
                weight: part.weight,
                lo,
                hi,
                most: part.most,
                share: fair,
            });
        }
    }

    /// What the branches claim, from the pods up.
    fn claim_branches(&mut self, tree: &Tree, division: &TreeDivision) {
        for place in (0..self.here.len()).rev() {
            let mut it = self.here[place];
            let branch = &tree.branches[it.branch];
            let fair = division.branches[it.branch].fair;
            let min = part(branch.min.min(fair), it.own, fair);
            it.max = branch.max.map(|max| part(max.max(fair), it.own, fair));
            let idle = self.idle_beside(tree, &it);
            let mut wanted = it.wanted_inside;
            if idle == Idle::Kept {
                (it.lo, it.hi, wanted) = (it.own, it.own, it.own);
            } else {
                let used = it.own.min(min.max(it.wanted_inside));
                let kept = it.own - percent(branch.lend, it.own - used);
                it.lo = it.own.min(it.most_inside).max(kept);
                it.hi = it.lo.max(it.most_inside.min(it.max.unwrap_or(u64::MAX)));
            }
            self.here[place] = it;
            if let Some(parent) = it.parent {
                let parent = &mut self.here[parent];
                parent.own = parent.own.saturating_add(it.own);
                parent.most_inside = parent.most_inside.saturating_add(it.hi);
                parent.wanted_inside = parent.wanted_inside.saturating_add(wanted);
            }
        }
    }

    /// What becomes of the idle shares of a branch and its siblings.
    fn idle_beside(&self, tree: &Tree, it: &Here) -> Idle {
        it.parent.map_or(tree.idle, |parent| tree.branches[self.here[parent].branch].idle())
    }

    /// How much of the surplus each branch can take, from the pods up.
    fn offer_surplus(&mut self, tree: &Tree) {
        self.here.iter_mut().for_each(|it| it.spread_inside = 0);
        for pod in &self.pods {
            let spread = if spreads_in(tree, pod) { pod.most } else { pod.share };
            let it = &mut self.here[pod.place];
            it.spread_inside = it.spread_inside.saturating_add(spread);
        }
        for place in (0..self.here.len()).rev() {
            let mut it = self.here[place];
            let idle = self.idle_beside(tree, &it);
            let most = match idle {
                Idle::Spread => it.max.unwrap_or(u64::MAX),
                Idle::Kept | Idle::Lent => it.own,
            };
            it.spread = it.share.max(most.min(it.spread_inside));
            self.here[place] = it;
            if let Some(parent) = it.parent {
                let parent = &mut self.here[parent];
                parent.spread_inside = parent.spread_inside.saturating_add(it.spread);
            }
        }
    }

    /// Fills from the root, which has `own`, down to the pods, between what `of_branch` and `of_pod` say.
    fn pour(
        &mut self,
        filling: &mut Filling,
        tree: &Tree,
        own: u64,
        division: &TreeDivision,
        of_branch: impl Fn(&Here) -> (u64, u64),
        of_pod: impl Fn(&PodHere) -> (u64, u64),
    ) {
        self.pour_branches(filling, tree, division, None, own, &of_branch);
        let mut pods = 0;
        for place in 0..self.here.len() {
            let Here { branch, share, .. } = self.here[place];
            if matches!(tree.branches[branch].content, Content::Branches { .. }) {
                self.pour_branches(filling, tree, division, Some(place), share, &of_branch);
                continue;
            }
            // Pods come in the order of their branches.
            let count =
                self.pods[pods..].iter().take_while(|it| it.branch as usize == branch).count();
            let of_pool = &mut self.pods[pods..pods + count];
            pods += count;
            self.fractions.clear();
            self.fractions.extend(of_pool.iter().map(|pod| pod.weight));
            weights::whole(&self.fractions, &mut self.numbers);
            self.claims.clear();
            self.claims.extend(of_pool.iter().zip(&self.numbers).map(|(pod, &weight)| {
                let (lo, hi) = of_pod(pod);
                Claim { weight, lo, hi }
            }));
            filling.fill(&self.claims, share, &mut self.shares);
            of_pool.iter_mut().zip(&self.shares).for_each(|(pod, &share)| pod.share = share);
        }
    }

    /// Fills the children of a branch, or of the root, with what it has. Those that own nothing on the node take no part.
    fn pour_branches(
        &mut self,
        filling: &mut Filling,
        tree: &Tree,
        division: &TreeDivision,
        parent: Option<usize>,
        amount: u64,
        of_branch: impl Fn(&Here) -> (u64, u64),
    ) {
        self.inside.clear();
        let children = self.here.iter().enumerate();
        let children = children.filter(|(_, it)| it.parent == parent && it.own > 0);
        self.inside.extend(children.map(|(place, _)| place));
        self.fractions.clear();
        self.fractions.extend(self.inside.iter().map(|&place| {
            let it = &self.here[place];
            Fraction::part(
                tree.branches[it.branch].weight,
                it.own,
                division.branches[it.branch].fair,
            )
        }));
        weights::whole(&self.fractions, &mut self.numbers);
        self.claims.clear();
        self.claims.extend(self.inside.iter().zip(&self.numbers).map(|(&place, &weight)| {
            let (lo, hi) = of_branch(&self.here[place]);
            Claim { weight, lo, hi: hi.min(amount).max(lo) }
        }));
        filling.fill(&self.claims, amount, &mut self.shares);
        for (&place, &share) in self.inside.iter().zip(&self.shares) {
            self.here[place].share = share;
        }
    }
}

fn spreads_in(tree: &Tree, pod: &PodHere) -> bool {
    tree.branches[pod.branch as usize].idle() == Idle::Spread
}

/// The part `own / fair` of an amount, rounded down. Zero where nothing is owned.
fn part(amount: u64, own: u64, fair: u64) -> u64 {
    if fair == 0 {
        return 0;
    }
    let part = u128::from(amount) * u128::from(own) / u128::from(fair);
    u64::try_from(part).unwrap_or(u64::MAX)
}
