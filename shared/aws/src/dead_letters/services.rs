//! The dead-letter queues of the callers of outside services: one source over all of them. Each service's name begins the
//! keys and the receipts of its queue.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use futures_util::future::{join_all, try_join_all};
use saga_app::dead_letters::ports::{Answer, Answers, DeadLetterQueue, Depth, Leased, Receipt, Removal};
use saga_app::ports::PortError;
use saga_wire::dead_letter::{SERVICE_SEPARATOR, Source, service_request};

use super::queue::DeadQueue;

/// The dead-letter queue of each service, by the service's name.
#[derive(Debug, Clone)]
pub struct ServiceQueues {
    queues: BTreeMap<String, DeadQueue>,
}

impl ServiceQueues {
    /// The queues at these URLs, by the names of their services.
    #[must_use]
    pub fn new(config: &SdkConfig, urls: BTreeMap<String, String>) -> Self {
        let queues = urls.into_iter().map(|(service, url)| {
            let queue = DeadQueue::new(config, url, Source::Services, service_request);
            let queue = queue.prefixed(format!("{service}{SERVICE_SEPARATOR}"));
            (service, queue)
        });
        Self {
            queues: queues.collect(),
        }
    }
}

fn service_of(receipt: &Receipt) -> &str {
    let split = receipt.message.rsplit_once(SERVICE_SEPARATOR);
    split.map_or("", |(service, _)| service)
}

impl DeadLetterQueue for ServiceQueues {
    fn source(&self) -> Source {
        Source::Services
    }

    fn depth(&self) -> Answer<'_, Depth> {
        Box::pin(async move {
            let depths = try_join_all(self.queues.values().map(DeadLetterQueue::depth)).await?;
            Ok(depths.into_iter().fold(Depth::default(), |all, one| Depth {
                visible: all.visible + one.visible,
                hidden: all.hidden + one.hidden,
            }))
        })
    }

    fn lease(&self, seconds: u32, before: usize) -> Answer<'_, Vec<Leased>> {
        Box::pin(async move {
            let (mut leased, mut failed) = (Vec::new(), None);
            let each = self.queues.values().map(|queue| queue.lease(seconds, before));
            for one in join_all(each).await {
                match one {
                    Ok(some) => leased.extend(some),
                    Err(error) => failed = Some(error),
                }
            }
            match failed {
                // What the others gave is hidden now, and must be known to be put back.
                Some(error) if leased.is_empty() => Err(error),
                _ => Ok(leased),
            }
        })
    }

    fn put_back(&self, receipts: Vec<Receipt>) -> Answer<'_, ()> {
        Box::pin(async move {
            let mut of_queues = BTreeMap::<String, Vec<Receipt>>::new();
            for receipt in receipts {
                let service = service_of(&receipt).to_owned();
                of_queues.entry(service).or_default().push(receipt);
            }
            let each = of_queues
                .into_iter()
                .filter_map(|(service, receipts)| Some(self.queues.get(&service)?.put_back(receipts)));
            // One queue that fails must not keep the others' messages hidden.
            join_all(each).await.into_iter().collect()
        })
    }

    fn remove<'a>(&'a self, receipts: Vec<&'a Receipt>) -> Answers<'a, Removal> {
        Box::pin(async move {
            let mut of_queues = BTreeMap::<&str, Vec<(usize, &Receipt)>>::new();
            for (index, receipt) in receipts.into_iter().enumerate() {
                let of_queue = of_queues.entry(service_of(receipt)).or_default();
                of_queue.push((index, receipt));
            }
            let each = of_queues.into_iter().map(async |(service, of_queue)| {
                let (indices, receipts): (Vec<usize>, Vec<&Receipt>) = of_queue.into_iter().unzip();
                let removed = match self.queues.get(service) {
                    Some(queue) => queue.remove(receipts).await,
                    None => indices.iter().map(|_| Err(unknown(service))).collect(),
                };
                indices.into_iter().zip(removed)
            });
            let removed: BTreeMap<usize, _> = join_all(each).await.into_iter().flatten().collect();
            removed.into_values().collect()
        })
    }
}

fn unknown(service: &str) -> PortError {
    let why = format!("service `{service}` has no queue here");
    PortError::unavailable("removing dead letters from their queue", why)
}
