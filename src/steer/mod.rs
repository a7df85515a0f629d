//! Who is chosen (pure): a policy tree, a place and a health table in, a decision out.

mod selection;

pub use selection::{Answer, Client, Selection, Wanted};
