//! Share groups on this node: the share coordinators, one for each partition of `__share_group_state` that it leads, and the
//! share partitions, one for each group and partition that members fetch here.

mod clock;
mod coordinators;
mod partition;
mod partitions;
mod remote;

pub(crate) use coordinators::ShareCoordinators;
pub(crate) use partition::{Delivered, Fetching, Refused, ShareState};
pub(crate) use partitions::SharePartitions;
