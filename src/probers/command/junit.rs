//! The report of a test runner in JUnit's XML. No standard says what it is, so only what every runner has in common is read:
//! `testcase` elements somewhere below `testsuites` or `testsuite`, and in them `failure`, `error` or `skipped`.
//!
//! The document is hostile: its size was bounded before, its depth is bounded here, and entities that it declares itself are
//! not known.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use crate::domain::outcome::{Case, Failure, FailureKind, Verdict};
use crate::net::entities::resolved;
use crate::net::excerpt::excerpt;

/// How many cases are kept. All are counted, and those that failed are kept first.
const CASES_MAX: usize = 500;

/// How deep elements may be nested.
const DEPTH_MAX: usize = 64;

/// How much text of one failure is looked at, in bytes.
const TEXT_MAX: usize = 4_096;

/// What a runner said.
#[derive(Debug, Default, PartialEq)]
pub struct Report {
    /// The cases, those that failed first, otherwise in their order.
    pub cases: Vec<Case>,
    /// How many passed.
    pub passed: u64,
    /// How many failed, or broke before they could.
    pub failed: u64,
    /// How many were skipped.
    pub skipped: u64,
}

/// Reads a report; the error says what is wrong with it, as an end of a sentence.
pub fn read(document: &[u8]) -> Result<Report, String> {
    let text = std::str::from_utf8(document)
        .map_err(|error| format!("is not UTF-8: byte {} is wrong", error.valid_up_to()))?;
    let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut reading = Reading::default();
    loop {
        let position = reader.buffer_position();
        let event = reader.read_event().map_err(|error| format!("is no XML at byte {position}: {error}"))?;
        if matches!(event, Event::Eof) {
            return reading.end();
        }
        reading.take(event)?;
    }
}

/// A case whose element is open.
struct Draft {
    depth: usize,
    name: String,
    took_ms: f64,
    skipped: bool,
    trouble: Option<Trouble>,
}

/// Why a case failed.
struct Trouble {
    /// The depth of its element, while that is open.
    open_at: Option<usize>,
    message: String,
    /// What stands in the element, for runners that say nothing in the attribute.
    text: String,
    kind: String,
}

#[derive(Default)]
struct Reading {
    depth: usize,
    root_seen: bool,
    /// How many failures and errors the root says there are.
    claimed: u64,
    case: Option<Draft>,
    failed: Vec<Case>,
    others: Vec<Case>,
    report: Report,
}

impl Reading {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        let unreadable = |error: &dyn std::fmt::Display| format!("has a text that cannot be read: {error}");
        match event {
            Event::Start(start) => {
                self.open(&start)?;
                self.depth += 1;
            }
            Event::Empty(start) => {
                self.open(&start)?;
                self.close(self.depth);
            }
            Event::End(_) => {
                self.depth -= 1;
                self.close(self.depth);
            }
            Event::Text(text) => self.text(&text.xml10_content().map_err(|error| unreadable(&error))?),
            Event::CData(text) => self.text(&text.xml10_content().map_err(|error| unreadable(&error))?),
            Event::GeneralRef(reference) => self.text(&resolved(&reference)?),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Eof => {}
        }
        Ok(())
    }

    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), String> {
        if self.depth >= DEPTH_MAX {
            return Err(format!("has elements more than {DEPTH_MAX} deep"));
        }
        let name = start.local_name();
        if self.depth == 0 {
            if self.root_seen {
                return Err("has two roots".to_owned());
            }
            if !matches!(name.as_ref(), b"testsuites" | b"testsuite") {
                let name = String::from_utf8_lossy(name.as_ref()).into_owned();
                return Err(format!("has the root `{}`, not `testsuites` or `testsuite`", excerpt(&name)));
            }
            self.root_seen = true;
            let claims =
                |what| attribute(start, what).map(|count| count.and_then(|count| count.trim().parse::<u64>().ok()));
            self.claimed = claims("failures")?.unwrap_or(0).saturating_add(claims("errors")?.unwrap_or(0));
            return Ok(());
        }
        let Some(case) = &mut self.case else {
            if name.as_ref() == b"testcase" {
                self.case = Some(Draft::of(start, self.depth)?);
            }
            return Ok(());
        };
        // Only what stands in the case itself speaks of it.
        if self.depth == case.depth + 1 {
            match name.as_ref() {
                b"failure" | b"error" if case.trouble.is_none() => {
                    let read = |what| attribute(start, what).map(|text| text.unwrap_or_default().into_owned());
                    let (message, kind) = (read("message")?, read("type")?);
                    case.trouble = Some(Trouble { open_at: Some(self.depth), message, text: String::new(), kind });
                }
                b"skipped" => case.skipped = true,
                _ => {}
            }
        }
        Ok(())
    }

    fn text(&mut self, more: &str) {
        let trouble = self.case.as_mut().and_then(|case| case.trouble.as_mut());
        if let Some(trouble) = trouble.filter(|trouble| trouble.open_at.is_some()) {
            let room = TEXT_MAX.saturating_sub(trouble.text.len());
            trouble.text.push_str(&more[..more.floor_char_boundary(room)]);
        }
    }

    /// Closes the element of that depth.
    fn close(&mut self, depth: usize) {
        if let Some(trouble) = self.case.as_mut().and_then(|case| case.trouble.as_mut())
            && trouble.open_at == Some(depth)
        {
            trouble.open_at = None;
        }
        if let Some(case) = self.case.take_if(|case| case.depth == depth) {
            let verdict = case.verdict();
            let (count, kept) = match &verdict {
                None => (&mut self.report.skipped, &mut self.others),
                Some(Verdict::Passed) => (&mut self.report.passed, &mut self.others),
                Some(_) => (&mut self.report.failed, &mut self.failed),
            };
            *count += 1;
            if kept.len() < CASES_MAX {
                kept.push(Case { name: case.name, verdict, took_ms: case.took_ms });
            }
        }
    }

    /// A report that ends early, shows nothing, or counts what it does not show is no proof that anything passed.
    fn end(mut self) -> Result<Report, String> {
        if self.depth > 0 {
            return Err("ends before its elements are closed".to_owned());
        }
        if !self.root_seen {
            return Err("is empty".to_owned());
        }
        let Report { passed, failed, skipped, .. } = self.report;
        if passed + failed + skipped == 0 {
            return Err("has no test case".to_owned());
        }
        if self.claimed > failed {
            return Err(format!("counts {} failures and shows {failed}", self.claimed));
        }
        self.failed.append(&mut self.others);
        self.failed.truncate(CASES_MAX);
        self.report.cases = self.failed;
        Ok(self.report)
    }
}

impl Draft {
    fn of(start: &BytesStart<'_>, depth: usize) -> Result<Self, String> {
        let class = attribute(start, "classname")?.unwrap_or_default();
        let name = attribute(start, "name")?.unwrap_or_default();
        let name = match (class.trim(), name.trim()) {
            ("", "") => "a case without a name".to_owned(),
            ("", name) => name.to_owned(),
            (class, "") => class.to_owned(),
            (class, name) => format!("{class} › {name}"),
        };
        let status = attribute(start, "status")?.unwrap_or_default();
        let seconds = attribute(start, "time")?.and_then(|time| time.replace(',', "").trim().parse::<f64>().ok());
        let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0).unwrap_or(0.0);
        Ok(Self {
            depth,
            name: excerpt(&name).into_owned(),
            took_ms: (seconds * 1e6).round() / 1e3,
            skipped: matches!(status.as_ref(), "skipped" | "notrun" | "disabled"),
            trouble: None,
        })
    }

    fn verdict(&self) -> Option<Verdict> {
        match &self.trouble {
            Some(trouble) => Some(Verdict::Failed(vec![Failure::new(FailureKind::Case, trouble.line())])),
            None if self.skipped => None,
            None => Some(Verdict::Passed),
        }
    }
}

impl Trouble {
    /// The first line that says something.
    fn line(&self) -> String {
        let lines = [&self.message, &self.text, &self.kind].into_iter().flat_map(|text| text.lines()).map(str::trim);
        let line = lines.into_iter().find(|line| !line.is_empty()).unwrap_or("failed");
        excerpt(line).into_owned()
    }
}

fn attribute<'a>(start: &'a BytesStart<'_>, name: &str) -> Result<Option<Cow<'a, str>>, String> {
    let found =
        start.try_get_attribute(name).map_err(|error| format!("has an element that cannot be read: {error}"))?;
    let value = found.map(|found| found.normalized_value(XmlVersion::Implicit1_0));
    value.transpose().map_err(|error| format!("has an attribute `{name}` that cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(document: &str) -> Vec<String> {
        let report = read(document.as_bytes()).unwrap();
        let tell = |case: &Case| match &case.verdict {
            None => format!("{} skipped", case.name),
            Some(verdict) => {
                let why = verdict.failures().first().map(|failure| format!(": {failure}")).unwrap_or_default();
                format!("{} {} in {} ms{why}", case.name, verdict.word(), case.took_ms)
            }
        };
        report.cases.iter().map(tell).collect()
    }

    #[test]
    fn what_runners_have_in_common_is_read() {
        let document = r#"<?xml version="1.0" encoding="utf-8"?>
            <testsuites errors="1" failures="2"><testsuite name="s" tests="6">
              <properties><property name="a" value="b"/></properties>
              <testcase classname="shop.cart" name="adds" time="0.0421"/>
              <testcase classname="shop.cart" name="pays" time="1,000.5"><failure message="assert 1 == 2&#10; + where" type="E">long</failure></testcase>
              <testcase name="boots"><error><![CDATA[
                 Boom <here>
                 and more]]></error><system-out>&lt;x&gt;</system-out></testcase>
              <testcase name="later"><skipped/></testcase>
              <testcase name="says &quot;no&quot;" time="-1"><failure>&#x41; &amp; B</failure><failure message="second"/></testcase>
              <testcase name="prints"><system-out>nothing <failure>is meant</failure></system-out></testcase>
            </testsuite></testsuites>"#;
        insta::assert_snapshot!(said(document).join("\n"));
        let Report { passed, failed, skipped, .. } = read(document.as_bytes()).unwrap();
        assert_eq!((passed, failed, skipped), (2, 3, 1));
    }

    #[test]
    fn what_is_no_report_is_named() {
        let deep = format!("<testsuite>{}", "<a>".repeat(100));
        let laughs = "<!DOCTYPE r [<!ENTITY a \"x\"><!ENTITY b \"&a;&a;\">]><testsuite><testcase name=\"n\"><failure>&b;</failure></testcase></testsuite>";
        let in_attribute = "<testsuite><testcase name=\"&b;\"/></testsuite>";
        let cases = [
            "",
            "no xml",
            "<html></html>",
            "<testsuite/>",
            "<testsuite><testcase name='a'/>",
            "<testsuite><testcase name='a'></testsuite>",
            "<testsuite failures='1' errors='1'><testcase name='a'><error/></testcase></testsuite>",
            "<testsuite><testcase name='a'/></testsuite><testsuite/>",
            "</testsuite>",
            deep.as_str(),
            laughs,
            in_attribute,
        ];
        let told: Vec<_> = cases.iter().map(|document| read(document.as_bytes()).unwrap_err()).collect();
        insta::assert_snapshot!(told.join("\n"));
        assert_eq!(read(b"<testsuite>\xff").unwrap_err(), "is not UTF-8: byte 11 is wrong");
    }

    #[test]
    fn of_many_cases_those_that_failed_are_kept() {
        let pass = |n: usize| format!("<testcase name='p{n}'/>");
        let fail = |n: usize| format!("<testcase name='f{n}'><failure message='{}'/></testcase>", "x".repeat(10_000));
        let all: String = (0..2_000).map(pass).chain((0..300).map(fail)).collect();
        let report = read(format!("<testsuite>{all}</testsuite>").as_bytes()).unwrap();
        assert_eq!((report.passed, report.failed, report.cases.len()), (2_000, 300, CASES_MAX));
        assert!(report.cases[..300].iter().all(|case| case.name.starts_with('f')));
        let longest = report.cases.iter().flat_map(|case| case.verdict.as_ref().unwrap().failures());
        assert!(longest.map(|failure| failure.message.chars().count()).max() <= Some(201));
    }
}
