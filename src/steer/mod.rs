//! Who is chosen (pure): a policy tree, a place and a health table in, a decision out.
//!
//! `plan` is the compiled tree; `decide` walks it once for a class of places and one lane (A, AAAA or
//! alias) and arrives at a [`Decision`]: the weighted candidates before any draw. `table` holds the
//! decisions of all classes of a service, made when a view is made; `sticky` is the keyed hash.

mod calendar;
mod decide;
mod decision;
mod few;
mod plan;
mod rtt;
mod selection;
mod sticky;
mod table;
mod trace;

pub use calendar::{Calendar, Cron, Schedule, ScheduleState, Switch, Window, parse_utc, utc_text};
pub use decide::{Inputs, LastGood, decide, decide_region, retrace};
pub use decision::{Decided, Decision, Mix, Mode, Pick};
pub use few::Few;
pub use plan::{
    Aaaa, AllDown, Branch, ClientSubnetUse, Endpoint, EndpointAddress, Families, Fleet, Lane, MinHealthy,
    Node, Plan, Rule, Sticky, Trickle,
};
pub use rtt::{RttTable, prior_tenths};
pub use selection::{Answer, Client, PlainSelection, Selection};
pub use sticky::{StickyKey, client_key, gate_value, hashed_length};
pub use table::{Folds, LaneTable, Located, Places, Remembered, ServiceTable};
pub use trace::{Step, Trace};
