//! What each branch and pool of a tree owns: the first stage of the division, from the root down.

use super::super::{Claim, Filling, division::fair::Fair};
use super::{BranchDivision, BranchIndex, Children, Content, Tree, TreeDivision};

/// The amounts up to which a branch is filled, one rung after the other, from least to most: its floors as far as its min goes, its
/// min, its floors, what it asks for the minima inside it, and the most that it can own.
#[derive(Clone, Copy, Debug, Default)]
struct Ladder([u64; 5]);

/// What is inside a branch, together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Inside {
    pods: usize,
    floor: u64,
    /// What it asks for, for minima.
    asked: u64,
    most: u64,
}

/// The buffers of the first stage.
#[derive(Debug, Default)]
pub(super) struct Owning {
    fair: Fair,
    children: Children,
    inside: Vec<Inside>,
    /// The pools that are divided anew, whatever they own.
    fresh: Vec<bool>,
    ladders: Vec<Ladder>,
    filled: Vec<usize>,
    claims: Vec<Claim>,
    shares: Vec<u64>,
}

impl Owning {
    /// Gives each branch, pool, member and pod its fair share.
    ///
    /// For each child c with pods, from the pools up (f_c: the sum of floors; for a pool, "inside" are its members' `lo` and `hi`):
    ///
    /// ```text
    /// hi = max(f, min(max, sum of hi inside))        p = min(hi, min)
    /// e  = max(f, min(hi, max(p, sum of e inside, if it is expandable)))
    /// ```
    ///
    /// From the root down, with R what the parent owns, and the rungs min(p, f), p, max(p, f), e, hi:
    ///
    /// ```text
    /// fair = fill(weight, rung j, rung j + 1, R)     for the first j with R <= sum of rung j + 1, else the last
    /// ```
    ///
    /// So neither floors nor what others ask for their own minima takes a promised min.
    pub fn own(&mut self, filling: &mut Filling, tree: &mut Tree, division: &mut TreeDivision) {
        tree.children(&mut self.children);
        division.branches.resize_with(tree.branches.len(), BranchDivision::default);
        self.climb(tree, division);
        let (capacity, branches) = (tree.capacity, tree.branches.len());
        division.overcommitted = self.fill(filling, tree, None, capacity, division);
        for i in 0..branches {
            let fair = division.branches[i].fair;
            if self.inside[i].pods == 0 {
                let inside = division.branches[i].inside;
                division.branches[i] = BranchDivision { inside, ..BranchDivision::default() };
                continue;
            }
            division.branches[i].too_small = fair < self.inside[i].floor;
            division.branches[i].overcommitted = match &mut tree.branches[i].content {
                Content::Branches { .. } => {
                    self.fill(filling, tree, Some(BranchIndex(i)), fair, division)
                }
                Content::Pool { pool, .. } => {
                    if self.fresh[i] || pool.capacity != fair {
                        pool.capacity = fair;
                        self.fair.divide(filling, pool, &mut division.branches[i].pool);
                    }
                    false
                }
            };
        }
    }

    /// Works out the ladders, from the pools up.
    fn climb(&mut self, tree: &mut Tree, division: &mut TreeDivision) {
        self.inside.clear();
        self.inside.resize(tree.branches.len(), Inside::default());
        self.fresh.clear();
        self.fresh.resize(tree.branches.len(), false);
        self.ladders.clear();
        self.ladders.resize(tree.branches.len(), Ladder::default());
        for (i, branch) in tree.branches.iter_mut().enumerate().rev() {
            if let Content::Pool { pool, floor } = &mut branch.content {
                self.inside[i] = *division.branches[i].inside.get_or_insert_with(|| {
                    self.fresh[i] = true;
                    // What it could own of any capacity.
                    pool.capacity = u64::MAX;
                    let bounds = self.fair.bounds(pool);
                    Inside {
                        pods: pool.pods.len(),
                        floor: *floor,
                        asked: bounds.iter().map(|claim| claim.lo).fold(0, u64::saturating_add),
                        most: bounds.iter().map(|claim| claim.hi).fold(0, u64::saturating_add),
                    }
                });
            }
            let Inside { pods, floor, asked, most } = self.inside[i];
            if pods == 0 {
                continue;
            }
            let hi = floor.max(branch.max.unwrap_or(u64::MAX).min(most));
            let promised = hi.min(branch.min);
            let asked = if branch.expandable { promised.max(asked) } else { promised };
            let asked = floor.max(hi.min(asked));
            let rungs = [promised.min(floor), promised, promised.max(floor), asked, hi];
            self.ladders[i] = Ladder(rungs);
            if let Some(parent) = branch.parent {
                let parent = &mut self.inside[parent.0];
                parent.pods += pods;
                parent.floor = parent.floor.saturating_add(floor);
                parent.asked = parent.asked.saturating_add(asked);
                parent.most = parent.most.saturating_add(hi);
            }
        }
    }

    /// Fills the children of a branch with what it owns. Returns whether what they are promised exceeds that.
    fn fill(
        &mut self,
        filling: &mut Filling,
        tree: &Tree,
        parent: Option<BranchIndex>,
        owned: u64,
        division: &mut TreeDivision,
    ) -> bool {
        self.filled.clear();
        let with_pods = |child: &usize| self.inside[*child].pods > 0;
        self.filled.extend(self.children.of(parent).iter().copied().filter(with_pods));
        let sum = |rung: usize| {
            self.filled.iter().map(|&child| u128::from(self.ladders[child].0[rung])).sum::<u128>()
        };
        let reaches = |rung: &usize| u128::from(owned) <= sum(rung + 1);
        let rung = (0..3).find(reaches).unwrap_or(3);
        self.claims.clear();
        self.claims.extend(self.filled.iter().map(|&child| {
            let Ladder(rungs) = self.ladders[child];
            let lo = rungs[rung];
            // More than there is makes no difference, but may be more than can be reckoned with.
            let hi = rungs[rung + 1].min(owned).max(lo);
            Claim { weight: tree.branches[child].weight, lo, hi }
        }));
        let overcommitted = sum(1) > u128::from(owned);
        filling.fill(&self.claims, owned, &mut self.shares);
        for (&child, &fair) in self.filled.iter().zip(&self.shares) {
            division.branches[child].fair = fair;
        }
        overcommitted
    }
}
