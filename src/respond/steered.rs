//! What a service says of a name: its selection as records.

use super::Steering;
use super::answer::{Answering, Halt, Link};
use crate::dnssec::Content;
use crate::ids::{Family, RegionId, ServiceId};
use crate::steer::{Answer, Lane, Mode};
use crate::wire::{ExtendedError, ResponseWriter, Rtype, Section};
use crate::zone::{Located, Zone};

/// The TTL of the answer to ANY at a steered name: nothing else depends on it.
const ANY_TTL_S: u32 = 3600;

/// HINFO "RFC8482" "" (RFC 8482 section 4.2).
const ANY_HINFO: &[u8] = b"\x07RFC8482\x00";

/// The same with its length.
const ANY_HINFO_RECORD: &[u8] = b"\x00\x09\x07RFC8482\x00";

impl<S: Steering> Answering<'_, '_, S> {
    pub(super) fn steered(
        &mut self,
        zone: &Zone,
        (service, testing): (ServiceId, Option<RegionId>),
        located: &Located<'_>,
        link: Link<'_>,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Halt> {
        // R15: what is tailored is answered by itself.
        let has_subnet = self.query.edns.is_some_and(|edns| edns.subnet.is_some());
        if has_subnet && testing.is_none() && !link.asked {
            return self.settle(zone, writer);
        }
        let rtype = self.query.question.rtype;
        let wanted = match (self.steering.is_alias(service), rtype) {
            // These stand beside a CNAME (RFC 4034 section 2.5), and this zone has none.
            (true, Rtype::NSEC | Rtype::RRSIG) => {
                return self.negative(zone, located, link, u32::MAX, writer);
            }
            (true, _) => Lane::Alias,
            (false, Rtype::A) => Lane::Addresses(Family::V4),
            (false, Rtype::AAAA) => Lane::Addresses(Family::V6),
            (false, Rtype::HTTPS | Rtype::SVCB) if self.steering.binding(service, rtype).is_some() => {
                Lane::Service
            }
            (false, Rtype::ANY) => {
                let hinfo = std::iter::once(ANY_HINFO);
                let (owner, offset) = (link.owner(0), writer.offset());
                writer.rrset(Section::Answer, owner, Rtype::HINFO, ANY_TTL_S, hinfo)?;
                let name = zone.name_of(located.node).ok_or(Halt::Unsigned)?;
                let subject = (owner, &name, Rtype::HINFO, ANY_TTL_S);
                self.sign_now(subject, Section::Answer, ANY_HINFO_RECORD, writer)?;
                self.expanded(located, link, offset);
                return self.settle(zone, writer);
            }
            (false, _) => return self.negative(zone, located, link, u32::MAX, writer),
        };
        let selection = match testing {
            Some(region) => self.steering.steer_region(service, region, wanted, self.moment.1),
            None => {
                self.answered.steered = Some((service, self.client.prefix()));
                self.steering.steer(service, wanted, &self.client, self.moment)
            }
        };
        self.answered.mode = testing.is_none().then_some(selection.mode);
        // The answer is not what health says now but what was good before it failed (R9, H11).
        let is_held = testing.is_none() && selection.mode != Mode::Normal;
        let offset = writer.offset();
        match selection.answer {
            // R9's `nodata` lasts no longer than the health that it follows from.
            Answer::NoData if selection.mode == Mode::AllDown => {
                return self.negative(zone, located, link, selection.ttl_s, writer);
            }
            Answer::NoData => return self.negative(zone, located, link, u32::MAX, writer),
            Answer::Refused => {
                // Behind an alias the chain just ends: whoever goes on is refused then.
                if link.asked {
                    self.refuse(Some(ExtendedError::NotReady));
                }
                return self.settle(zone, writer);
            }
            Answer::Addresses(addresses) => {
                let (section, owner, ttl_s) = (Section::Answer, link.owner(0), selection.ttl_s);
                let binding = self.steering.binding(service, rtype).filter(|_| wanted == Lane::Service);
                let content = match binding {
                    Some(binding) => {
                        writer.binding(section, owner, rtype, ttl_s, binding, addresses)?;
                        Content::Binding(binding, addresses)
                    }
                    None => {
                        writer.addresses(section, owner, rtype, ttl_s, addresses)?;
                        Content::Addresses(addresses)
                    }
                };
                self.sign_answer(zone, located, link, (ttl_s, &content), writer)?;
            }
            Answer::Alias(target) => {
                let (owner, rdata) = (link.owner(0), std::iter::once(target));
                writer.rrset(Section::Answer, owner, Rtype::CNAME, selection.ttl_s, rdata)?;
                let content = (selection.ttl_s, &Content::Alias(target));
                self.sign_answer(zone, located, link, content, writer)?;
            }
        }
        self.answered.scope = selection.scope;
        self.answered.counters = selection.counters;
        self.answered.error = is_held.then_some(ExtendedError::StaleAnswer);
        self.expanded(located, link, offset);
        self.settle(zone, writer)
    }
}
