//! The queue trigger: takes messages, invokes, deletes, shows again or moves to the poison queue.
//!
//! Invariant: a message is deleted only after its invocation succeeded or its copy lies in the poison queue. The
//! real host hides a message for ten minutes and renews that while the invocation runs; this one hides it a little
//! longer than an invocation may take, which excludes two invocations at once just as well and gives a message
//! back within seconds when this program is killed.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    app::QueueSettings,
    invocation::{self, Invoker},
};
use crate::storage::{QueueMessage, StorageAccount, StorageError};

/// How long taken messages stay hidden: an invocation's timeout and time to delete.
const HOLD: Duration = Duration::from_secs(invocation::TIMEOUT.as_secs() + 5);
/// Pause after the first empty poll, doubled up to the second.
const POLL_MIN: Duration = Duration::from_millis(100);
const POLL_MAX: Duration = Duration::from_millis(500);

pub(crate) struct QueueTrigger {
    pub(super) invoker: Invoker,
    pub(super) account: Arc<StorageAccount>,
    pub(super) binding: String,
    pub(super) queue: String,
    pub(super) settings: QueueSettings,
}

impl QueueTrigger {
    pub(crate) async fn run(self, mut accepting: watch::Receiver<bool>, mut stop: watch::Receiver<bool>) {
        let this = Arc::new(self);
        let mut under_way = JoinSet::new();
        let mut pause = POLL_MIN;
        let pause_max = POLL_MAX.min(this.settings.max_polling_interval).max(POLL_MIN);
        while !*stop.borrow() {
            tokio::select! {
                opened = accepting.wait_for(|accepting| *accepting) => if opened.is_err() { break },
                _ = stop.changed() => break,
            }
            while under_way.len() > this.settings.new_batch_threshold {
                under_way.join_next().await;
            }
            let messages = this.poll().await;
            if messages.is_empty() {
                drop(timeout(pause, stop.changed()).await);
                pause = (pause * 2).min(pause_max);
            } else {
                pause = POLL_MIN;
            }
            for message in messages {
                under_way.spawn(Arc::clone(&this).process(message));
            }
            while under_way.try_join_next().is_some() {}
        }
        while under_way.join_next().await.is_some() {}
    }

    async fn poll(&self) -> Vec<QueueMessage> {
        let batch = self.settings.batch_size;
        match self.account.get_messages(&self.queue, batch, HOLD).await {
            Ok(messages) => messages,
            // The host does not create a trigger's queue and waits for it.
            Err(StorageError::Refused { status: 404, .. }) => Vec::new(),
            Err(error) => {
                tracing::warn!(queue = self.queue, %error, "the queue cannot be polled");
                sleep(POLL_MAX).await;
                Vec::new()
            }
        }
    }

    async fn process(self: Arc<Self>, message: QueueMessage) {
        // More tries than allowed happen when the host died before it could move the message.
        if message.dequeue_count > self.settings.max_dequeue_count {
            return self.poison(&message).await;
        }
        let text = if self.settings.base64 {
            decode(&message.text)
        } else {
            Some(message.text.clone())
        };
        let Some(text) = text else {
            let (queue, message_id) = (&self.queue, &message.id);
            tracing::warn!(queue, message_id, "a message is not base64 of UTF-8");
            return self.poison(&message).await;
        };
        let body = invocation::queue_body(&self.invoker.function, &self.binding, &message, &text);
        match self.invoker.invoke(&body).await {
            Ok(()) => self.report("delete", self.account.delete_message(&self.queue, &message).await),
            Err(_) if message.dequeue_count >= self.settings.max_dequeue_count => self.poison(&message).await,
            Err(_) => {
                let pause = self.settings.visibility_timeout;
                let shown = self.account.show_message_after(&self.queue, &message, pause);
                self.report("show again", shown.await);
            }
        }
    }

    async fn poison(&self, message: &QueueMessage) {
        let poison = format!("{}-poison", self.queue);
        let text = escape(&message.text);
        let mut copied = self.account.put_message(&poison, &text).await;
        if copied.as_ref().is_err_and(|error| error.status() == Some(404)) {
            self.report("create", self.account.create_queue(&poison).await);
            copied = self.account.put_message(&poison, &text).await;
        }
        match copied {
            Ok(()) => {
                let (queue, message_id) = (&self.queue, &message.id);
                tracing::warn!(queue, poison, message_id, "message moved to the poison queue");
                self.invoker.poisoned();
                self.report("delete", self.account.delete_message(&self.queue, message).await);
            }
            Err(error) => tracing::error!(poison, %error, "a poison message stays in its queue"),
        }
    }

    fn report(&self, operation: &str, result: Result<(), StorageError>) {
        if let Err(error) = result {
            tracing::warn!(queue = self.queue, operation, %error, "the message will be seen again");
        }
    }
}

fn decode(text: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
