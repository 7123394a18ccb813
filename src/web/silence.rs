//! The form by which nobody is told for a while, of an incident and of what is like it; and the silences that take an incident,
//! each with the button that ends it.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use chrono::NaiveDateTime;
use maud::{Markup, html};

use super::access::Caller;
use super::acts::{answered, by, tokenless};
use super::api::answers::Trouble;
use super::api::bodies::About;
use super::api::incidents::{known_id, unknown};
use super::api::silences::silence;
use super::frame::{Frame, Place, page};
use super::incident::what;
use super::marks::Tone;
use super::routes::{Room, html as shown};
use super::units::list;
use super::view::{LINE_MAX, View};
use super::visit::Visit;
use crate::domain::incident::{Incident, Severity};
use crate::domain::names::ScheduleName;
use crate::domain::quiet::{Silence, SilenceId, TEXT_MAX};
use crate::domain::time::{Length, Timestamp, later};
use crate::engine::ledger::silences::Silencing;
use crate::ports::Overview;

const TITLE: &str = "Silence";

/// For how long, as the form offers it; nothing is until an instant.
const LENGTHS: [(&str, &str); 4] = [("30m", "30 minutes"), ("1h", "1 hour"), ("4h", "4 hours"), ("24h", "1 day")];

/// The silences that take an incident, or will.
pub fn taking<'a>(view: &View<'_>, overview: &'a Overview, incident: &Incident) -> Vec<&'a Silence> {
    let silences = overview.silences.iter();
    silences.filter(|silence| view.now < silence.until && silence.matchers.take(incident)).collect()
}

/// They, each with its button.
pub fn drawn(view: &View<'_>, silences: &[&Silence], incident: &Incident) -> Markup {
    html! {
        @if !silences.is_empty() {
            section .card .pad {
                h2 { "Silences" }
                @for silence in silences {
                    div .muted {
                        p {
                            @if silence.is_active(view.now) { "Until " } @else { "From " (view.instant(silence.from)) " until " }
                            b { (view.instant(silence.until)) } ", by " (view.text(&silence.by, 60)) ": "
                            (view.text(&silence.reason, LINE_MAX))
                            span .dim .block { (view.text(&silence.matchers.to_string(), LINE_MAX)) }
                        }
                        @if view.plan.web.can_be_operated() {
                            form .plain method="post" action={ (incident.id) "/silences/" (silence.id) "/end" } {
                                button .btn type="submit" { "End it" }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The form.
pub async fn form(State(room): State<Arc<Room>>, id: Path<String>, visit: Visit) -> Response {
    answered(&room, TITLE, Place::Act, "", asked(&room, id, &visit).await)
}

async fn asked(room: &Room, Path(id): Path<String>, visit: &Visit) -> Result<Response, Trouble> {
    room.when_ready()?;
    let (plan, id) = (room.plan(), known_id(id)?);
    let story = room.patiently(room.web.reader.incident(&id)).await?.ok_or_else(|| unknown(&id))?;
    Ok(shown(StatusCode::OK, of_incident(&room.view(&plan, visit), &story.incident)))
}

/// The form, with what takes this incident filled in.
pub fn of_incident(view: &View<'_>, incident: &Incident) -> Markup {
    let labels: Vec<_> = incident.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let main = html! {
        h1 { "Silence: " (incident.severity) " " (view.text(&what(incident), LINE_MAX)) }
        @if !view.plan.web.can_be_operated() { p .lede { (tokenless()) } }
        @else {
            p .lede { "Nobody is told of it meanwhile. Probing goes on, and whoever was told it began is told when it is over." }
            form .card .pad method="post" {
                (by(view))
                p { label for="reason" { "Why: whoever wonders about the quiet reads it" } input id="reason" name="reason" required maxlength=(TEXT_MAX); }
                p .side {
                    span {
                        label for="for" { "For how long" }
                        select id="for" name="for" {
                            @for (length, words) in LENGTHS { option value=(length) selected[length == "1h"] { (words) } }
                            option value="" { "until …" }
                        }
                    }
                    span {
                        label for="until" { "Until, in UTC, where that is chosen" }
                        input id="until" name="until" type="datetime-local" autocomplete="off";
                    }
                }
                fieldset {
                    legend { "About what: all that is filled in must fit; several are written with commas" }
                    p { label for="probes" { "Probes, or globs with *" } input id="probes" name="probes" value=(incident.probe) autocomplete="off"; }
                    p { label for="schedules" { "Schedules: all that hold it open" } input id="schedules" name="schedules" autocomplete="off"; }
                    p { label for="labels" { "Labels, as key=value" } input id="labels" name="labels" autocomplete="off"; }
                    p { label for="severities" { "Severities" } input id="severities" name="severities" autocomplete="off"; }
                    p .dim {
                        "This one is on " (list(incident.schedules.iter().map(ScheduleName::as_str)))
                        @if !labels.is_empty() { ", and has " (view.text(&labels.join(", "), LINE_MAX)) } "."
                    }
                }
                p { button .btn type="submit" { "Silence it" } " " a .btn href={ "../" (incident.id) } { "Back" } }
            }
        }
    };
    page(view, &Frame { place: Place::Act, title: TITLE, tone: Tone::Unknown, refresh: None, main })
}

/// Begins one.
pub async fn begin(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    id: Path<String>,
    request: Request,
) -> Response {
    answered(&room, TITLE, Place::Act, "?", begun(&room, &caller, id, request).await)
}

/// Whoever sees the page of the incident afterwards may read it anew without doing it again.
async fn begun(room: &Room, caller: &Caller, Path(id): Path<String>, request: Request) -> Result<Response, Trouble> {
    let id = known_id(id)?;
    let bytes = room.bytes(request.into_body()).await?;
    let written = Written::of(&bytes)?;
    let until = written.until(room.web.clock.now())?;
    let Written { by, reason, about, .. } = written;
    let by = caller.by(by);
    let author = caller.author(Some(by.clone()));
    silence(room, Silencing::Begin { matchers: about.into(), by, reason, from: None, until }, author).await?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, format!("../{id}"))]).into_response())
}

/// Ends one.
pub async fn end(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    Path((id, of)): Path<(String, String)>,
) -> Response {
    let done = async {
        let id = known_id(id)?;
        silence(&room, Silencing::End(SilenceId(Arc::from(of))), caller.author(None)).await?;
        Ok((StatusCode::SEE_OTHER, [(header::LOCATION, format!("../../../{id}"))]).into_response())
    };
    answered(&room, TITLE, Place::Ending, "", done.await)
}

/// What was written into the form.
#[derive(Debug, Default, PartialEq, Eq)]
struct Written {
    by: String,
    reason: String,
    length: String,
    until: String,
    about: About,
}

impl Written {
    fn of(bytes: &[u8]) -> Result<Self, Trouble> {
        let wrong = |sentence: String| Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, sentence);
        let mut written = Self::default();
        for (name, value) in url::form_urlencoded::parse(bytes) {
            let value = value.trim();
            let several = || value.split(',').map(str::trim).filter(|part| !part.is_empty());
            match &*name {
                "by" => value.clone_into(&mut written.by),
                "reason" => value.clone_into(&mut written.reason),
                "for" => value.clone_into(&mut written.length),
                "until" => value.clone_into(&mut written.until),
                "probes" => written.about.probes = several().map(str::to_owned).collect(),
                "schedules" => {
                    for schedule in several() {
                        let parsed = ScheduleName::parse(schedule).map_err(|error| wrong(error.to_string()))?;
                        written.about.schedules.insert(parsed);
                    }
                }
                "labels" => {
                    for label in several() {
                        let (key, value) = label
                            .split_once('=')
                            .ok_or_else(|| wrong(format!("`{label}` is not a label: write `key=value`")))?;
                        written.about.labels.insert(key.trim().to_owned(), value.trim().to_owned());
                    }
                }
                "severities" => {
                    for severity in several() {
                        let parsed: Severity = severity
                            .parse()
                            .map_err(|_| wrong(format!("`{severity}` is not a severity: write P1, P2, P3 or P4")))?;
                        written.about.severities.insert(parsed);
                    }
                }
                _ => return Err(Trouble::new(StatusCode::BAD_REQUEST, "the form has no such field")),
            }
        }
        Ok(written)
    }

    /// When it is over: so long from now, or at the instant that is written.
    fn until(&self, now: Timestamp) -> Result<Timestamp, Trouble> {
        let wrong = |sentence: &str| Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, sentence);
        if !self.length.is_empty() {
            let length: Length = self.length.parse().map_err(|_| wrong("that is no length of time"))?;
            return Ok(later(now, length.0.max(Duration::from_secs(1))));
        }
        if self.until.is_empty() {
            return Err(wrong("a silence ends: say for how long, or until when"));
        }
        let parsed = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(&self.until, form).ok());
        parsed.map(|at| at.and_utc()).ok_or_else(|| wrong("`until` is written like 2026-11-24T10:30, in UTC"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::at;

    fn written(form: &str) -> Result<Written, String> {
        Written::of(form.as_bytes()).map_err(|trouble| trouble.sentence().to_owned())
    }

    #[test]
    fn a_form_says_about_what_and_until_when() {
        let form = "by=ann&reason=deploy&for=4h&until=&probes=api-*%2C+web&schedules=reachability&labels=team%3Dshop&severities=P3%2CP4";
        let of_form = written(form).unwrap();
        assert_eq!(of_form.about.probes, ["api-*", "web"]);
        assert_eq!(
            crate::domain::quiet::Matchers::from(of_form.about.clone()).to_string(),
            "api-*, web, reachability, team=shop, P4, P3"
        );
        let now = at("2026-11-24T10:00:00Z");
        assert_eq!(of_form.until(now).unwrap(), at("2026-11-24T14:00:00Z"));
        let until = |text: &str| {
            written(&format!("for=&until={text}")).unwrap().until(now).map_err(|trouble| trouble.sentence().to_owned())
        };
        assert_eq!(until("2026-11-24T18%3A30"), Ok(at("2026-11-24T18:30:00Z")));
        assert_eq!(until(""), Err("a silence ends: say for how long, or until when".to_owned()));
        assert_eq!(until("tomorrow"), Err("`until` is written like 2026-11-24T10:30, in UTC".to_owned()));
        assert_eq!(written("labels=team"), Err("`team` is not a label: write `key=value`".to_owned()));
        assert_eq!(written("severities=P9"), Err("`P9` is not a severity: write P1, P2, P3 or P4".to_owned()));
        assert_eq!(written("x=1"), Err("the form has no such field".to_owned()));
    }
}
