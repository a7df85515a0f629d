//! Class CH: who this server is and what it runs (RFC 4892), where the operator lets it tell.

use super::Steering;
use super::answer::Answering;
use crate::wire::{ExtendedError, Full, Name, Owner, ResponseWriter, Rtype, Section};

impl<S: Steering> Answering<'_, '_, S> {
    pub(super) fn chaos(&mut self, name: &Name, writer: &mut ResponseWriter<'_>) -> Result<(), Full> {
        let chaos = &self.steering.settings().chaos;
        let text = match name.octets() {
            b"\x07version\x04bind\x00" | b"\x07version\x06server\x00" => &chaos.version,
            b"\x08hostname\x04bind\x00" | b"\x02id\x06server\x00" => &chaos.identity,
            _ => {
                self.refuse(Some(ExtendedError::NotAuthoritative));
                return Ok(());
            }
        };
        let Some(text) = text else {
            self.refuse(Some(ExtendedError::Prohibited));
            return Ok(());
        };
        // There is no zone around these names, so there is no SOA for an empty answer.
        if !matches!(self.query.question.rtype, Rtype::TXT | Rtype::ANY) {
            return Ok(());
        }
        writer.rrset(Section::Answer, Owner::Question(0), Rtype::TXT, 0, std::iter::once(text.as_ref()))
    }
}
