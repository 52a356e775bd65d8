//! Connections.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};

/// A boxed future that stays on its thread or not, as its user needs.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A byte stream to a peer.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection that one thread has accepted, for the thread that will serve it to take up.
pub struct Accepted {
    /// The peer's address.
    pub peer: SocketAddr,
    take_up: Box<dyn FnOnce() -> io::Result<Box<dyn Stream>> + Send>,
}

impl Accepted {
    /// A connection of `peer` that `take_up` gives, on the thread that calls it.
    pub fn new(
        peer: SocketAddr,
        take_up: impl FnOnce() -> io::Result<Box<dyn Stream>> + Send + 'static,
    ) -> Self {
        Self { peer, take_up: Box::new(take_up) }
    }

    /// The connection, which belongs to the event loop of the calling thread from now on.
    ///
    /// # Errors
    /// The operating system's.
    pub fn take_up(self) -> io::Result<Box<dyn Stream>> {
        (self.take_up)()
    }
}

/// Waits for peers to connect.
pub trait Listener: Send + Sync {
    /// The next connection, and the peer's address.
    fn accept(&self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, SocketAddr)>>;

    /// The next connection, for any thread to take up: connections live as long as clients do, so
    /// that whoever accepts them deals them out evenly.
    fn accept_for_any_thread(&self) -> BoxFuture<'_, io::Result<Accepted>> {
        Box::pin(async move {
            let (stream, peer) = self.accept().await?;
            Ok(Accepted::new(peer, || Ok(stream)))
        })
    }

    /// The address that is listened on.
    ///
    /// # Errors
    /// The operating system's.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A network.
pub trait Net: Send + Sync {
    /// Listens on an address. Several listeners of one process may share it: each connection goes
    /// to one of them.
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;

    /// Connects to an address. Callers bound the time.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>>;
}

/// No network: for a node that is alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNet;

impl Net for NoNet {
    fn listen(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    fn connect(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}
