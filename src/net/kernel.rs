//! What the kernel knows of a connection and does not tell by itself: when bytes came in, and how long the handshake took.
//!
//! A program on a busy core reads a byte milliseconds after it came; the kernel stamped it when the network card's
//! interrupt, or the loopback, gave it over. Stamps are of `CLOCK_REALTIME` (socket(7), `SO_TIMESTAMPNS`);
//! [`super::arrival`] takes them to the clock that does not step.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::OnceLock;
use std::time::Duration;

use chrono::DateTime;
use nix::libc;
use nix::sys::socket::sockopt::{GetStruct, ReceiveTimestampns};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, getsockopt, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;

use crate::domain::time::Timestamp;

/// The beginning of the kernel's `struct tcp_info` (linux/tcp.h), which every kernel since 2.6 fills.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct TcpInfo {
    states_and_options: [u8; 8],
    intervals_and_counts: [u32; 9],
    ages: [u32; 4],
    path_mtu: u32,
    receive_threshold: u32,
    round_trip_us: u32,
    windows_and_more: [u32; 7],
    sent_again: u32,
}

/// What TCP knows of a connection, as an option of its socket.
#[derive(Clone, Copy, Debug)]
struct TcpInformation;

nix::getsockopt_impl!(TcpInformation, libc::IPPROTO_TCP, libc::TCP_INFO, TcpInfo, GetStruct<TcpInfo>);

/// How long the handshake of a connection took that was made just now: from the SYN to its answer. Absent when a packet
/// was sent twice, since nobody can then tell which of the two was answered (RFC 6298, section 3), and when the kernel
/// does not say.
pub fn handshake(socket: &impl AsFd) -> Option<Duration> {
    let info = getsockopt(socket, TcpInformation).ok()?;
    let known = info.sent_again == 0 && info.round_trip_us > 0;
    known.then(|| Duration::from_micros(info.round_trip_us.into()))
}

/// Has the kernel stamp what this socket receives. Without stamps everything works, and is told less exactly.
pub fn stamp(socket: &impl AsFd) {
    // The first socket that asks turns stamping on for the machine, a moment later and by rewriting running code; one that
    // stays open keeps it on between probes.
    static KEEPER: OnceLock<Option<std::net::UdpSocket>> = OnceLock::new();
    KEEPER.get_or_init(|| {
        let keeper = std::net::UdpSocket::bind(("127.0.0.1", 0)).ok()?;
        setsockopt(&keeper, ReceiveTimestampns, &true).ok()?;
        Some(keeper)
    });
    if let Err(error) = setsockopt(socket, ReceiveTimestampns, &true) {
        tracing::debug!("the kernel gives no time stamps: {error}");
    }
}

/// Room for one stamp beside what is received.
#[derive(Debug)]
pub struct StampRoom(Vec<u8>);

impl Default for StampRoom {
    fn default() -> Self {
        Self(nix::cmsg_space!(TimeSpec))
    }
}

/// Receives without waiting, with the stamp of the last segment of which bytes were taken. Several segments that lie
/// together in the receive queue have the stamp of the last.
pub fn receive(
    socket: &impl AsRawFd,
    bytes: &mut [u8],
    room: &mut StampRoom,
) -> io::Result<(usize, Option<Timestamp>)> {
    let mut parts = [IoSliceMut::new(bytes)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut room.0), MsgFlags::MSG_DONTWAIT)?;
    let stamp = message.cmsgs()?.find_map(|part| match part {
        ControlMessageOwned::ScmTimestampns(at) => {
            DateTime::from_timestamp(at.tv_sec(), u32::try_from(at.tv_nsec()).unwrap_or_default())
        }
        _ => None,
    });
    Ok((message.bytes, stamp))
}
