//! Signals that ask the process to stop.

use std::io;

use tokio_util::sync::CancellationToken;

/// A token that is cancelled by SIGINT (Ctrl-C) or SIGTERM.
pub(crate) fn stop_requested() -> io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let stop = stop_signal()?;
    let cancelled = token.clone();
    tokio::spawn(async move {
        stop.await;
        cancelled.cancel();
    });
    Ok(token)
}

#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Without a handler there is nothing to wait for: Ctrl-C ends the process by itself.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
