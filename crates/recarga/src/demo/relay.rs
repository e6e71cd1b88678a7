//! What companies say to each other passes through here, so that one can be cut off from the others: as on a network
//! that loses everything, nothing is refused and nothing answers.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::debug;

/// The companies that are cut off, by their places.
pub type Isolated = BTreeSet<usize>;

/// The way from one company to another.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Relay {
    /// Listens at a port of the system's choice, for what the company at place `from` says to the one at place `to`,
    /// which listens at `target`.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(
        (from, to): (usize, usize),
        target: SocketAddr,
        isolated: watch::Receiver<Isolated>,
    ) -> Result<Relay> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no free port on 127.0.0.1")?;
        let address = listener.local_addr().context("no free port on 127.0.0.1")?;
        let task = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((near, _)) => {
                        let way = Way { ends: [from, to], isolated: isolated.clone() };
                        tokio::spawn(way.carry(near, target));
                    }
                    Err(error) => {
                        // Out of file descriptors, most likely: a pause lets some be closed.
                        debug!(%error, "a connection between companies cannot be accepted");
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    }
                }
            }
        });
        Ok(Relay { address, task })
    }

    /// Where it listens, as in `http://127.0.0.1:41234`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Way {
    ends: [usize; 2],
    isolated: watch::Receiver<Isolated>,
}

impl Way {
    async fn carry(mut self, mut near: TcpStream, target: SocketAddr) {
        if !self.is_cut() {
            // A company that is away refuses, and so does this.
            let Ok(mut far) = TcpStream::connect(target).await else { return };
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => return,
                () = self.until(true) => {}
            }
        }
        // What is sent meanwhile is lost, and what was begun before is not taken up again.
        let mut lost = [0; 4096];
        let swallow = async { while matches!(near.read(&mut lost).await, Ok(1..)) {} };
        tokio::select! {
            () = swallow => {}
            () = self.until(false) => {}
        }
    }

    fn is_cut(&self) -> bool {
        let isolated = self.isolated.borrow();
        self.ends.iter().any(|end| isolated.contains(end))
    }

    async fn until(&mut self, cut: bool) {
        let ends = self.ends;
        let is_so = |isolated: &Isolated| ends.iter().any(|end| isolated.contains(end)) == cut;
        // Once nobody can cut anything any longer, this end of it is over, too.
        let _ = self.isolated.wait_for(is_so).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::time::{Duration, timeout};

    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    async fn is_answered(stream: &mut TcpStream) -> bool {
        if stream.write_all(b"x").await.is_err() {
            return false;
        }
        let mut answer = [0; 1];
        let read = timeout(Duration::from_millis(300), stream.read(&mut answer)).await;
        matches!(read, Ok(Ok(1)))
    }

    #[tokio::test]
    async fn whoever_is_cut_off_hears_nothing_until_it_is_joined_again() {
        let (cut, isolated) = watch::channel(Isolated::new());
        let relay = Relay::start((0, 1), echo().await, isolated).await.unwrap();
        let connect = || TcpStream::connect(relay.address);
        let mut before = connect().await.unwrap();
        assert!(is_answered(&mut before).await);
        cut.send_replace(Isolated::from([2]));
        assert!(is_answered(&mut before).await, "somebody else is cut off");
        cut.send_replace(Isolated::from([1, 2]));
        assert!(!is_answered(&mut before).await);
        let mut meanwhile = connect().await.unwrap();
        assert!(!is_answered(&mut meanwhile).await, "accepted by the network, heard by nobody");
        cut.send_replace(Isolated::new());
        assert!(!is_answered(&mut meanwhile).await, "what was lost stays lost");
        assert!(is_answered(&mut connect().await.unwrap()).await);
    }
}
