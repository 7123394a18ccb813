//! The two texts of an incident, pinned.

use super::fixture::{incident, plan, story, view};
use crate::domain::incident::Acknowledgement;
use crate::engine::testing::at;
use crate::web::post_mortem::post_mortem;
use crate::web::war_room::war_room;

#[test]
fn the_text_of_the_war_room_is_filled_in_while_it_goes_on() {
    let plan = plan();
    let mut open = incident();
    open.changes = vec!["api-health saw version 1.0.0 become 1.1.0 at 2026-11-24 09:05:12 UTC".to_owned()];
    insta::assert_snapshot!(war_room(&view(&plan), &story(open)));
}

#[test]
fn the_post_mortem_begins_with_all_that_is_known() {
    let mut plan = plan();
    plan.web.url = Some("https://rounds.example".to_owned());
    let mut over = incident();
    let taken = Acknowledgement { at: at("2026-11-24T09:15:02Z"), by: "ann".to_owned(), note: None };
    (over.acknowledged, over.resolved_at) = (Some(taken), Some(at("2026-11-24T09:16:31Z")));
    over.firing.clear();
    insta::assert_snapshot!(post_mortem(&view(&plan), &story(over.clone())));
    let text = war_room(&view(&plan), &story(over));
    assert!(text.contains("- Duration: 2 min 29 s\n") && text.contains("https://rounds.example/incidents/01KB2H8"));
}
