//! Who waits for which document to be decided.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::queue::Seq;

/// Tells those who wait for a document when it is no longer pending.
#[derive(Clone, Default)]
pub struct Finished(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    next: u64,
    documents: HashMap<Seq, HashMap<u64, oneshot::Sender<()>>>,
}

/// Ready once its document is no longer pending, as of records that are on the disk and in the index.
/// Dropping it ends the waiting.
pub struct Waiter {
    finished: Finished,
    document: Seq,
    id: u64,
    told: oneshot::Receiver<()>,
}

impl Finished {
    /// Begins to wait. Register first and look at the document's state afterwards: so nothing is missed.
    pub fn register(&self, document: Seq) -> Waiter {
        let (tell, told) = oneshot::channel();
        let mut waiting = self.waiting();
        let id = waiting.next;
        waiting.next += 1;
        waiting.documents.entry(document).or_default().insert(id, tell);
        drop(waiting);
        Waiter { finished: self.clone(), document, id, told }
    }

    /// The document is no longer pending.
    pub(crate) fn tell(&self, document: Seq) {
        let waiting = self.waiting().documents.remove(&document);
        for (_, tell) in waiting.into_iter().flatten() {
            // One who no longer waits need not be told.
            let _ = tell.send(());
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Future for Waiter {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // The sender goes only by being used: the registry lives as long as this waiter.
        Pin::new(&mut self.told).poll(context).map(|_| ())
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.finished.waiting();
        if let Some(others) = waiting.documents.get_mut(&self.document) {
            others.remove(&self.id);
            if others.is_empty() {
                waiting.documents.remove(&self.document);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_who_wait_are_told_and_forgotten() {
        let finished = Finished::default();
        let (one, two, other) = (finished.register(5), finished.register(5), finished.register(6));
        drop(two);
        finished.tell(5);
        one.await;
        assert_eq!(finished.waiting().documents.len(), 1);
        drop(other);
        assert!(finished.waiting().documents.is_empty());
        finished.tell(6);
    }
}
