//! The kernel's socket for pings: it sends and receives echoes only, stamps what comes, and keeps what routers say.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd as _;

use nix::libc;
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::time::Timestamp;
use crate::net::kernel::{self, StampRoom};

/// More than the largest request.
const PACKET_BYTES_MAX: usize = 2_048;
/// Where a complaint of the kernel comes from (linux/errqueue.h): a router or the target, by ICMP or its successor.
const ORIGINS: [u8; 2] = [2, 3];

/// What is waited for: a complaint makes no socket readable.
const COMING: Interest = Interest::READABLE.add(Interest::ERROR);

/// A socket for pings to one address. To tokio it is one for datagrams like any other.
pub struct PingSocket(UdpSocket);

/// What came.
pub enum Heard {
    /// An echo, with the kernel's stamp of its arrival.
    Packet(Vec<u8>, Option<Timestamp>),
    /// What somebody on the way says, in words.
    Complaint(String),
}

impl PingSocket {
    /// Opens it.
    pub fn open(address: IpAddr) -> Result<Self, Failure> {
        Self::try_open(address).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Failure::new(
                FailureKind::LocalPermission,
                "this machine does not let us send pings: set the sysctl net.ipv4.ping_group_range to \"0 2147483647\"",
            ),
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => {
                Failure::new(FailureKind::LocalNetwork, format!("this machine has no route to {address}"))
            }
            _ => Failure::new(FailureKind::LocalResources, format!("no socket for pings could be opened: {error}")),
        })
    }

    fn try_open(address: IpAddr) -> io::Result<Self> {
        let (domain, protocol) = match address {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
        socket.set_nonblocking(true)?;
        match address {
            IpAddr::V4(_) => setsockopt(&socket, Ipv4RecvErr, &true)?,
            IpAddr::V6(_) => setsockopt(&socket, Ipv6RecvErr, &true)?,
        }
        kernel::stamp(&socket);
        // Connected, so that only this address's replies come in.
        socket.connect(&SocketAddr::new(address, 0).into())?;
        UdpSocket::from_std(socket.into()).map(Self)
    }

    /// Sends a packet.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        SockRef::from(&self.0).send(packet).map(drop)
    }

    /// Waits for what comes next.
    pub async fn hear(&self) -> io::Result<Heard> {
        loop {
            self.0.ready(COMING).await?;
            // One after the other: to `try_io` two interests together are none (tokio 1.54, `Interest::mask`).
            let complaint = || self.complaint().ok_or_else(|| io::ErrorKind::WouldBlock.into());
            if let Ok(told) = self.0.try_io(Interest::ERROR, complaint) {
                return Ok(Heard::Complaint(told));
            }
            match self.0.try_io(Interest::READABLE, || self.receive()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                heard => return heard,
            }
        }
    }

    fn receive(&self) -> io::Result<Heard> {
        let mut packet = vec![0; PACKET_BYTES_MAX];
        let (length, stamp) = kernel::receive(&self.0, &mut packet, &mut StampRoom::default())?;
        packet.truncate(length);
        Ok(Heard::Packet(packet, stamp))
    }

    /// What somebody on the way said of a request, if anybody did.
    pub fn complaint(&self) -> Option<String> {
        let mut packet = [0; PACKET_BYTES_MAX];
        let mut room = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6, TimeSpec);
        let mut parts = [IoSliceMut::new(&mut packet)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_ERRQUEUE;
        let message = recvmsg::<()>(self.0.as_raw_fd(), &mut parts, Some(&mut room), flags).ok()?;
        message.cmsgs().ok()?.find_map(|part| {
            let (error, who) = match part {
                ControlMessageOwned::Ipv4RecvErr(error, who) => {
                    (error, who.map(|who| IpAddr::from(who.sin_addr.s_addr.to_ne_bytes())))
                }
                ControlMessageOwned::Ipv6RecvErr(error, who) => {
                    (error, who.map(|who| IpAddr::from(who.sin6_addr.s6_addr)))
                }
                _ => return None,
            };
            ORIGINS.contains(&error.ee_origin).then(|| {
                let who = who.map_or_else(|| "a router".to_owned(), |who| who.to_string());
                format!("{who} says: {}", words(error.ee_origin == ORIGINS[1], error.ee_type, error.ee_code))
            })
        })
    }
}

/// What an ICMP message means (RFC 792, RFC 1812, RFC 4443).
fn words(version_6: bool, kind: u8, code: u8) -> String {
    let known = match (version_6, kind, code) {
        (false, 3, 0) | (true, 1, 0) => "no route there",
        (false, 3, 1) | (true, 1, 3) => "the machine does not answer on its network",
        (false, 3, 4) | (true, 2, _) => "the packet is too large",
        (false, 3, 9 | 10 | 13) | (true, 1, 1 | 5) => "forbidden",
        (false, 3, _) | (true, 1, _) => "the destination cannot be reached",
        (false, 11, _) | (true, 3, _) => "the packet went in a circle",
        _ => return format!("ICMP type {kind}, code {code}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_routers_say_has_words() {
        assert_eq!(words(false, 3, 1), "the machine does not answer on its network");
        assert_eq!(words(true, 1, 3), "the machine does not answer on its network");
        assert_eq!(words(false, 11, 0), "the packet went in a circle");
        assert_eq!(words(false, 12, 2), "ICMP type 12, code 2");
    }
}
