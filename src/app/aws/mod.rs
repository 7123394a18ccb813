//! `roundsman aws`: what is there to be made in AWS, as code. It is printed, and AWS's own tools apply it, show what differs and
//! take it back.
//!
//! [`printed`] has the commands. [`place`] says where our metrics stand, [`estate`] what of the site's is shown beside them.
//! The [`dashboard`] is laid out of [`widget`]s on a [`grid`], the estate's by [`operations`]. [`alarms`] are those of the
//! heartbeat and the estate, of alert [`policies`] and of [`objectives`], by names of [`named`]. The [`policy`] allows what the plan asks of AWS, and
//! the [`template`] holds all three. What AWS bills for them is in [`billed`].

pub mod alarms;
pub mod billed;
pub mod dashboard;
pub mod estate;
pub mod grid;
pub mod named;
pub mod objectives;
pub mod operations;
pub mod place;
pub mod policies;
pub mod policy;
pub mod printed;
pub mod template;
pub mod widget;

#[cfg(test)]
pub(super) mod testing;
