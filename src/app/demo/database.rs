//! The shop's database: speaks enough of PostgreSQL to answer every question with 1, so that the demo's database probe has
//! somebody to ask.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Nothing that a customer says is longer, in bytes.
const WORDS_BYTES_MAX: u32 = 64 * 1024;

/// How long a customer may stay.
const STAY_MAX: Duration = Duration::from_secs(5);

/// The number by which a customer asks for TLS.
const SSL_REQUEST: &[u8] = &80_877_103_u32.to_be_bytes();

/// Who you are is believed; the version; ready.
const WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x18server_version\x0015.0\0Z\0\0\0\x05I";

/// Done; ready, within a transaction.
const DONE: &[u8] = b"C\0\0\0\x07OK\0Z\0\0\0\x05T";

/// Parsed; bound; one column of type int4; one row: 1; done; ready.
const ONE: &[u8] = b"1\0\0\0\x042\0\0\0\x04\
    T\0\0\0\x21\0\x01?column?\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0\
    D\0\0\0\x0b\0\x01\0\0\0\x011C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05T";

/// Answers until it is dropped. One customer at a time is enough for a database with one customer.
pub async fn serve(listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        // How a customer leaves is its own affair.
        let _ = tokio::time::timeout(STAY_MAX, answer(stream)).await;
    }
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    if words(&mut stream).await? == SSL_REQUEST {
        stream.write_all(b"N").await?;
        words(&mut stream).await?;
    }
    stream.write_all(WELCOME).await?;
    loop {
        let tag = stream.read_u8().await?;
        words(&mut stream).await?;
        match tag {
            b'Q' => stream.write_all(DONE).await?,
            b'S' => stream.write_all(ONE).await?,
            b'X' => return Ok(()),
            // What leads to the question is answered with it.
            _ => {}
        }
    }
}

/// What stands behind its own length.
async fn words(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    if !(4..=WORDS_BYTES_MAX).contains(&length) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut words = vec![0; (length - 4) as usize];
    stream.read_exact(&mut words).await?;
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_question_is_answered() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(serve(listener));
        let mut customer = TcpStream::connect(address).await.unwrap();
        let startup = b"\0\0\0\x09\0\x03\0\0\0";
        for (said, answer) in [
            ([b"\0\0\0\x08", SSL_REQUEST].concat(), b"N".as_slice()),
            (startup.to_vec(), WELCOME),
            (b"Q\0\0\0\x0bbegin;\0".to_vec(), DONE),
            (b"P\0\0\0\x04S\0\0\0\x04".to_vec(), ONE),
        ] {
            customer.write_all(&said).await.unwrap();
            let mut heard = vec![0; answer.len()];
            customer.read_exact(&mut heard).await.unwrap();
            assert_eq!(heard, answer);
        }
        customer.write_all(b"X\0\0\0\x04").await.unwrap();
        assert_eq!(customer.read(&mut [0]).await.unwrap(), 0);
    }

    #[test]
    fn what_is_said_is_as_long_as_it_says() {
        for mut said in [WELCOME, DONE, ONE] {
            while let Some((_, rest)) = said.split_first() {
                let length = u32::from_be_bytes(*rest.first_chunk().unwrap()) as usize;
                said = rest.get(length..).unwrap();
            }
        }
    }
}
