//! The forms by which somebody takes an incident on or says something of it. Each stands on a page of its own, since the page of
//! an incident reads itself anew and would take away what is being typed.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::access::Caller;
use super::api::answers::Trouble;
use super::api::incidents::{act, known_id, unknown};
use super::frame::{Frame, Place, page};
use super::incident::what;
use super::marks::Tone;
use super::routes::{Room, html};
use super::view::{LINE_MAX, View};
use super::visit::Visit;
use crate::domain::incident::Incident;
use crate::engine::ledger::acts::{Act, BY_MAX};

/// What can be done.
#[derive(Clone, Copy)]
struct Form {
    title: &'static str,
    /// What the text is about, and whether there has to be one.
    text: (&'static str, bool),
    button: &'static str,
}

const ACKNOWLEDGE: Form =
    Form { title: "Take it on", text: ("What you are going to do, if you know", false), button: "I take it on" };

const NOTE: Form = Form { title: "Note", text: ("What others should know", true), button: "Write it down" };

/// The form by which it is taken on.
pub async fn acknowledge_form(room: State<Arc<Room>>, id: Path<String>, visit: Visit) -> Response {
    answered(&room, ACKNOWLEDGE.title, Place::Act, "?", shown(&room, &ACKNOWLEDGE, id, &visit).await)
}

/// Takes it on.
pub async fn acknowledge(
    room: State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    id: Path<String>,
    request: Request,
) -> Response {
    let done =
        done(&room, &caller, id, request, |text| Act::Acknowledge { note: Some(text).filter(|text| !text.is_empty()) });
    answered(&room, ACKNOWLEDGE.title, Place::Act, "?", done.await)
}

/// The form by which something is said of it.
pub async fn note_form(room: State<Arc<Room>>, id: Path<String>, visit: Visit) -> Response {
    answered(&room, NOTE.title, Place::Act, "?", shown(&room, &NOTE, id, &visit).await)
}

/// Says something of it.
pub async fn note(
    room: State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    id: Path<String>,
    request: Request,
) -> Response {
    answered(&room, NOTE.title, Place::Act, "?", done(&room, &caller, id, request, Act::Note).await)
}

async fn shown(room: &Room, form: &Form, Path(id): Path<String>, visit: &Visit) -> Result<Response, Trouble> {
    room.when_ready()?;
    let (plan, id) = (room.plan(), known_id(id)?);
    let story = room.patiently(room.web.reader.incident(&id)).await?.ok_or_else(|| unknown(&id))?;
    Ok(html(StatusCode::OK, drawn(&room.view(&plan, visit), form, &story.incident)))
}

/// Whoever sees the page of the incident afterwards may read it anew without doing it again.
async fn done(
    room: &Room,
    caller: &Caller,
    Path(id): Path<String>,
    request: Request,
    what: impl FnOnce(String) -> Act,
) -> Result<Response, Trouble> {
    let bytes = room.bytes(request.into_body()).await?;
    let (mut by, mut text) = (String::new(), String::new());
    for (name, value) in url::form_urlencoded::parse(&bytes) {
        match &*name {
            "by" => by = value.trim().to_owned(),
            // Browsers end the lines of a form as those of a mail.
            "text" => text = value.trim().replace("\r\n", "\n"),
            _ => return Err(Trouble::new(StatusCode::BAD_REQUEST, "the form has two fields: `by` and `text`")),
        }
    }
    let acted = act(room, caller, id, by, what(text)).await?;
    let location = format!("../{}", acted.incident.id);
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}

/// An answer, or a page that says why there is none; `back` leads to where it was asked.
pub fn answered(
    room: &Room,
    title: &'static str,
    place: Place,
    back: &str,
    answer: Result<Response, Trouble>,
) -> Response {
    answer.unwrap_or_else(|trouble| {
        let plan = room.plan();
        let view = room.view(&plan, &Visit::default());
        let main = html! {
            h1 { "This was not done." }
            p .lede { (view.text(trouble.sentence(), LINE_MAX)) }
            p { a .btn href=(back) { "Back" } }
        };
        let frame = Frame { place, title, tone: Tone::Unknown, refresh: None, main };
        html(trouble.status(), page(&view, &frame))
    })
}

/// Word that nobody can do anything.
pub fn tokenless() -> Markup {
    html! { "Whoever changes something needs a token, and none is set: write " code { "web: { token: \"${secret:name}\" }" } "." }
}

/// Who does it: whom the proxy names, else as they say.
pub fn by(view: &View<'_>) -> Markup {
    html! {
        @if let Some(user) = &view.visit.user { p { "By " b { (view.text(user, BY_MAX)) } "." } }
        @else { p { label for="by" { "Your name" } input id="by" name="by" required maxlength=(BY_MAX) autocomplete="name"; } }
    }
}

fn drawn(view: &View<'_>, form: &Form, incident: &Incident) -> Markup {
    let (text, is_needed) = form.text;
    let main = html! {
        h1 { (form.title) ": " (incident.severity) " " (view.text(&what(incident), LINE_MAX)) }
        @if !view.plan.web.can_be_operated() {
            p .lede { (tokenless()) }
        } @else {
            form .card .pad method="post" {
                (by(view))
                p { label for="text" { (text) } textarea id="text" name="text" rows="4" maxlength="2000" required[is_needed] {} }
                p { button .btn type="submit" { (form.button) } " " a .btn href={ "../" (incident.id) } { "Back" } }
            }
        }
    };
    page(view, &Frame { place: Place::Act, title: form.title, tone: Tone::Unknown, refresh: None, main })
}
