//! A name server for one name, so that the demo's DNS probe has somebody to ask.

use std::net::IpAddr;

use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;

/// The largest question that is read; without extensions DNS over UDP ends at 512 bytes.
const QUESTION_BYTES_MAX: usize = 512;

/// How long an answer may be kept, in seconds.
const TTL_S: u32 = 60;

/// Answers until it is dropped.
pub async fn serve(socket: UdpSocket, name: &str, address: IpAddr) {
    let mut buffer = [0; QUESTION_BYTES_MAX];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let question = buffer.get(..length).and_then(|bytes| Message::from_vec(bytes).ok());
        let Some(answer) = question.and_then(|question| answer(&question, name, address).to_vec().ok()) else {
            continue;
        };
        if let Err(error) = socket.send_to(&answer, from).await {
            tracing::debug!("the demo's name server could not answer: {error}");
        }
    }
}

fn answer(question: &Message, name: &str, address: IpAddr) -> Message {
    let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    answer.metadata.authoritative = true;
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    let known = Name::from_ascii(format!("{name}.")).unwrap_or_default();
    for query in &question.queries {
        answer.add_query(query.clone());
        if *query.name() != known {
            answer.metadata.response_code = ResponseCode::NXDomain;
            continue;
        }
        let data = match (query.query_type(), address) {
            (RecordType::A, IpAddr::V4(address)) => RData::A(A(address)),
            (RecordType::AAAA, IpAddr::V6(address)) => RData::AAAA(AAAA(address)),
            _ => continue,
        };
        answer.add_answer(Record::from_rdata(query.name().clone(), TTL_S, data));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::op::Query;

    #[test]
    fn one_name_is_known() {
        let ask = |name: &str, kind| {
            let mut question = Message::new(7, MessageType::Query, OpCode::Query);
            question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
            answer(&question, "shop.demo", "127.0.0.1".parse().unwrap())
        };
        let known = ask("SHOP.demo.", RecordType::A);
        assert_eq!(
            (known.metadata.id, known.metadata.response_code, known.answers.len()),
            (7, ResponseCode::NoError, 1)
        );
        assert_eq!(ask("shop.demo.", RecordType::AAAA).answers.len(), 0);
        assert_eq!(ask("other.demo.", RecordType::A).metadata.response_code, ResponseCode::NXDomain);
    }
}
