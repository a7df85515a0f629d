//! DNS messages as octets (pure): queries are parsed in place, replies are composed in place.
//!
//! Nothing here allocates on the query path and nothing here knows zones, places or health.

mod binding;
mod compression;
mod edns;
mod freshness;
mod name;
mod query;
mod types;
mod writer;

pub use binding::{ServiceBinding, SvcParamKey};
pub use edns::{
    CLIENT_COOKIE_OCTETS, ClientSubnet, Cookie, Edns, EdnsOption, ExtendedError, Keepalive, OptionCode,
};
pub use freshness::freshness;
pub use name::{
    LABEL_OCTETS_MAX, NAME_OCTETS_MAX, Name, NameTextError, name_octets, name_text, parse_name, read_name,
};
pub use query::{Header, Malformed, Parsed, Query, Question, Rejected, Silence};
pub use types::{Class, Opcode, Rcode, Rtype};
pub use writer::{COOKIE_OCTETS, Full, HEADER_OCTETS, Opt, Owner, ResponseWriter, Section, Verdict};

/// The largest DNS message: TCP's length field has 16 bits (RFC 1035 section 4.2.2).
pub const MESSAGE_OCTETS_MAX: usize = 65_535;

/// What every client takes over UDP without saying so (RFC 1035 section 2.3.4).
pub const UDP_OCTETS_MIN: usize = 512;
