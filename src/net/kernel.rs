//! What the kernel knows of a connection and does not tell by itself: when bytes came in, and how long the handshake took.
//!
//! A program on a busy core reads a byte milliseconds after it came; the kernel stamped it when the network card's
//! interrupt, or the loopback, gave it over. Stamps are of `CLOCK_REALTIME` (socket(7), `SO_TIMESTAMPNS`), so [`arrival`]
//! takes them to the clock that does not step, and refuses what cannot be true.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::OnceLock;
use std::time::Duration;

use chrono::DateTime;
use nix::libc;
use nix::sys::socket::sockopt::{GetStruct, ReceiveTimestampns};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, getsockopt, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;

use crate::domain::time::{Monotonic, Timestamp};
use crate::ports::Clock;

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

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instants {
    /// The wall clock.
    pub wall: Timestamp,
    /// The clock that does not step.
    pub monotonic: Monotonic,
    /// How far the two may lie apart: this far before or after.
    pub error: Duration,
}

impl Instants {
    /// How close together two readings are to be. On a busy core something may come between; it rarely does so thrice.
    const APART_MAX: Duration = Duration::from_micros(10);

    /// Reads both.
    pub fn read(clock: &dyn Clock) -> Self {
        let once = || {
            let before = clock.monotonic();
            let wall = clock.now();
            let apart = clock.monotonic().since(before);
            Self { wall, monotonic: before + apart / 2, error: apart / 2 }
        };
        let mut best = once();
        for _ in 0..2 {
            if best.error * 2 <= Self::APART_MAX {
                break;
            }
            let again = once();
            if again.error < best.error {
                best = again;
            }
        }
        best
    }

    /// From the wall clock's zero to the other's, in nanoseconds.
    fn offset_ns(&self) -> i128 {
        let wall = i128::from(self.wall.timestamp()) * 1_000_000_000 + i128::from(self.wall.timestamp_subsec_nanos());
        wall - i128::try_from(self.monotonic.0.as_nanos()).unwrap_or_default()
    }
}

/// By how much the distance of the two clocks may seem to change between two readings. A step is larger; both clocks run at
/// one pace, since what disciplines one disciplines the other (`clock_adjtime(2)`).
const STEP_MIN: Duration = Duration::from_micros(50);

/// When something came in, by the clock that does not step, from the kernel's stamp of it. Absent when there is no stamp,
/// when the wall clock was set between the two readings, and when the stamp lies outside of them.
pub fn arrival(sent: &Instants, stamp: Option<Timestamp>, read: &Instants) -> Option<Monotonic> {
    let stamp = stamp?;
    let apart = (read.offset_ns() - sent.offset_ns()).unsigned_abs();
    if apart > (STEP_MIN + sent.error + read.error).as_nanos() {
        return None;
    }
    let since_sent = (stamp - sent.wall).to_std().ok()?;
    let at = sent.monotonic + since_sent;
    (at <= read.monotonic).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_790_000_000;

    fn instants(wall_us: i64, monotonic_us: u64) -> Instants {
        let wall = DateTime::from_timestamp_micros(START * 1_000_000 + wall_us).unwrap();
        Instants { wall, monotonic: Monotonic(Duration::from_micros(monotonic_us)), error: Duration::ZERO }
    }

    fn stamp(wall_us: i64) -> Option<Timestamp> {
        DateTime::from_timestamp_micros(START * 1_000_000 + wall_us)
    }

    #[test]
    fn a_stamp_tells_when_it_came_and_not_when_it_was_read() {
        let (sent, read) = (instants(0, 500), instants(50_000, 50_500));
        assert_eq!(arrival(&sent, stamp(1_200), &read), Some(Monotonic(Duration::from_micros(1_700))));
        assert_eq!(arrival(&sent, None, &read), None);
    }

    #[test]
    fn a_stamp_outside_the_exchange_is_not_used() {
        let (sent, read) = (instants(0, 500), instants(1_000, 1_500));
        assert_eq!(arrival(&sent, stamp(-1), &read), None);
        assert_eq!(arrival(&sent, stamp(1_001), &read), None);
        assert_eq!(arrival(&sent, stamp(1_000), &read), Some(Monotonic(Duration::from_micros(1_500))));
    }

    #[test]
    fn a_step_of_the_wall_clock_is_not_latency() {
        let sent = instants(0, 500);
        for stepped_us in [-3_600_000_000, -200, 200, 3_600_000_000] {
            let read = instants(1_000 + stepped_us, 1_500);
            assert_eq!(arrival(&sent, stamp(900), &read), None, "{stepped_us}");
        }
        let within_the_reading_error = instants(1_000 + 40, 1_500);
        assert!(arrival(&sent, stamp(900), &within_the_reading_error).is_some());
    }
}
