//! Starts a server, layer by layer: sockets, node, statements, roles, then the threads that serve.
//!
//! The first thread does all of it, because sockets and the node's workers belong to its event
//! loop; then it accepts connections and deals them out.

use crate::admin;
use crate::admission::Admission;
use crate::auth::Authenticator;
use crate::cluster_events;
use crate::connection;
use crate::errands;
use crate::events::{self, MAX_EVENTS};
use crate::load;
use crate::metrics::Metrics;
use crate::process::Process;
use crate::registry::{Registry, View};
use crate::repair_history;
use crate::settings::{Settings, SettingsError};
use crate::shared::{Phase, Shared};
use crate::tls::{self, Certificates};
use crate::told::Told;
use crate::trace_share::TraceShare;
use crate::worker::Worker;
use dodona_cluster::gossip::state::Key;
use dodona_cluster::{ClusterError, Node, NodeSettings, membership};
use dodona_env::net::{Accepted, Listener};
use dodona_env::{Env, os, watch};
use dodona_query::{CqlError, Processor, system_tables};
use dodona_storage::StorageError;
use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::rc::Rc;
use std::sync::{Arc, mpsc as blocking};
use std::thread::JoinHandle;
use std::time::Duration;
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{broadcast, mpsc};
use tokio::task::LocalSet;

/// How long to wait after the operating system had no room for another connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// How long clients wait for a node that starts to see others: a few rounds of gossip.
const SEE_OTHERS: Duration = Duration::from_secs(3);
/// Threads for blocking work, of each serving thread.
const BLOCKING_THREADS: usize = 16;

/// Why a server did not start, and what to do about it.
#[derive(Debug, Error)]
pub enum StartError {
    /// Settings do not go together.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// An address cannot be listened on.
    #[error("cannot listen for {what} on {address}: {}", listen_advice(.source, .flag))]
    Listen {
        /// For whom.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// The flag that chooses another port.
        flag: &'static str,
        /// The operating system's error.
        source: io::Error,
    },
    /// The data directory is used by another process.
    #[error("the data directory {} is in use by another process: stop it, or choose another one with --data", .0.display())]
    InUse(std::path::PathBuf),
    /// The data directory cannot be used.
    #[error("{0}")]
    Node(#[from] ClusterError),
    /// Roles cannot be read.
    #[error("authentication cannot be used: {0}")]
    Roles(#[from] CqlError),
    /// The certificate cannot be used.
    #[error("{0}")]
    Tls(String),
    /// The operating system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

fn listen_advice(source: &io::Error, flag: &str) -> String {
    if os::is_address_taken(source) {
        format!("another process listens there: stop it, or choose another port with {flag}")
    } else {
        source.to_string()
    }
}

/// A running server.
pub struct Running {
    /// Where clients connect.
    pub native: SocketAddr,
    /// Where the HTTP service for operators is.
    pub admin: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    pub(crate) thread: JoinHandle<()>,
}

/// What the first thread tells of the start.
struct Started {
    native: SocketAddr,
    admin: SocketAddr,
    shared: Arc<Shared>,
}

/// Starts a server in `env` and returns once clients can connect. They may know of the process what it tells of itself.
///
/// # Errors
/// Why it cannot start, and what to do about it.
pub fn start(env: Env, settings: Settings, process: Process) -> Result<Running, StartError> {
    settings.check()?;
    let cores = match settings.cores {
        0 => std::thread::available_parallelism().map_or(1, NonZero::get),
        cores => cores,
    };
    let (report, reported) = blocking::sync_channel(1);
    let thread = spawn(0, move || first_thread(env, (settings, process), cores, &report))?;
    match reported.recv() {
        Ok(Ok(Started { native, admin, shared })) => Ok(Running { native, admin, shared, thread }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(StartError::Thread(io::Error::other("the first thread ended"))),
    }
}

/// Starts a thread. They are few and live as long as the server, so that no pool is needed.
fn spawn(index: usize, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    std::thread::Builder::new().name(format!("dodona-{index}")).spawn(work).map_err(StartError::Thread)
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()
}

type Report = blocking::SyncSender<Result<Started, StartError>>;

/// What a server is told.
type Asked = (Settings, Process);

fn first_thread(env: Env, asked: Asked, cores: usize, report: &Report) {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return drop(report.send(Err(StartError::Thread(error)))),
    };
    LocalSet::new().block_on(&runtime, async {
        match open(env, asked, cores).await {
            Ok(opened) => opened.serve(report).await,
            // Whoever started it waits for the report.
            Err(error) => drop(report.send(Err(error))),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
}

/// A server whose layers are open.
struct Opened {
    shared: Arc<Shared>,
    clients: Box<dyn Listener>,
    native: SocketAddr,
    admin: SocketAddr,
    queues: Vec<mpsc::UnboundedSender<Accepted>>,
    own_queue: mpsc::UnboundedReceiver<Accepted>,
    /// Closed once all other threads have ended.
    others: mpsc::Receiver<()>,
}

async fn open(env: Env, (settings, process): Asked, cores: usize) -> Result<Opened, StartError> {
    let (clients, native) = listen(&env, settings.native(), "clients", "--port").await?;
    let (operators, admin) =
        listen(&env, settings.administration(), "administration", "--admin-port").await?;
    let certificates = Arc::new(Certificates::open(&env, &settings).map_err(StartError::Tls)?);
    if settings.internode_tls_optional {
        tracing::warn!(
            "internode_tls_optional is set: nodes without TLS are spoken with, until it is not any more"
        );
    }
    env.tasks.spawn_local(tls::follow_files(Arc::clone(&certificates), env.tasks.clone(), tls::LOOK_PERIOD));
    let node_settings = NodeSettings { internode_tls: certificates.nodes(), ..settings.node(native.port()) };
    let failed = |error| match error {
        ClusterError::Storage(StorageError::InUse) => StartError::InUse(settings.data.clone()),
        other => other.into(),
    };
    membership::enter(&env, &node_settings).await.map_err(failed)?;
    let node = Node::start(env, node_settings, system_tables::builtin()).map_err(failed)?;
    node.restore().await?;
    node.refuse_old_data().await?;
    node.refuse_wrong_clock().await?;
    node.spawn_workers();
    let processor = Processor::new(Arc::clone(&node));
    processor.set_batch_bounds(settings.batch_bounds());
    processor.set_guardrails(settings.guardrails.clone());
    let registry = Arc::<Registry>::default();
    let metrics = Metrics::new(cores);
    processor.set_server_view(Box::new(View {
        registry: Arc::clone(&registry),
        settings: settings.clone(),
        metrics: metrics.clone(),
        process,
    }));
    let authenticator = Authenticator::new(settings.authenticator);
    let (errands, inbox) = errands::channel();
    node.env.tasks.spawn_local(inbox.serve(node.env.tasks.clone()));
    let shared = Arc::new(Shared {
        admission: Admission::new(
            settings.bytes_in_flight(),
            settings.max_bytes_in_flight_per_connection.min(settings.bytes_in_flight()),
        ),
        registry,
        errands,
        metrics,
        settings,
        node,
        processor,
        authenticator,
        certificates,
        trace_share: TraceShare::default(),
        told: Told::default(),
        events: broadcast::channel(MAX_EVENTS).0,
        phase: watch::channel(Phase::Starting).0,
        failure: watch::channel(None).0,
    });
    shared.node.env.tasks.spawn_local(admin::serve(Arc::clone(&shared), operators));
    get_ready(&shared).await?;
    let (own, own_queue) = mpsc::unbounded_channel();
    let (alive, others) = mpsc::channel(1);
    let mut queues = vec![own];
    for index in 1..cores {
        queues.push(other_thread(&shared, index, alive.clone())?);
    }
    Ok(Opened { shared, clients, native, admin, queues, own_queue, others })
}

/// Has the node become a full member, and prepares what clients need.
async fn get_ready(shared: &Shared) -> Result<(), StartError> {
    let Shared { node, processor, .. } = shared;
    node.settle().await?;
    processor.spawn_workers();
    shared.authenticator.prepare(node, processor).await?;
    processor.load_statements().await?;
    node.see_others(SEE_OTHERS).await;
    Ok(())
}

async fn listen(
    env: &Env,
    address: SocketAddr,
    what: &'static str,
    flag: &'static str,
) -> Result<(Box<dyn Listener>, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { what, address, flag, source };
    let listener = env.net.listen(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn other_thread(
    shared: &Arc<Shared>,
    index: usize,
    alive: mpsc::Sender<()>,
) -> Result<mpsc::UnboundedSender<Accepted>, StartError> {
    let (queue, accepted) = mpsc::unbounded_channel();
    let shared = Arc::clone(shared);
    let work = move || match runtime() {
        Ok(runtime) => {
            let worker = Worker::new(Arc::clone(&shared), index);
            LocalSet::new().block_on(&runtime, serve(worker, accepted));
            runtime.shutdown_timeout(Duration::from_secs(1));
            drop(alive);
        }
        Err(error) => shared.fail(&format!("cannot start a thread: {error}")),
    };
    spawn(index, work)?;
    Ok(queue)
}

impl Opened {
    async fn serve(self, report: &Report) {
        let Self { shared, clients, native, admin, queues, own_queue, mut others } = self;
        let tasks = shared.node.env.tasks.clone();
        tasks.spawn_local(follow_failure(Arc::clone(&shared)));
        tasks.spawn_local(cluster_events::follow_schema(Arc::clone(&shared)));
        tasks.spawn_local(cluster_events::follow_members(Arc::clone(&shared)));
        tasks.spawn_local(repair_history::keep(Arc::clone(&shared)));
        tasks.spawn_local(admin::go_on(Arc::clone(&shared)));
        shared.node.gossiper.set(Key::RPC_READY, "true");
        tasks.spawn_local(load::publish(Arc::clone(&shared)));
        shared.phase.send_replace(Phase::Serving);
        tasks.spawn_local(accept(Arc::clone(&shared), clients, queues));
        let started = Started { native, admin, shared: Arc::clone(&shared) };
        if report.send(Ok(started)).is_err() {
            return;
        }
        serve(Worker::new(Arc::clone(&shared), 0), own_queue).await;
        // The others take as long at most as this thread did.
        let _ = tokio::time::timeout(Duration::from_secs(1), others.recv()).await;
        if shared.failure.borrow().is_none()
            && let Err(error) = shared.node.drain().await
        {
            shared.fail(&error.to_string());
        }
    }
}

/// Accepts connections and deals them out in turn, until the server drains.
async fn accept(
    shared: Arc<Shared>,
    listener: Box<dyn Listener>,
    queues: Vec<mpsc::UnboundedSender<Accepted>>,
) {
    let mut phase = shared.phase.subscribe();
    let mut next = (0..queues.len()).cycle();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
            accepted = listener.accept_for_any_thread() => accepted,
        };
        match accepted {
            Ok(accepted) => {
                if let Some(queue) = next.next().and_then(|index| queues.get(index)) {
                    // A thread that has ended takes none: the server stops.
                    let _ = queue.send(accepted);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                dodona_env::clock::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Serves the connections that a thread is dealt, until the server stops.
async fn serve(worker: Rc<Worker>, mut accepted: mpsc::UnboundedReceiver<Accepted>) {
    let tasks = worker.shared.node.env.tasks.clone();
    tasks.spawn_local(events::forward(Rc::clone(&worker)));
    tasks.spawn_local(events::follow_phase(Rc::clone(&worker)));
    let mut phase = worker.shared.phase.subscribe();
    loop {
        let accepted = tokio::select! {
            biased;
            Some(accepted) = accepted.recv() => Some(accepted),
            _ = phase.wait_for(|phase| *phase >= Phase::Draining) => None,
        };
        match accepted {
            Some(accepted) => tasks.spawn_local(connect(Rc::clone(&worker), accepted)),
            None => break,
        }
    }
    let seconds = Duration::from_secs(worker.shared.settings.shutdown_seconds);
    let drained = async {
        while !worker.is_empty() {
            dodona_env::clock::sleep(Duration::from_millis(1)).await;
        }
    };
    if tokio::time::timeout(seconds, drained).await.is_err() {
        tracing::warn!("some clients did not take their answers in time");
    }
}

async fn connect(worker: Rc<Worker>, accepted: Accepted) {
    let peer = accepted.peer;
    let stream = match accepted.take_up() {
        Ok(stream) => stream,
        Err(error) => return tracing::warn!(%error, "a connection could not be taken up"),
    };
    match worker.shared.certificates.clients() {
        None => connection::serve(worker, stream, peer).await,
        Some(acceptor) => match tokio::time::timeout(connection::LOGIN_TIME, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => connection::serve(worker, Box::new(stream), peer).await,
            Ok(Err(error)) => tracing::info!(client = %peer, %error, "no TLS connection was made"),
            Err(_) => tracing::info!(client = %peer, "no TLS connection was made in time"),
        },
    }
}

/// A node that has to stop stops the server.
async fn follow_failure(shared: Arc<Shared>) {
    let mut failure = shared.node.watch_failure();
    let reason = failure.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
    if let Some(reason) = reason {
        shared.fail(&reason);
    }
}
