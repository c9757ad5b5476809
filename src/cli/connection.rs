//! Which cluster a command looks at, and as which user: the options of kubectl.

use std::path::PathBuf;

use clap::Args;

use crate::runtime::Access;

/// Which cluster is asked, and as which user.
#[derive(Args, Clone, Debug, Default)]
pub struct Connection {
    /// The kubeconfig's context. Default: the current one.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// The kubeconfig. Default: $KUBECONFIG, or ~/.kube/config.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub kubeconfig: Option<PathBuf>,
    /// The user to impersonate.
    #[arg(long = "as", value_name = "USER", hide_short_help = true)]
    pub as_user: Option<String>,
    /// A group to impersonate. Repeat it for more groups.
    #[arg(long = "as-group", value_name = "GROUP", requires = "as_user", hide_short_help = true)]
    pub as_groups: Vec<String>,
}

impl Connection {
    /// What a client is made from.
    #[must_use]
    pub fn access(&self) -> Access {
        let Self { context, kubeconfig, as_user, as_groups } = self.clone();
        Access { context, kubeconfig, user: as_user, groups: as_groups }
    }
}
