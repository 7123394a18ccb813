//! Each row of the table ends in its class, within its budget.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::row::OVERTIME;
use super::table;
use crate::probing::now;
use crate::servers::network::ran_within;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_has_its_name_within_its_time() {
    if ran_within("faults::verdicts::every_row_has_its_name_within_its_time", "0 0") {
        return;
    }
    let mut wrong = Vec::new();
    for row in table::rows().await {
        let (_peer, prober) = row.start().await;
        let (done, is_done) = oneshot::channel();
        let mut machine = JoinSet::new();
        machine.spawn(lateness(is_done));
        let (ended, took) = row.probe(&*prober).await;
        done.send(()).unwrap();
        // What the machine itself was late is not the prober's.
        let limit = row.budget + OVERTIME + machine.join_next().await.unwrap().unwrap();
        println!("{took:?} {} ({})", row.peer, row.kind);
        wrong.extend(row.judge(&ended).err());
        if took > limit {
            wrong.push(format!("{} ({}) took {took:?} of {limit:?}", row.peer, row.kind));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// By how much this machine was late to wake somebody, at most, until it is told to stop looking.
async fn lateness(mut until: oneshot::Receiver<()>) -> Duration {
    let (pause, mut worst) = (Duration::from_millis(5), Duration::ZERO);
    while until.try_recv().is_err() {
        let began = now();
        tokio::time::sleep(pause).await;
        worst = worst.max(now().since(began).saturating_sub(pause));
    }
    worst
}
