//! Echo requests and replies (RFC 792, RFC 4443). Identifier and checksum are the kernel's, which gives each socket for
//! pings the replies to its own requests only.

use std::net::IpAddr;

/// The length of the head of an echo: type, code, checksum, identifier, sequence number.
const HEAD_BYTES: usize = 8;
/// The length of what tells our requests from others.
const NONCE_BYTES: usize = 16;

/// The requests of one step.
pub struct Echo {
    request: u8,
    reply: u8,
    nonce: [u8; NONCE_BYTES],
    size: usize,
}

impl Echo {
    /// Requests to an address, with so many bytes of data.
    pub fn new(address: IpAddr, size: usize) -> Self {
        let (request, reply) = if address.is_ipv4() { (8, 0) } else { (128, 129) };
        Self { request, reply, nonce: rand::random(), size }
    }

    /// The request of that number.
    pub fn request(&self, sequence: u16) -> Vec<u8> {
        let [high, low] = sequence.to_be_bytes();
        let mut packet = vec![self.request, 0, 0, 0, 0, 0, high, low];
        packet.extend(self.nonce);
        packet.resize(HEAD_BYTES + self.size, 0);
        packet
    }

    /// The number of the request that a packet replies to; none when it is no reply to ours, or not whole.
    pub fn reply(&self, packet: &[u8]) -> Option<u16> {
        let (head, data) = packet.split_first_chunk::<HEAD_BYTES>()?;
        let [kind, code, _, _, _, _, high, low] = *head;
        let is_ours = data.len() == self.size && data.starts_with(&self.nonce);
        (kind == self.reply && code == 0 && is_ours).then(|| u16::from_be_bytes([high, low]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_reply_to_our_own_request_counts() {
        for (address, request, reply) in [("127.0.0.1", 8, 0), ("::1", 128, 129)] {
            let echo = Echo::new(address.parse().unwrap(), 56);
            let mut packet = echo.request(515);
            assert_eq!((packet.len(), packet[0], &packet[6..8]), (64, request, &[2, 3][..]));
            assert_eq!(echo.reply(&packet), None, "a request is no reply");
            packet[0] = reply;
            assert_eq!(echo.reply(&packet), Some(515));
            assert_eq!(echo.reply(&packet[..63]), None);
            assert_eq!(echo.reply(&[]), None);
            packet[8] ^= 1;
            assert_eq!(echo.reply(&packet), None, "somebody else's");
        }
    }
}
