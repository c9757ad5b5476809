//! The election of this process, held on a thread of its own: no computation can cost the lease.

use std::{future::Future, io, thread};

use tokio::{runtime::Builder, sync::oneshot};
use tracing::error;

use super::{Election, Lost, client::ClientError};

/// What the rest of the process sees of its election.
#[derive(Debug)]
pub struct Candidacy {
    won: oneshot::Receiver<()>,
    lost: oneshot::Receiver<Lost>,
    release: Option<oneshot::Sender<()>>,
    released: oneshot::Receiver<()>,
}

/// The other end: where the lease is taken, renewed and given back.
struct Campaign {
    won: oneshot::Sender<()>,
    lost: oneshot::Sender<Lost>,
    release: oneshot::Receiver<()>,
    released: oneshot::Sender<()>,
}

impl Candidacy {
    /// Stands for election, on a thread that does nothing else. The election is made there, and so is its client: what is
    /// made elsewhere would be served elsewhere.
    ///
    /// # Errors
    /// When there can be no such thread.
    pub fn on_a_thread<M, E>(make: M) -> io::Result<Self>
    where
        M: FnOnce() -> E + Send + 'static,
        E: Future<Output = Result<Election, ClientError>>,
    {
        let (this, campaign) = Self::new();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let stand = async || match make().await {
            Ok(election) => campaign.run(election).await,
            Err(why) => error!("{why}"),
        };
        thread::Builder::new().name("lease".to_owned()).spawn(move || runtime.block_on(stand()))?;
        Ok(this)
    }

    /// Stands for election, in a task beside others.
    #[cfg(test)]
    pub fn in_a_task(election: Election) -> Self {
        let (this, campaign) = Self::new();
        tokio::spawn(campaign.run(election));
        this
    }

    fn new() -> (Self, Campaign) {
        let (of_won, won) = oneshot::channel();
        let (of_lost, lost) = oneshot::channel();
        let (release, of_release) = oneshot::channel();
        let (of_released, released) = oneshot::channel();
        let campaign =
            Campaign { won: of_won, lost: of_lost, release: of_release, released: of_released };
        (Self { won, lost, release: Some(release), released }, campaign)
    }

    /// Waits until the lease is ours.
    ///
    /// # Errors
    /// When it never will be.
    pub async fn won(&mut self) -> Result<(), Lost> {
        (&mut self.won).await.map_err(|_| Lost::Abandoned)
    }

    /// Waits until the lease is lost.
    pub async fn lost(&mut self) -> Lost {
        (&mut self.lost).await.unwrap_or(Lost::Abandoned)
    }

    /// Gives the lease back, if it is ours. Nothing may be written after.
    pub async fn release(&mut self) {
        if let Some(release) = self.release.take()
            && release.send(()).is_ok()
        {
            // Who has ended has nothing to give back.
            let _ = (&mut self.released).await;
        }
    }
}

impl Campaign {
    /// Takes the lease and renews it, until it is lost or to be given back. When no caller is left, it ends as if the process
    /// had.
    async fn run(mut self, mut election: Election) {
        let to_release = tokio::select! {
            biased;
            to_release = &mut self.release => to_release.is_ok(),
            lost = async {
                election.win().await;
                // Who waited may have left meanwhile: then the other branch ends this.
                let _ = self.won.send(());
                election.hold().await
            } => {
                let _ = self.lost.send(lost);
                return;
            }
        };
        if to_release {
            election.release().await;
            let _ = self.released.send(());
        }
    }
}
