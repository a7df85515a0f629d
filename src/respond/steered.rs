//! What a service says of a name: its selection as records.

use super::Steering;
use super::answer::{Answering, Link};
use crate::geo::ClientPrefix;
use crate::ids::{Family, RegionId, ServiceId};
use crate::steer::{Answer, Lane, Mode};
use crate::wire::{ExtendedError, Full, Rcode, ResponseWriter, Rtype, Section};
use crate::zone::Zone;

/// The TTL of the answer to ANY at a steered name: nothing else depends on it.
const ANY_TTL_S: u32 = 3600;

/// HINFO "RFC8482" "" (RFC 8482 section 4.2).
const ANY_HINFO: &[u8] = b"\x07RFC8482\x00";

impl<S: Steering> Answering<'_, '_, S> {
    pub(super) fn steered(
        &mut self,
        zone: &Zone,
        service: ServiceId,
        testing: Option<RegionId>,
        link: Link<'_>,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Full> {
        // R15: what is tailored is answered by itself.
        let has_subnet = self.query.edns.is_some_and(|edns| edns.subnet.is_some());
        if has_subnet && testing.is_none() && !link.asked {
            return Ok(());
        }
        let rtype = self.query.question.rtype;
        let wanted = match (self.steering.is_alias(service), rtype) {
            // These stand beside a CNAME (RFC 4034 section 2.5), and this zone has none.
            (true, Rtype::NSEC | Rtype::RRSIG) => return self.negative(zone, Rcode::NoError, writer),
            (true, _) => Lane::Alias,
            (false, Rtype::A) => Lane::Addresses(Family::V4),
            (false, Rtype::AAAA) => Lane::Addresses(Family::V6),
            (false, Rtype::HTTPS | Rtype::SVCB) if self.steering.binding(service, rtype).is_some() => {
                Lane::Service
            }
            (false, Rtype::ANY) => {
                let hinfo = std::iter::once(ANY_HINFO);
                return writer.rrset(Section::Answer, link.owner(0), Rtype::HINFO, ANY_TTL_S, hinfo);
            }
            (false, _) => return self.negative(zone, Rcode::NoError, writer),
        };
        let selection = match testing {
            Some(region) => self.steering.steer_region(service, region, wanted, self.moment.1),
            None => {
                let prefix = self.client.subnet.unwrap_or(ClientPrefix::host(self.client.resolver));
                self.answered.steered = Some((service, prefix));
                self.steering.steer(service, wanted, &self.client, self.moment)
            }
        };
        self.answered.mode = testing.is_none().then_some(selection.mode);
        // The answer is not what health says now but what was good before it failed (R9, H11).
        let is_held = testing.is_none() && selection.mode != Mode::Normal;
        match selection.answer {
            // R9's `nodata` lasts no longer than the health that it follows from.
            Answer::NoData if selection.mode == Mode::AllDown => {
                return self.negative_within(zone, Rcode::NoError, selection.ttl_s, writer);
            }
            Answer::NoData => return self.negative(zone, Rcode::NoError, writer),
            Answer::Refused => {
                // Behind an alias the chain just ends: whoever goes on is refused then.
                if link.asked {
                    self.refuse(Some(ExtendedError::NotReady));
                }
                return Ok(());
            }
            Answer::Addresses(addresses) => {
                self.answered.scope = selection.scope;
                let (section, owner, ttl_s) = (Section::Answer, link.owner(0), selection.ttl_s);
                match self.steering.binding(service, rtype).filter(|_| wanted == Lane::Service) {
                    Some(binding) => {
                        writer.binding(section, owner, rtype, ttl_s, binding, addresses)?;
                    }
                    None => writer.addresses(section, owner, rtype, ttl_s, addresses)?,
                }
            }
            Answer::Alias(target) => {
                self.answered.scope = selection.scope;
                let target = std::iter::once(target);
                writer.rrset(Section::Answer, link.owner(0), Rtype::CNAME, selection.ttl_s, target)?;
            }
        }
        self.answered.counters = selection.counters;
        self.answered.error = is_held.then_some(ExtendedError::StaleAnswer);
        Ok(())
    }
}
