//! What time steps say they took, while the thread that probes is kept from looking.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use roundsman::clock::SystemClock;
use roundsman::domain::time::milliseconds;
use roundsman::ports::Clock as _;
use tokio::sync::oneshot;

use super::probing::Run;

/// How long the probe's thread is kept busy.
const STALL: Duration = Duration::from_millis(50);
/// How long the server thinks about its answer.
const THINKING: Duration = Duration::from_millis(10);

/// One probe of a server that answers while the probe's thread is busy: what the probe says, and what the server knows, in
/// milliseconds.
fn stalled() -> (f64, f64) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (asked, was_asked) = oneshot::channel();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        assert!(socket.read(&mut request).unwrap() > 0);
        let clock = SystemClock::start();
        asked.send(()).unwrap();
        std::thread::sleep(THINKING);
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
        (milliseconds(clock.monotonic().0), socket)
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let seen = runtime.block_on(async {
        let run = Run::new();
        let yaml = format!("{{ url: \"{url}\" }}");
        let stall = async {
            was_asked.await.unwrap();
            std::thread::sleep(STALL);
        };
        tokio::join!(run.step("http", &yaml), stall).0.unwrap()
    });
    let (took, _) = server.join().unwrap();
    assert!(seen.phases.total_ms >= 50.0, "the thread was not kept busy: {:?}", seen.phases);
    (seen.phases.first_byte_ms.unwrap(), took)
}

/// Who reads a clock when it is let to read a byte says 50 ms or more, each time. One of five is looked at, since the
/// server's own thread may also be kept waiting between the byte and its clock.
#[test]
fn a_stalled_thread_does_not_move_the_first_byte() {
    let apart = (0..5).map(|_| {
        let (told, truth) = stalled();
        (told - truth).abs()
    });
    let least = apart.fold(f64::INFINITY, f64::min);
    assert!(least < 1.0, "off by {least} ms");
}
