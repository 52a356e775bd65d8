//! The simulated network: turmoil's.

use dodona_env::net::{BoxFuture, Listener, Net, Stream};
use std::io;
use std::net::SocketAddr;

/// The network of the turmoil host that the node runs on.
pub struct SimNet;

impl Net for SimNet {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let any = SocketAddr::from(([0, 0, 0, 0], address.port()));
            Ok(Box::new(SimListener(turmoil::net::TcpListener::bind(any).await?)) as Box<dyn Listener>)
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(
            async move { Ok(Box::new(turmoil::net::TcpStream::connect(address).await?) as Box<dyn Stream>) },
        )
    }
}

struct SimListener(turmoil::net::TcpListener);

impl Listener for SimListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        Box::pin(async move {
            let (stream, address) = self.0.accept().await?;
            Ok((Box::new(stream) as Box<dyn Stream>, address))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// No network: for a node that is alone.
pub struct NoNet;

impl Net for NoNet {
    fn listen(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    fn connect(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}
