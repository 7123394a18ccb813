//! What is on disk after anything that may happen to it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::domain::metric::MetricName;
use crate::domain::names::ProbeName;
use crate::publishers::cloudwatch::packet::Resolution;
use crate::publishers::cloudwatch::whom::Whom;
use tempfile::TempDir;

const BUDGET: u64 = 4 << 20;

fn at(text: &str) -> Timestamp {
    format!("2026-11-24T{text}Z").parse().unwrap()
}

fn packet(probe: &str, time: &str, values: u32) -> Packet {
    let probe = Whom::Probe(ProbeName::parse(probe).unwrap());
    let mut packet = Packet::new(MetricName::ProbeDuration, probe, at(time), Resolution::Minute);
    assert!((0..values).all(|value| packet.add(f64::from(value))));
    packet
}

fn open(directory: &TempDir) -> Spool {
    Spool::open(directory.path(), BUDGET).unwrap().unwrap()
}

fn files(directory: &TempDir) -> Vec<PathBuf> {
    let files = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(END)).collect();
    files.sort();
    files
}

fn lost(crowded_out: u64, damaged: u64) -> Losses {
    Losses { crowded_out, damaged, strange: Vec::new() }
}

#[test]
fn what_was_put_comes_back_after_a_restart_the_newest_first() {
    let directory = TempDir::new().unwrap();
    let mut spool = open(&directory);
    // Enough data that no two files make one request.
    let minutes = ["10:00:00", "10:02:00", "10:01:00"];
    let requests = minutes.map(|time| (0..600).map(|n| packet(&format!("p{n}"), time, 2)).collect::<Vec<_>>());
    for request in requests {
        spool.put(&request).unwrap();
    }
    assert_eq!(spool.samples(), 3_600);
    drop(spool);
    let mut spool = open(&directory);
    assert_eq!(spool.samples(), 3_600);
    for time in ["10:02:00", "10:01:00", "10:00:00"] {
        let load = spool.take(at("11:00:00")).unwrap().unwrap();
        let packets = load.next_request().unwrap();
        assert!(packets.len() == 600 && packets.iter().all(|packet| packet.at == at(time)), "{time}");
        spool.settle(&load).unwrap();
    }
    assert!(spool.take(at("11:00:00")).unwrap().is_none());
    assert_eq!((spool.samples(), files(&directory).len()), (0, 0));
}

#[test]
fn small_files_make_one_request() {
    let directory = TempDir::new().unwrap();
    let mut spool = open(&directory);
    for minute in 0..60 {
        spool.put(&[packet("api", &format!("10:{minute:02}:00"), 2)]).unwrap();
    }
    let load = spool.take(at("11:00:00")).unwrap().unwrap();
    assert_eq!(load.next_request().map(<[Packet]>::len), Some(60), "an hour of one probe is one request");
}

#[test]
fn what_was_read_is_there_until_it_has_its_fate() {
    let directory = TempDir::new().unwrap();
    let mut spool = open(&directory);
    spool.put(&[packet("api", "10:00:00", 3)]).unwrap();
    let load = spool.take(at("11:00:00")).unwrap().unwrap();
    assert!(spool.take(at("11:00:00")).unwrap().is_none(), "it is on its way");
    assert_eq!(spool.samples(), 3);
    drop(spool);
    assert_eq!(open(&directory).samples(), 3, "and after a kill it is sent again");
    drop(load);
}

#[test]
fn beyond_the_budget_the_oldest_go_and_are_counted() {
    let directory = TempDir::new().unwrap();
    let mut spool = open(&directory);
    let request = |n: u32| vec![packet("api", &format!("{:02}:{:02}:00", n / 60, n % 60), 2)];
    let fit = u32::try_from(BUDGET / BLOCK_BYTES).unwrap();
    (0..fit + 7).for_each(|n| spool.put(&request(n)).unwrap());
    assert_eq!(spool.samples(), u64::from(fit) * 2);
    assert_eq!(spool.take_losses(), lost(14, 0));
    let used: u64 = files(&directory).iter().map(|path| on_disk(path.metadata().unwrap().len())).sum();
    assert!(used <= BUDGET);
    drop(spool);
    // Whoever writes a smaller budget has it at the next start.
    let mut spool = Spool::open(directory.path(), BUDGET / 2).unwrap().unwrap();
    assert_eq!(spool.samples(), u64::from(fit));
    assert_eq!(spool.take_losses(), lost(u64::from(fit), 0));
    let load = spool.take("2026-11-25T00:00:00Z".parse().unwrap()).unwrap().unwrap();
    assert_eq!(load.next_request().unwrap()[0].at, request(fit + 6)[0].at);
}

#[test]
fn what_is_older_than_two_weeks_is_dropped_with_its_file() {
    let directory = TempDir::new().unwrap();
    let mut spool = open(&directory);
    spool.put(&[packet("api", "10:00:00", 3), packet("api", "12:00:00", 4)]).unwrap();
    let load = spool.take("2026-12-08T11:00:00Z".parse().unwrap()).unwrap().unwrap();
    assert_eq!((load.next_request().map(<[Packet]>::len), load.dropped), (Some(1), 3));
    drop((spool, load));
    let mut spool = open(&directory);
    let load = spool.take("2027-01-01T11:00:00Z".parse().unwrap()).unwrap().unwrap();
    assert_eq!((load.next_request(), load.dropped), (None, 7));
    spool.settle(&load).unwrap();
    assert_eq!(files(&directory).len(), 0);
}

#[test]
fn a_file_that_cannot_be_believed_loses_only_itself() {
    for damage in ["cut", "changed", "removed", "renamed"] {
        let directory = TempDir::new().unwrap();
        let mut spool = open(&directory);
        spool.put(&[packet("api", "10:00:00", 3)]).unwrap();
        spool.put(&[packet("api", "10:01:00", 4)]).unwrap();
        drop(spool);
        let path = files(&directory).remove(1);
        match damage {
            "cut" => OpenOptions::new().write(true).open(&path).unwrap().set_len(100).unwrap(),
            "changed" => fs::write(&path, fs::read_to_string(&path).unwrap().replace("60", "61")).unwrap(),
            "renamed" => rename(&path, path.to_string_lossy().replace("-4.", "-5.")).unwrap(),
            _ => {}
        }
        let mut spool = open(&directory);
        if damage == "removed" {
            remove_file(&path).unwrap();
        }
        let load = spool.take(at("11:00:00")).unwrap().unwrap();
        assert_eq!(load.next_request().unwrap(), [packet("api", "10:00:00", 3)], "{damage}");
        let Losses { damaged, strange, .. } = spool.take_losses();
        assert_eq!((damaged, strange.len()), (if damage == "renamed" { 5 } else { 4 }, 1), "{damage}: {strange:?}");
        assert_eq!((spool.samples(), files(&directory).len()), (3, 1), "{damage}");
    }
}

#[test]
fn a_file_that_cannot_be_read_keeps_no_other() {
    let directory = TempDir::new().unwrap();
    let mut spool = open(&directory);
    spool.put(&[packet("api", "10:00:00", 3)]).unwrap();
    spool.put(&[packet("api", "10:01:00", 4)]).unwrap();
    let path = files(&directory).remove(1);
    let text = fs::read_to_string(&path).unwrap();
    // Reading a directory fails whoever we are.
    remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let load = spool.take(at("11:00:00")).unwrap().unwrap();
    assert_eq!(load.next_request().unwrap(), [packet("api", "10:00:00", 3)]);
    let Losses { damaged, strange, .. } = spool.take_losses();
    assert!(damaged == 0 && strange[0].contains("wait for the next start"), "{damaged}: {strange:?}");
    spool.settle(&load).unwrap();
    assert_eq!((spool.samples(), spool.is_waiting()), (4, false), "it is on disk, and is tried no more");
    assert!(spool.take(at("11:00:00")).unwrap().is_none());
    drop(spool);
    fs::remove_dir(&path).unwrap();
    fs::write(&path, text).unwrap();
    let load = open(&directory).take(at("11:00:00")).unwrap().unwrap();
    assert_eq!(load.next_request().unwrap(), [packet("api", "10:01:00", 4)]);
}

#[test]
fn what_a_kill_left_half_written_is_nothing() {
    let directory = TempDir::new().unwrap();
    let mut spool = open(&directory);
    spool.put(&[packet("api", "10:00:00", 3)]).unwrap();
    drop(spool);
    let whole = fs::read_to_string(&files(&directory)[0]).unwrap();
    fs::write(directory.path().join(UNFINISHED), &whole[..whole.len() / 2]).unwrap();
    fs::write(directory.path().join("a note of somebody"), "x").unwrap();
    let mut spool = open(&directory);
    assert_eq!(spool.samples(), 3);
    spool.put(&[packet("api", "10:01:00", 4)]).unwrap();
    assert_eq!(spool.samples(), 7);
    assert!(!directory.path().join(UNFINISHED).exists());
}

#[test]
fn a_full_disk_takes_nothing_and_keeps_what_it_has() {
    let directory = TempDir::new().unwrap();
    let mut spool = open(&directory);
    spool.put(&[packet("api", "10:00:00", 3)]).unwrap();
    // A directory where the file would be written: every write fails, as on a full disk.
    fs::create_dir(directory.path().join(UNFINISHED)).unwrap();
    assert!(spool.put(&[packet("api", "10:01:00", 4)]).is_err());
    assert_eq!((spool.samples(), files(&directory).len()), (3, 1));
    fs::remove_dir(directory.path().join(UNFINISHED)).unwrap();
    spool.put(&[packet("api", "10:01:00", 4)]).unwrap();
    assert_eq!(spool.samples(), 7);
}

#[test]
fn one_publisher_has_it_and_nobody_else_may_read_it() {
    let directory = TempDir::new().unwrap();
    let inner = directory.path().join("state/roundsman.db.cloudwatch");
    let mut spool = Spool::open(&inner, BUDGET).unwrap().unwrap();
    assert!(Spool::open(&inner, BUDGET).unwrap().is_none());
    spool.put(&[packet("api", "10:00:00", 3)]).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&inner), 0o700);
    for entry in fs::read_dir(&inner).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    drop(spool);
    assert!(Spool::open(&inner, BUDGET).unwrap().is_some());
}
