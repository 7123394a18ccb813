//! Places where nobody is, or nobody who speaks.

use roundsman::domain::outcome::FailureKind as Is;
use tokio::net::{TcpListener, TcpSocket};

use super::row::{Peer, Row};

/// Connections that wait to be accepted; the kernel takes as many as it is allowed to (`net.core.somaxconn`).
const BACKLOG: u32 = 4_096;

/// Every row. The network's neighbour drops what is for 198.18.0.0/15 and says of 198.51.100.0/24 that there is no way.
pub fn rows() -> Vec<Row> {
    [connections(), pings()].into_iter().flatten().collect()
}

/// Where a peer listens that is not there, or not ours.
fn nobody(peer: &'static str, address: &'static str, failure: Is) -> Row {
    Row::against(peer, move || async move { Peer::new(address, ()) }, failure)
}

/// A port that nobody has: it is bound, so that nobody else gets it, and nobody listens.
async fn closed() -> Peer {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    Peer::new(socket.local_addr().unwrap(), socket)
}

/// The kernel makes the connections, and nobody ever takes them.
async fn half_open() -> Peer {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener: TcpListener = socket.listen(BACKLOG).unwrap();
    Peer::new(listener.local_addr().unwrap(), listener)
}

fn connections() -> Vec<Row> {
    let tcp = |row: Row| row.probed_by("tcp", "address: \"PEER\"");
    vec![
        Row::against("listens nowhere", closed, Is::ConnectRefused),
        tcp(Row::against("listens nowhere", closed, Is::ConnectRefused)),
        nobody("drops every SYN", "198.18.0.1:80", Is::TimeoutConnect).within(300),
        tcp(nobody("drops every SYN", "198.18.0.1:80", Is::TimeoutConnect)).within(300),
        tcp(nobody("drops every SYN of IPv6", "[2001:db8:2::1]:80", Is::TimeoutConnect)).within(300),
        tcp(nobody("is behind a router that knows no way", "198.51.100.7:80", Is::ConnectUnreachable)),
        tcp(nobody("is behind a router that knows no way of IPv6", "[2001:db8:1::7]:80", Is::ConnectUnreachable)),
        nobody("is in no network of ours", "203.0.113.1:80", Is::LocalNetwork),
        Row::against("is half-open", half_open, Is::TimeoutFirstByte).within(300),
    ]
}

fn pings() -> Vec<Row> {
    let blocked = "which may not be probed";
    [
        ("drops pings", "198.18.0.1", Is::TimeoutFirstByte, "198.18.0.1 did not reply"),
        ("drops pings of IPv6", "\"2001:db8:2::1\"", Is::TimeoutFirstByte, "2001:db8:2::1 did not reply"),
        ("is behind a router that knows no way", "198.51.100.7", Is::ConnectUnreachable, "192.0.2.2 says: "),
        (
            "is behind a router that knows no way of IPv6",
            "\"2001:db8:1::7\"",
            Is::ConnectUnreachable,
            "2001:db8::2 says: ",
        ),
        ("is in no network of ours", "203.0.113.1", Is::LocalNetwork, "no route to 203.0.113.1"),
        ("is the metadata service", "169.254.169.254", Is::ConnectBlocked, blocked),
        ("is a multitude", "224.0.0.1", Is::ConnectBlocked, "a multicast address"),
    ]
    .map(|(peer, host, failure, says)| {
        let row = nobody(peer, host, failure).probed_by("icmp", "{ host: PEER, count: 2 }").saying(says);
        if failure == Is::TimeoutFirstByte { row.within(300) } else { row }
    })
    .into()
}
