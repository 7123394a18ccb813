//! The shop's cache: knows one command of Redis, so that the demo's cache probe has somebody to ask.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A command is read up to this size; a longer one is not known either.
const COMMAND_BYTES_MAX: usize = 512;

/// How long a customer may stay.
const STAY_MAX: Duration = Duration::from_secs(5);

/// Answers until it is dropped. One customer at a time is enough for a cache with one customer.
pub async fn serve(listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        // How a customer leaves is its own affair.
        let _ = tokio::time::timeout(STAY_MAX, answer(stream)).await;
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; COMMAND_BYTES_MAX];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let command = buffer.get(..length).unwrap_or_default();
        let reply: &[u8] = match command {
            b"*1\r\n$4\r\nPING\r\n" => b"+PONG\r\n",
            _ => b"-ERR the demo's cache knows PING\r\n",
        };
        stream.write_all(reply).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_command_is_known() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(serve(listener));
        let mut customer = TcpStream::connect(address).await.unwrap();
        for (command, beginning) in [("*1\r\n$4\r\nPING\r\n", "+PONG\r\n"), ("*1\r\n$3\r\nDEL\r\n", "-ERR the")] {
            customer.write_all(command.as_bytes()).await.unwrap();
            let mut reply = vec![0; beginning.len()];
            customer.read_exact(&mut reply).await.unwrap();
            assert_eq!(reply, beginning.as_bytes());
        }
    }
}
