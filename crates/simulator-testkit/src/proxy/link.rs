//! One connection through the proxy.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::{LinkEnd, LinkPlan, Way};

/// Forwards both ways until one of them ends, and ends the other in the same way.
pub(super) async fn run(mut client: TcpStream, mut server: TcpStream, plan: LinkPlan) {
    // Otherwise the system would put the pieces together again.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            end = carry(from_client, to_server, plan.up) => end,
            end = carry(from_server, to_client, plan.down) => end,
        }
    };
    match end {
        LinkEnd::Close => {}
        LinkEnd::Reset => {
            let _ = client.set_zero_linger();
            let _ = server.set_zero_linger();
        }
        LinkEnd::Stall => std::future::pending().await,
    }
}

/// Carries bytes one way until the plan or the sender ends it.
async fn carry(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, way: Way) -> LinkEnd {
    let mut left = way.end.map_or(usize::MAX, |(bytes, _)| bytes);
    let end = way.end.map_or(LinkEnd::Close, |(_, end)| end);
    let mut sizes = way.pieces.iter().copied().cycle();
    let mut buffer = vec![0; 16 * 1024];
    while left > 0 {
        let most = buffer.len().min(left);
        let read = match from.read(&mut buffer[..most]).await {
            Ok(read) if read > 0 => read,
            Ok(_) | Err(_) => return LinkEnd::Close,
        };
        left -= read;
        if write(&mut to, &buffer[..read], &mut sizes, way.delay).await.is_err() {
            return LinkEnd::Close;
        }
    }
    end
}

async fn write(
    to: &mut WriteHalf<'_>,
    mut bytes: &[u8],
    sizes: &mut impl Iterator<Item = usize>,
    delay: Duration,
) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let size = sizes.next().unwrap_or(bytes.len()).clamp(1, bytes.len());
        let (piece, rest) = bytes.split_at(size);
        bytes = rest;
        if delay.is_zero() {
            // The other side is to see the pieces one by one.
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(delay).await;
        }
        to.write_all(piece).await?;
    }
    Ok(())
}
