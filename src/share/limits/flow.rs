//! Maximum flow from members to nodes, by Dinic's algorithm, and the minimum cut where it falls short.

/// What members may put on nodes. A vertex is a member or, after all members, a node.
///
/// Amounts are multiplied by the `scale` of a run, so that a share at a level that is a fraction is whole.
#[derive(Debug, Default)]
pub(super) struct Network {
    members: u32,
    /// The most that flows on an arc.
    caps: Vec<u64>,
    /// The arcs at each vertex: its own are `near[start[v]..start[v + 1]]`.
    start: Vec<u32>,
    near: Vec<Near>,
    /// The part of the network that a vertex is in. Nothing flows between parts.
    side: Vec<u32>,
    sides: u32,
    /// What a node has room for, and what a member can put where nothing limits it.
    room: Vec<u64>,

    scale: u128,
    sources: Vec<u32>,
    /// How many arcs at a vertex have no flow yet, and the vertices with one such.
    open: Vec<u32>,
    leaves: Vec<u32>,
    /// What of its demand a member has not placed yet.
    pub lack: Vec<u128>,
    /// What is left of the room.
    pub spare: Vec<u128>,
    /// What flows on an arc.
    pub flow: Vec<u128>,
    /// `clock` plus the distance that was measured; less than `clock` where a vertex was not reached.
    mark: Vec<u64>,
    clock: u64,
    next: Vec<u32>,
    /// What the last search reached: where it found no way, the source's side of the minimum cut.
    reached: Vec<u32>,
    path: Vec<Near>,
}

#[derive(Clone, Copy, Debug)]
struct Near {
    arc: u32,
    /// The vertex at the other end.
    to: u32,
}

/// In place of a flow: not chosen yet.
const OPEN: u128 = u128::MAX;

impl Network {
    /// Lays out a network: the room of the members, then of the nodes, and `arcs` as (member, node, most), by
    /// member.
    pub fn build(
        &mut self,
        members: usize,
        rooms: impl Iterator<Item = u64>,
        arcs: impl Iterator<Item = (u32, u32, u64)> + Clone,
    ) {
        self.room.clear();
        self.room.extend(rooms);
        let vertices = self.room.len();
        self.members = members as u32;
        self.caps.clear();
        self.start.clear();
        self.start.resize(vertices + 1, 0);
        for (member, node, most) in arcs.clone() {
            self.caps.push(most);
            for vertex in [member, self.members + node] {
                self.start[vertex as usize + 1] += 1;
            }
        }
        for vertex in 0..vertices {
            self.start[vertex + 1] += self.start[vertex];
        }
        self.next.clear();
        self.next.extend_from_slice(&self.start[..vertices]);
        self.near.clear();
        self.near.resize(2 * self.caps.len(), Near { arc: 0, to: 0 });
        for (arc, (member, node, _)) in arcs.enumerate() {
            let node = self.members + node;
            for (vertex, to) in [(member, node), (node, member)] {
                let place = &mut self.next[vertex as usize];
                self.near[*place as usize] = Near { arc: arc as u32, to };
                *place += 1;
            }
        }
        for amounts in [&mut self.lack, &mut self.spare] {
            amounts.clear();
            amounts.resize(vertices, 0);
        }
        self.flow.clear();
        self.flow.resize(self.caps.len(), 0);
        self.mark.clear();
        self.mark.resize(vertices, 0);
        self.clock = 1;
        for counts in [&mut self.side, &mut self.open] {
            counts.clear();
            counts.resize(vertices, 0);
        }
        self.sides = 0;
    }

    /// Starts a run in which each of some members, all of a part of the network, places an amount. Places what
    /// finds room at once: first what can be nowhere else, so that where there are no cycles nothing remains
    /// to be moved (Karp and Sipser, 1981, for matchings).
    pub fn start(&mut self, scale: u64, demands: impl Iterator<Item = (u32, u128)>) {
        self.scale = u128::from(scale);
        self.sources.clear();
        for (member, amount) in demands {
            self.sources.push(member);
            // What nothing limits comes first.
            let room = u128::from(self.room[member as usize]) * self.scale;
            let placed = amount.min(room);
            self.lack[member as usize] = amount - placed;
            self.spare[member as usize] = room - placed;
            for at in self.around(member) {
                let Near { arc, to } = self.near[at];
                if self.is_open(member, to) {
                    self.flow[arc as usize] = OPEN;
                    self.spare[to as usize] = u128::from(self.room[to as usize]) * self.scale;
                    self.open[member as usize] += 1;
                    self.open[to as usize] += 1;
                }
            }
        }
        self.leaves.clear();
        for &member in &self.sources {
            let around = self.around(member).map(|at| self.near[at].to);
            let leaves = around.chain([member]).filter(|&vertex| self.open[vertex as usize] == 1);
            self.leaves.extend(leaves);
        }
        for source in 0..self.sources.len() {
            while let Some(leaf) = self.leaves.pop() {
                self.fill_around(leaf);
            }
            self.fill_around(self.sources[source]);
        }
    }

    /// Chooses the flow on the open arcs at a vertex: on each as much as possible.
    fn fill_around(&mut self, vertex: u32) {
        for at in self.around(vertex) {
            let Near { arc, to } = self.near[at];
            if self.flow[arc as usize] == OPEN {
                let (member, node) =
                    if vertex < self.members { (vertex, to) } else { (to, vertex) };
                let most = u128::from(self.caps[arc as usize]) * self.scale;
                let lack = &mut self.lack[member as usize];
                let spare = &mut self.spare[node as usize];
                let placed = most.min(*lack).min(*spare);
                self.flow[arc as usize] = placed;
                *lack -= placed;
                *spare -= placed;
                for end in [vertex, to] {
                    self.open[end as usize] -= 1;
                }
                if self.open[to as usize] == 1 {
                    self.leaves.push(to);
                }
            }
        }
    }

    /// Goes on with all members from what `flow`, `spare` and `lack` will say, at scale one.
    pub fn resume(&mut self) {
        self.scale = 1;
        self.sources.clear();
        self.sources.extend(0..self.members);
    }

    /// Places one more unit of a member, at scale one. Where there is no room for it, what was searched in vain
    /// is closed: nothing finds room there any more.
    pub fn place_one(&mut self, member: u32) -> bool {
        self.sources.clear();
        self.sources.push(member);
        self.lack[member as usize] = 1;
        let placed = self.push();
        if !placed {
            self.part();
            self.lack[member as usize] = 0;
        }
        placed
    }

    fn around(&self, vertex: u32) -> std::ops::Range<usize> {
        self.start[vertex as usize] as usize..self.start[vertex as usize + 1] as usize
    }

    /// Places what the members lack, as much as can be. Returns whether that is all; if not, `reached` is the
    /// smallest set that together cannot place more.
    ///
    /// Each turn measures distances and places along shortest paths, in Dinic's way, but to whatever they lead. A
    /// turn that measures from those that lack serves a few of them that are far from much room, one that
    /// measures from the room many that are far from little; so they alternate.
    pub fn push(&mut self) -> bool {
        let mut back = false;
        loop {
            self.measure(back);
            let found = self.reached.iter().any(|&vertex| self.spare[vertex as usize] > 0);
            if !back && !found {
                return self.reached.is_empty();
            }
            for source in 0..self.sources.len() {
                self.place(self.sources[source], back);
            }
            // The room around one source alone is not known.
            back = !back && self.sources.len() > 1;
        }
    }

    /// Measures how far each vertex is from a member that lacks something, or back from one with something to
    /// spare.
    fn measure(&mut self, back: bool) {
        self.clock += self.room.len() as u64;
        self.reached.clear();
        for source in 0..self.sources.len() {
            let member = self.sources[source];
            let amount = if back { &self.spare } else { &self.lack }[member as usize];
            if amount > 0 {
                self.reach(member, self.clock);
            }
            for at in self.around(member).filter(|_| back) {
                let to = self.near[at].to;
                if self.is_open(member, to) && self.spare[to as usize] > 0 {
                    self.reach(to, self.clock);
                }
            }
        }
        let mut head = 0;
        while let Some(&vertex) = self.reached.get(head) {
            head += 1;
            if self.sources.len() == 1 && self.spare[vertex as usize] > 0 {
                // The nearest will do for one.
                break;
            }
            let mark = self.mark[vertex as usize] + 1;
            for at in self.around(vertex) {
                let Near { arc, to } = self.near[at];
                if !self.is_reached(to)
                    && self.is_open(vertex, to)
                    && self.can(if back { to } else { vertex }, arc) > 0
                {
                    self.reach(to, mark);
                }
            }
        }
    }

    /// Marks a vertex as reached, unless it is.
    fn reach(&mut self, vertex: u32, mark: u64) {
        if !self.is_reached(vertex) {
            self.mark[vertex as usize] = mark;
            self.next[vertex as usize] = self.start[vertex as usize];
            self.reached.push(vertex);
        }
    }

    /// What could still go from a vertex along an arc: on to a node, or back from one to a member.
    fn can(&self, from: u32, arc: u32) -> u128 {
        let flow = self.flow[arc as usize];
        if from < self.members {
            u128::from(self.caps[arc as usize]) * self.scale - flow
        } else {
            flow
        }
    }

    /// Places what a member lacks along shortest paths, until there are none left from it.
    fn place(&mut self, source: u32, back: bool) {
        self.path.clear();
        let mut vertex = source;
        while self.lack[source as usize] > 0 {
            if self.spare[vertex as usize] > 0 {
                self.carry(source, vertex);
                self.path.clear();
                vertex = source;
                continue;
            }
            let end = self.start[vertex as usize + 1];
            let next = loop {
                let at = self.next[vertex as usize];
                if at == end {
                    break None;
                }
                let near = self.near[at as usize];
                let (here, there) = (self.mark[vertex as usize], self.mark[near.to as usize]);
                if (if back { there + 1 == here } else { here + 1 == there })
                    && self.is_open(vertex, near.to)
                    && self.can(vertex, near.arc) > 0
                {
                    break Some(near);
                }
                self.next[vertex as usize] += 1;
            };
            if let Some(near) = next {
                self.path.push(Near { arc: near.arc, to: vertex });
                vertex = near.to;
            } else {
                let Some(back) = self.path.pop() else { return };
                vertex = back.to;
                self.next[vertex as usize] += 1;
            }
        }
    }

    /// Moves as much as the path allows from a member that lacks it to a vertex that has it to spare.
    fn carry(&mut self, source: u32, last: u32) {
        let ends = self.lack[source as usize].min(self.spare[last as usize]);
        let amount = self.path.iter().map(|step| self.can(step.to, step.arc)).fold(ends, u128::min);
        for step in &self.path {
            let flow = &mut self.flow[step.arc as usize];
            if step.to < self.members {
                *flow += amount;
            } else {
                *flow -= amount;
            }
        }
        self.lack[source as usize] -= amount;
        self.spare[last as usize] -= amount;
    }

    /// Parts what was reached from the rest: on the arcs from its members to other nodes flows the most, on
    /// those from other members to its nodes nothing, for good. Returns what its members hold together.
    pub fn part(&mut self) -> u64 {
        self.sides += 1;
        for at in 0..self.reached.len() {
            let vertex = self.reached[at];
            for near in self.around(vertex) {
                let Near { arc, to } = self.near[near];
                if self.is_reached(to) || !self.is_open(vertex, to) {
                    continue;
                }
                let most = if vertex < self.members { self.caps[arc as usize] } else { 0 };
                self.flow[arc as usize] = u128::from(most);
                self.room[vertex as usize] += most;
                self.room[to as usize] -= most;
            }
        }
        for &vertex in &self.reached {
            self.side[vertex as usize] = self.sides;
        }
        self.reached.iter().map(|&vertex| self.room[vertex as usize]).sum()
    }

    /// The arcs to a node.
    pub fn arcs_at(&self, node: u32) -> impl Iterator<Item = u32> {
        self.near[self.around(self.members + node)].iter().map(|near| near.arc)
    }

    /// Whether two neighbours are in one part of the network.
    fn is_open(&self, vertex: u32, to: u32) -> bool {
        self.side[vertex as usize] == self.side[to as usize]
    }

    /// What flows from a member to a node along an arc, if their parts of the network settle that.
    pub fn settled(&self, arc: usize, member: u32, node: u32) -> Option<u64> {
        (!self.is_open(member, self.members + node)).then(|| self.flow[arc] as u64)
    }

    /// What the last search reached.
    pub fn reached(&self) -> &[u32] {
        &self.reached
    }

    /// Whether the last search reached a vertex.
    pub fn is_reached(&self, vertex: u32) -> bool {
        self.mark[vertex as usize] >= self.clock
    }
}
