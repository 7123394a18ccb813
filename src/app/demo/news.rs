//! News of the shop, over a WebSocket.

use futures::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Error;

/// Answers until it is dropped. One connection at a time is enough for a shop with one customer.
pub async fn serve(listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        if let Err(error) = answer(stream).await {
            tracing::debug!("the demo's WebSocket ended: {error}");
        }
    }
}

async fn answer(stream: TcpStream) -> Result<(), Error> {
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
