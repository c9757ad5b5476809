//! One decision for all pools: membership -> weights -> division -> stabilization -> pacing -> status.
//!
//! Pure: what is remembered is passed in, and so is the time. The cost grows with what changed, not with what there is:
//! pools for which nothing changed keep their part of the last plan.

mod backoff;
mod capacity;
mod clock_watch;
mod coarse_weights;
mod conditions;
mod container_limits;
mod decide;
mod deletion;
mod departed;
mod division;
mod division_input;
mod dynamic_weights;
mod exclusions;
mod field_conflicts;
mod forest;
mod grants;
mod growth;
mod history;
mod hotplug;
mod member_pod;
mod member_state;
mod membership;
mod memory_floor;
mod new_pods;
mod node_rooms;
mod notices;
mod pacing;
mod pending_pods;
mod plan;
mod pod_state;
mod pool_members;
mod pool_plan;
mod preview;
mod quotas;
mod ranges;
mod reclaim_latency;
mod remembered;
mod resize;
mod restore;
mod shares;
mod stabilize;
mod status;
mod status_size;
#[cfg(test)]
mod tests;
mod tree_division;
mod tree_plan;
mod tree_room;
mod tree_status;
mod tree_weight;
mod view;

pub use capacity::Capacity;
pub use coarse_weights::{CoarseWeight, coarse_weights};
pub use decide::Engine;
pub use deletion::Orphans;
pub use history::History;
pub use member_pod::MemberPod;
pub use member_state::{MemberReport, of_member};
pub use membership::Membership;
pub use notices::Notice;
pub use plan::{Deletion, Hotplug, Plan, Plugged, PoolPlan, PoolRef, Used};
pub use pod_state::of_pod;
pub use pool_members::{MemberPods, PoolMembers};
pub use pool_plan::FINALIZER;
pub use preview::{DividedPool, Divisions, Preview, TreePreview, together};
pub use remembered::{Granted, Remembered, RememberedPod};
pub use resize::{ContainerResize, Outcome, PodResize, Refusal, RefusalKind};
pub use shares::{Divided, MemberShare, PodShare, Shares};
pub use status::status;
pub use tree_plan::TreePlan;
pub use view::{Now, View};
