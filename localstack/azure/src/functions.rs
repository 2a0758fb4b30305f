//! The Functions host for one app with a custom handler: queue and timer triggers, one process.
//!
//! Invariant: triggers run only while the handler accepts connections, so a handler that is being restarted
//! costs a message at most the one try that was under way.

mod app;
mod endpoints_file;
mod handler_process;
mod invocation;
mod queue_trigger;
mod schedule;
mod timer_trigger;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use app::{App, Trigger};
use handler_process::HandlerProcess;
use invocation::{FunctionCounts, Invoker};
use queue_trigger::QueueTrigger;

use crate::{StartError, config, storage::StorageAccount};

/// How long a stop waits for invocations under way before the handler is terminated.
const DRAIN: Duration = Duration::from_secs(5);
/// How long the stop then waits for their messages to be given back.
const AFTERMATH: Duration = Duration::from_secs(2);

pub(crate) struct FunctionsHost {
    functions: Vec<(String, Arc<FunctionCounts>)>,
    process: Arc<HandlerProcess>,
    stop_triggers: watch::Sender<bool>,
    stop_process: watch::Sender<bool>,
}

/// The host's tasks, kept apart from what the status page shares.
#[derive(Default)]
pub(crate) struct HostTasks {
    triggers: JoinSet<()>,
    process: JoinSet<()>,
}

impl FunctionsHost {
    /// Reads the app, starts the handler and the triggers.
    pub(crate) async fn start(
        settings: &config::Functions,
        state_dir: &std::path::Path,
        endpoints_file: Option<PathBuf>,
        http: reqwest::Client,
        account: Arc<StorageAccount>,
    ) -> Result<(Self, HostTasks), StartError> {
        let app = App::read(&settings.app_dir, &settings.app_settings)?;
        let process = Arc::new(HandlerProcess::new(&app, settings, state_dir, endpoints_file).await?);
        let (stop_triggers, _) = watch::channel(false);
        let (stop_process, _) = watch::channel(false);
        let mut tasks = HostTasks::default();
        let supervised = Arc::clone(&process).supervise(stop_process.subscribe());
        tasks.process.spawn(supervised);

        let mut functions = Vec::new();
        for function in app.functions {
            let counts = Arc::new(FunctionCounts::default());
            functions.push((function.name.clone(), Arc::clone(&counts)));
            let invoker = Invoker::new(http.clone(), process.port(), function.name.clone(), counts);
            let (accepting, stop) = (process.accepting(), stop_triggers.subscribe());
            match function.trigger {
                Trigger::Queue { binding, queue } => {
                    let trigger = QueueTrigger {
                        invoker,
                        account: Arc::clone(&account),
                        binding,
                        queue,
                        settings: app.queues,
                    };
                    tasks.triggers.spawn(trigger.run(accepting, stop));
                }
                Trigger::Timer { binding, schedule } => {
                    let timer = timer_trigger::run(invoker, binding, schedule, accepting, stop);
                    tasks.triggers.spawn(timer);
                }
            }
        }
        let host = Self {
            functions,
            process,
            stop_triggers,
            stop_process,
        };
        Ok((host, tasks))
    }

    pub(crate) fn ready(&self) -> bool {
        *self.process.accepting().borrow()
    }

    /// The functions on the status page.
    pub(crate) fn function_status(&self) -> Vec<Value> {
        let status = |(name, counts): &(String, Arc<FunctionCounts>)| {
            json!({
                "name": name,
                "invocations": counts.invocations.load(Relaxed),
                "failures": counts.failures.load(Relaxed),
                "poisoned": counts.poisoned.load(Relaxed),
            })
        };
        self.functions.iter().map(status).collect()
    }

    /// The handler on the status page.
    pub(crate) fn handler_status(&self) -> Value {
        json!({ "pid": self.process.pid(), "restarts": self.process.restarts() })
    }

    /// Lets invocations under way end, then terminates the handler.
    pub(crate) async fn stop(&self, mut tasks: HostTasks) {
        self.stop_triggers.send_replace(true);
        if timeout(DRAIN, ended(&mut tasks.triggers)).await.is_err() {
            tracing::warn!("invocations under way were cut off; their messages show again");
        }
        self.stop_process.send_replace(true);
        ended(&mut tasks.process).await;
        // What the handler's end cut off still has to be shown again in its queue.
        drop(timeout(AFTERMATH, ended(&mut tasks.triggers)).await);
    }
}

async fn ended(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}
