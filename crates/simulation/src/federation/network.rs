//! The simulated network as a node's listener and as a client's connector.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::Full;
use hyper::Uri;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use recarga_node::server::{Certified, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::Service;
use turmoil::net::{TcpListener, TcpStream};

use crate::federation::disk::Life;

/// Where every company listens.
pub const PORT: u16 = 8000;

/// Dials simulated hosts by their names.
#[derive(Clone)]
pub struct Connector {
    /// Whose process dials; none for clients, which do not die.
    pub life: Option<Life>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Link>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (host, port) = (uri.host().unwrap_or_default().to_owned(), uri.port_u16().unwrap_or(PORT));
        let life = self.life.clone();
        Box::pin(async move { Ok(TokioIo::new(Link::new(TcpStream::connect((host, port)).await?, life))) })
    }
}

/// A client of companies that is no company. Each request has a connection of its own: those kept for later would be
/// closed in an order drawn by chance.
pub fn client() -> Client<Connector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(Connector { life: None })
}

/// A connection.
///
/// When a process is killed the simulation runs its destructors, in an order that depends on what ran before. They must
/// not be heard: a connection of a dead process says no goodbye.
pub struct Link {
    // There until the connection is dropped.
    stream: Option<TcpStream>,
    life: Option<Life>,
}

impl Link {
    fn new(stream: TcpStream, life: Option<Life>) -> Self {
        Self { stream: Some(stream), life }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}
impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.life.as_ref().is_some_and(Life::is_over) {
            std::mem::forget(self.stream.take());
        }
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(context, into)
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(context)
    }
}

/// The port of a company's process.
pub struct Port {
    listener: TcpListener,
    life: Life,
}

impl Port {
    /// Listens at the host on which this is called, for the process of this life.
    ///
    /// # Errors
    /// Something listens there already.
    pub async fn listen(life: Life) -> io::Result<Self> {
        let everywhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT);
        Ok(Self { listener: TcpListener::bind(everywhere).await?, life })
    }
}

impl Listener for Port {
    type Arrival = Link;
    type Connection = Link;

    async fn open(link: Link) -> io::Result<(Link, Certified)> {
        Ok((link, Certified::default()))
    }

    async fn accept(&mut self) -> io::Result<(Link, SocketAddr)> {
        let (stream, from) = self.listener.accept().await?;
        Ok((Link::new(stream, Some(self.life.clone())), from))
    }
}
