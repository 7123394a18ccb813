//! Packets as a file has them: a line that names the form and what all the rest must hash to, then one line of JSON for each
//! packet. Values are their bits, so that they come back as they went.

use std::fmt::Write as _;

use chrono::DateTime;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::packet::{Packet, Resolution};
use super::whom::Whom;
use crate::domain::metric::MetricName;

/// How a file begins; a form that is not this one is not guessed at.
const FORM: &str = "roundsman-spool 1 ";

/// A packet as a line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    metric: String,
    of: Whom,
    at: i64,
    seconds: i32,
    values: Vec<(u64, u64)>,
}

/// The content of a file.
pub fn write(packets: &[Packet]) -> Result<String, serde_json::Error> {
    let mut lines = String::new();
    for packet in packets {
        let line = Line {
            metric: packet.name.as_str().to_owned(),
            of: packet.whom.clone(),
            at: packet.at.timestamp(),
            seconds: packet.resolution.seconds(),
            values: packet.counted().collect(),
        };
        lines.push_str(&serde_json::to_string(&line)?);
        lines.push('\n');
    }
    Ok(sealed(&lines))
}

/// A text that says what it must hash to.
pub fn sealed(lines: &str) -> String {
    format!("{FORM}{}\n{lines}", hash(lines))
}

/// The same without, or what is wrong with it.
pub fn unsealed(text: &str) -> Result<&str, String> {
    let (first, lines) = text.split_once('\n').ok_or("it has no first line")?;
    let hashed = first.strip_prefix(FORM).ok_or("it is not of a form that this version knows")?;
    if hashed == hash(lines) { Ok(lines) } else { Err("it is not as it was written".to_owned()) }
}

/// The packets of a file, or what is wrong with it.
pub fn read(text: &str) -> Result<Vec<Packet>, String> {
    unsealed(text)?.lines().map(packet).collect()
}

fn packet(line: &str) -> Result<Packet, String> {
    let Line { metric, of, at, seconds, values } = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let name = MetricName::named(&metric).ok_or_else(|| format!("this version has no metric `{metric}`"))?;
    let at = DateTime::from_timestamp(at, 0).ok_or("it has a time that there is not")?;
    let resolution = [Resolution::Minute, Resolution::Second].into_iter().find(|known| known.seconds() == seconds);
    let resolution = resolution.ok_or("it has a resolution that there is not")?;
    let mut packet = Packet::new(name, of, at, resolution);
    for (bits, count) in values {
        if !packet.add_counted(bits, count) {
            return Err("it has more values than a datum may have".to_owned());
        }
    }
    Ok(packet)
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::names::{ProbeName, StepName};

    fn packets() -> Vec<Packet> {
        let at = "2026-11-24T10:00:00Z".parse().unwrap();
        let (probe, step) = (ProbeName::parse("shopper").unwrap(), StepName::parse("login").unwrap());
        let mut durations = Packet::new(MetricName::StepDuration, Whom::Step(probe, step), at, Resolution::Second);
        for value in [0.1 + 0.2, 0.1 + 0.2, f64::MIN_POSITIVE, -0.0] {
            assert!(durations.add(value));
        }
        let mut beats = Packet::new(MetricName::Heartbeats, Whom::Place, at, Resolution::Minute);
        assert!(beats.add(1.0));
        vec![durations, beats]
    }

    #[test]
    fn what_is_read_is_what_was_written_to_the_bit() {
        let text = write(&packets()).unwrap();
        assert_eq!(read(&text).unwrap(), packets());
        assert_eq!(
            text.lines().nth(2).unwrap(),
            r#"{"metric":"roundsman_heartbeats","of":"place","at":1795514400,"seconds":60,"values":[[4607182418800017408,1]]}"#
        );
    }

    #[test]
    fn what_was_cut_or_changed_anywhere_is_not_believed() {
        let text = write(&packets()).unwrap();
        for length in 0..text.len() {
            assert!(read(&text[..length]).is_err(), "cut after {length} bytes");
        }
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            assert!(read(&String::from_utf8(changed).unwrap()).is_err(), "byte {at} changed");
        }
    }

    #[test]
    fn what_a_later_version_wrote_is_not_guessed_at() {
        let lines = r#"{"metric":"later","of":"place","at":0,"seconds":60,"values":[]}"#;
        let text = format!("{FORM}{}\n{lines}", hash(lines));
        assert_eq!(read(&text).unwrap_err(), "this version has no metric `later`");
        assert_eq!(read("roundsman-spool 2 x\n").unwrap_err(), "it is not of a form that this version knows");
    }
}
