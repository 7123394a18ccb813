//! The process is stopped (SIGSTOP) in the middle of what it does, as a debugger, a frozen container or a laptop's lid does
//! it. What ran out meanwhile were our own timers, so nothing of it is a failure of the target.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread::sleep;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::commands::configuration;
use crate::servers::roundsman::Daemon;

/// How long the target takes for an answer; longer than it takes to stop a process.
const ANSWER_AFTER: Duration = Duration::from_millis(400);

/// How often the process is stopped; each time for longer than a run may take.
const STOPS: usize = 3;

/// A target that is well, and takes its time. Says when it is asked.
fn slow_target() -> (String, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let (asked, is_asked) = mpsc::sync_channel(64);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let asked = asked.clone();
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4_096]);
                let _ = asked.try_send(());
                sleep(ANSWER_AFTER);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
                let _ = stream.read(&mut [0; 16]);
            });
        }
    });
    (url, is_asked)
}

#[test]
fn a_stopped_process_blames_no_target() {
    let each: Vec<_> = (0..10).map(|n| format!("n{n}: x")).collect();
    let (url, is_asked) = slow_target();
    let probe = format!("slow: {{ each: {{ {} }}, timeout: 800ms, http: \"{url}\" }}\n", each.join(", "));
    let directory = configuration(&[
        ("roundsman.yaml", "web: { listen: \"${env:ROUNDSMAN_LISTEN}\" }\n"),
        ("probes/p.yaml", &probe),
        ("schedules/s.yaml", "often: { every: 2s, probes: [\"*\"], alert: { after: 1, severity: P1 } }\n"),
    ]);
    let daemon = Daemon::run(directory.path(), &[]);
    for _ in 0..STOPS {
        sleep(Duration::from_millis(3_000));
        while is_asked.try_recv().is_ok() {}
        is_asked.recv_timeout(Duration::from_secs(30)).expect("the target is asked");
        daemon.signal("STOP");
        sleep(Duration::from_millis(2_500));
        daemon.signal("CONT");
    }
    sleep(Duration::from_millis(3_000));
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!said.contains(" opened: "), "{said}");

    let path = directory.path().join("state/roundsman.db");
    let store = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store");
    let count = |sql: &str| store.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a count");
    assert_eq!(count("SELECT count(*) FROM runs WHERE verdict = 'failed'"), 0);
    assert!(count("SELECT count(*) FROM runs WHERE verdict = 'passed'") > 20);
    let late = count("SELECT count(*) FROM runs WHERE steps LIKE '%\"late_ms\"%'");
    let blind = count("SELECT count(*) FROM runs WHERE why LIKE '%local.stopped%'");
    println!("{STOPS} stops: {late} runs say that we were late, {blind} of them saw nothing else");
    assert!(late > 0, "no run was going on while the process was stopped");
}
