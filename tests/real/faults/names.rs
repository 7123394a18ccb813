//! Name servers that answer wrongly, at length, or otherwise the next time.

use std::collections::HashMap;

use roundsman::domain::outcome::FailureKind as Is;

use super::row::{Peer, Row};
use crate::servers::dns::{Answering, answered, answered_with, asked_for, chain, truncated};
use crate::servers::hostile::Hostile;

/// The types of records (RFC 1035, section 3.2.2; RFC 3596).
const A: u16 = 1;
const CNAME: u16 = 5;
const TXT: u16 = 16;
const AAAA: u16 = 28;

/// Every row: the kind `dns` asks such a server, or the resolver does for the kind `http`.
pub fn rows() -> Vec<Row> {
    [wrong(), wrong_over_tcp(), large(), resolved()].into_iter().flatten().collect()
}

type Answer = fn(&[u8]) -> Vec<u8>;

fn over_udp(peer: &'static str, answer: Answer, failure: Is) -> Row {
    let starts = move || async move {
        let server = Answering::over_udp(move |question| vec![answer(question)]).await;
        Peer::new(server.address, server)
    };
    Row::against(peer, starts, failure).probed_by("dns", "{ name: www.shop.test, server: \"PEER\" }")
}

fn over_tcp(peer: &'static str, answer: Answer, failure: Is) -> Row {
    let starts = move || async move {
        let server = Answering::over_tcp(answer).await;
        Peer::new(server.address, server)
    };
    Row::against(peer, starts, failure).probed_by("dns", "{ name: www.shop.test, server: \"PEER\" }")
}

fn other_id(question: &[u8]) -> Vec<u8> {
    [&[question[0] ^ 1], &answered(question, 0)[1..]].concat()
}

fn wrong() -> Vec<Row> {
    let other_name: Answer = |question| {
        let mut answer = answered(question, 0);
        answer[13] = b'x';
        answer
    };
    let circle: Answer = |question| {
        let mut answer = answered_with(question, &[(CNAME, 60, vec![0xc0, 12])]);
        let end = answer.len();
        let own_place = u16::try_from(end - 2).unwrap() | 0xc000;
        answer[end - 2..].copy_from_slice(&own_place.to_be_bytes());
        answer
    };
    let garbage: Answer = |question| [&question[..2], b"garbage"].concat();
    vec![
        over_udp("answers another question's number", other_id, Is::TimeoutDns).within(300),
        over_udp("answers garbage", garbage, Is::DnsInvalid),
        over_udp("echoes the question", <[u8]>::to_vec, Is::DnsInvalid),
        over_udp("answers for another name", other_name, Is::DnsInvalid),
        over_udp("sends a name that points at itself", circle, Is::DnsInvalid),
        over_udp("says only over TCP and is not there", truncated, Is::ConnectRefused),
        over_udp("says only over TCP and is not there", truncated, Is::ConnectRefused)
            .probed_by("dns", "{ name: www.shop.test, server: \"PEER\", transport: tcp }"),
    ]
}

fn wrong_over_tcp() -> Vec<Row> {
    vec![
        over_tcp("closes without an answer", |_| Vec::new(), Is::ProtocolClosed),
        over_tcp("has more to say over TCP too", truncated, Is::DnsInvalid),
        over_tcp("answers another question's number over TCP", other_id, Is::DnsInvalid),
    ]
}

fn thousand_addresses(question: &[u8]) -> Vec<u8> {
    let address = |n: u16| (A, 60, vec![169, 254, n.to_be_bytes()[0], n.to_be_bytes()[1]]);
    answered_with(question, &(0..1_000).map(address).collect::<Vec<_>>())
}

fn long_chain(question: &[u8]) -> Vec<u8> {
    if asked_for(question) == A { chain(question, 20, [127, 0, 0, 1]) } else { answered_with(question, &[]) }
}

/// Bounded, and told as far as they are read; the way over TCP is taken for what does not fit.
fn large() -> Vec<Row> {
    let bomb: Answer = |question| {
        let text = [&[255][..], &[b'a'; 255]].concat().repeat(250);
        answered_with(question, &[(TXT, 60, text)])
    };
    let many: Answer = |question| {
        let address = |n: u16| (A, 60, vec![10, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]]);
        answered_with(question, &(0..4_000).map(address).collect::<Vec<_>>())
    };
    let txt = "{ name: www.shop.test, type: TXT, server: \"PEER\" }";
    let chained = "answers == [\"127.0.0.1\"] && size(records) == 21 && transport == \"tcp\"";
    vec![
        over_tcp("has a chain of 20 aliases", long_chain, Is::DnsInvalid).expecting(chained).well(),
        over_tcp("has 1,000 addresses", thousand_addresses, Is::DnsInvalid).expecting("size(answers) == 1000").well(),
        over_tcp("has 4,000 addresses", many, Is::DnsInvalid).expecting("size(answers) == 1000").well(),
        over_tcp("has a text of 64 KiB", bomb, Is::DnsInvalid)
            .probed_by("dns", txt)
            .expecting("size(answers[0]) == 4096")
            .well(),
    ]
}

/// A name server for this machine, and a shop that sends whoever comes to itself again.
fn behind(peer: &'static str, name: &str, answer: impl Fn() -> AnswerOf + Copy + 'static, failure: Is) -> Row {
    let starts = move || async move {
        let names = Answering::for_this_machine(answer()).await;
        let again = b"HTTP/1.1 302 Found\r\nLocation: /again\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        let shop = Hostile::answering(again).await;
        Peer::new(shop.address, (names, shop))
    };
    Row::against(peer, starts, failure).probed_by("http", format!("url: \"http://{name}:PORT/\""))
}

/// What a server makes of each question.
type AnswerOf = Box<dyn FnMut(&[u8]) -> Vec<u8> + Send>;

/// At first an address that may be probed, then for the same name that of the metadata service.
fn flip() -> AnswerOf {
    let mut asked: HashMap<Vec<u8>, usize> = HashMap::new();
    Box::new(move |question| {
        if asked_for(question) != A {
            return answered_with(question, &[]);
        }
        let name = question[12..].split(|byte| *byte == 0).next().unwrap().to_ascii_lowercase();
        let times = asked.entry(name).or_default();
        *times += 1;
        let address = if *times == 1 { vec![127, 0, 0, 1] } else { vec![169, 254, 169, 254] };
        answered_with(question, &[(A, 0, address)])
    })
}

/// It is the address that is connected to which is looked at, each time.
fn resolved() -> Vec<Row> {
    let blocked = "which may not be probed";
    let mapped = || -> AnswerOf {
        Box::new(|question| {
            let metadata = [[0; 10].as_slice(), &[0xff, 0xff, 169, 254, 169, 254]].concat();
            answered_with(question, &if asked_for(question) == AAAA { vec![(AAAA, 0, metadata)] } else { vec![] })
        })
    };
    let dead = || -> AnswerOf {
        Box::new(|question| {
            let nowhere = [&[0x20, 1, 0x0d, 0xb8, 0, 2][..], &[0; 9], &[1]].concat();
            let address = if asked_for(question) == AAAA { (AAAA, 0, nowhere) } else { (A, 0, vec![127, 0, 0, 1]) };
            answered_with(question, &[address])
        })
    };
    vec![
        behind("is the metadata service the next time", "t{{turn}}.test", flip, Is::RedirectBlocked).saying(blocked),
        behind(
            "has 1,000 addresses that are refused",
            "many.test",
            || Box::new(thousand_addresses),
            Is::ConnectBlocked,
        )
        .saying(blocked),
        behind("is the metadata service, mapped", "mapped.test", mapped, Is::ConnectBlocked).saying(blocked),
        behind("is behind a chain of 20 aliases", "chain.test", || Box::new(long_chain), Is::RedirectLimit),
        behind("has a dead IPv6 beside its IPv4", "dead.test", dead, Is::RedirectLimit),
    ]
}
