//! The custom handler's process: started, watched, started again, terminated.
//!
//! Invariants: at most one handler runs, also after this program itself was killed (the process it left is
//! ended first); triggers take the handler for ready only while this very process is.

use std::{
    fs::{File, OpenOptions},
    io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    net::TcpStream,
    process::{Child, Command},
    sync::watch,
    time::{sleep, timeout},
};

use super::{app::App, endpoints_file};
use crate::{StartError, config, system};

/// Pauses between restarts, doubled from the first to the last, and back to the first after a good while.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
const GOOD_WHILE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(10);
/// How long a handler may take to end, and the port to become free.
const GRACE: Duration = Duration::from_secs(5);

/// The handler, whichever process it is at the moment.
pub(crate) struct HandlerProcess {
    executable: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    port: u16,
    log_file: PathBuf,
    pid_file: PathBuf,
    endpoints_file: Option<PathBuf>,
    pid: AtomicU32,
    restarts: AtomicU64,
    accepting: watch::Sender<bool>,
}

impl HandlerProcess {
    /// Prepares folders and port, and ends a handler that an earlier run left behind.
    pub(crate) async fn new(
        app: &App,
        settings: &config::Functions,
        state_dir: &Path,
        endpoints_file: Option<PathBuf>,
    ) -> Result<Self, StartError> {
        let logs = state_dir.parent().unwrap_or(state_dir).join("logs");
        let unusable = |why| StartError::unreadable(&logs, why);
        std::fs::create_dir_all(&logs).map_err(unusable)?;
        let port = match settings.handler_port {
            0 => free_port().map_err(unusable)?,
            port => port,
        };
        let own = [
            ("FUNCTIONS_CUSTOMHANDLER_PORT".to_owned(), port.to_string()),
            ("FUNCTIONS_WORKER_RUNTIME".to_owned(), "custom".to_owned()),
        ];
        let environment = settings.app_settings.clone().into_iter().chain(own).collect();
        let process = Self {
            executable: app.executable.clone(),
            arguments: app.arguments.clone(),
            folder: app.folder.clone(),
            environment,
            port,
            log_file: logs.join("azure-participant.log"),
            pid_file: state_dir.join("handler.pid"),
            endpoints_file,
            pid: AtomicU32::new(0),
            restarts: AtomicU64::new(0),
            accepting: watch::channel(false).0,
        };
        process.end_leftover().await;
        Ok(process)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        Some(self.pid.load(Relaxed)).filter(|pid| *pid != 0)
    }

    pub(crate) fn restarts(&self) -> u64 {
        self.restarts.load(Relaxed)
    }

    /// Whether the handler accepts connections, to be watched.
    pub(crate) fn accepting(&self) -> watch::Receiver<bool> {
        self.accepting.subscribe()
    }

    /// Keeps a handler running until it is stopped, then terminates it.
    pub(crate) async fn supervise(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut backoff = BACKOFF_MIN;
        loop {
            let started = system::instant();
            match self.start().await {
                Ok(mut child) => {
                    let ended = tokio::select! {
                        ended = self.watch(&mut child) => Some(ended),
                        _ = stop.wait_for(|stop| *stop) => None,
                    };
                    self.accepting.send_replace(false);
                    let Some(ended) = ended else {
                        return self.terminate(&mut child).await;
                    };
                    self.pid.store(0, Relaxed);
                    tracing::error!(status = ?ended.ok(), "the handler ended and is started again");
                }
                Err(error) => {
                    tracing::error!(executable = ?self.executable, %error, "the handler cannot be started")
                }
            }
            if started.elapsed() > GOOD_WHILE {
                backoff = BACKOFF_MIN;
            }
            tokio::select! {
                () = sleep(backoff) => {},
                _ = stop.wait_for(|stop| *stop) => return,
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
            self.restarts.fetch_add(1, Relaxed);
        }
    }

    async fn start(&self) -> io::Result<Child> {
        // Another program on the port would be taken for the handler.
        timeout(GRACE, async {
            while TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).is_err() {
                sleep(LOOK).await;
            }
        })
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::AddrInUse, "the handler's port is in use"))?;
        let log =
            || -> io::Result<File> { OpenOptions::new().create(true).append(true).open(&self.log_file) };
        let child = Command::new(&self.executable)
            .args(&self.arguments)
            .current_dir(&self.folder)
            .env_clear()
            .envs(system::search_path().map(|path| ("PATH", path)))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log()?)
            .stderr(log()?)
            // Its own group: an interrupt at the terminal reaches it through this program, in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().unwrap_or_default();
        self.pid.store(pid, Relaxed);
        std::fs::write(&self.pid_file, pid.to_string())?;
        if let Some(file) = &self.endpoints_file
            && let Err(error) = endpoints_file::record(file, pid)
        {
            tracing::warn!(%error, "the endpoints file does not show the handler's process id");
        }
        tracing::info!(pid, port = self.port, "handler started");
        Ok(child)
    }

    /// Tells the triggers when the handler accepts; ends with the handler.
    async fn watch(&self, child: &mut Child) -> io::Result<ExitStatus> {
        tokio::select! {
            ended = child.wait() => return ended,
            () = self.accepts() => {},
        }
        self.accepting.send_replace(true);
        tracing::info!(port = self.port, "the handler accepts connections");
        child.wait().await
    }

    async fn accepts(&self) {
        let address = (Ipv4Addr::LOCALHOST, self.port);
        while TcpStream::connect(address).await.is_err() {
            sleep(LOOK).await;
        }
    }

    async fn terminate(&self, child: &mut Child) {
        signal_group("TERM", self.pid.swap(0, Relaxed)).await;
        if timeout(GRACE, child.wait()).await.is_err() {
            tracing::warn!("the handler did not end when asked and is killed");
            drop(child.kill().await);
        }
        drop(std::fs::remove_file(&self.pid_file));
    }

    async fn end_leftover(&self) {
        let noted = std::fs::read_to_string(&self.pid_file).ok();
        let Some(pid) = noted.and_then(|text| text.trim().parse::<u32>().ok()) else {
            return;
        };
        let is_handler = |line: String| self.executable.to_str().is_some_and(|name| line.contains(name));
        if command_line(pid).await.is_some_and(is_handler) {
            tracing::warn!(pid, "a handler of an earlier run is ended");
            signal_group("KILL", pid).await;
        }
        drop(std::fs::remove_file(&self.pid_file));
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Sends a signal to a handler and its children. The shell's `kill` is used since the call itself is unsafe code.
async fn signal_group(signal: &str, pid: u32) {
    if pid == 0 {
        return;
    }
    let script = format!("kill -s {signal} -- -{pid}");
    let mut shell = Command::new("/bin/sh");
    let sent = shell.args(["-c", &script]).stderr(Stdio::null()).status().await;
    if !sent.is_ok_and(|status| status.success()) {
        tracing::warn!(pid, signal, "the handler could not be signalled");
    }
}

async fn command_line(pid: u32) -> Option<String> {
    if let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) {
        return Some(String::from_utf8_lossy(&line).into_owned());
    }
    let pid = pid.to_string();
    let ps = Command::new("ps").args(["-p", &pid, "-o", "args="]).output();
    let ps = ps.await.ok()?;
    Some(String::from_utf8_lossy(&ps.stdout).into_owned())
}
