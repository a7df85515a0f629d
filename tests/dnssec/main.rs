//! Whatever a signed zone answers is believed by a validator that knows its keys, and says the same as the
//! answer without signatures: static zones by every kind of denial, steered names in every state of health.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod amplification;
mod given;
mod statics;
mod steered;
mod validator;
#[path = "../world/view.rs"]
mod view;
mod world;
