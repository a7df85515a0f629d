//! Everything that a zone holds, one after the other: for comparing whole zones, never for a query.

use super::lookup::Zone;
use super::tree::ROOT;
use crate::ids::ServiceId;
use crate::wire::{Name, Rtype};

/// One thing that a zone holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Held {
    /// An RRset.
    Rrset(Rtype),
    /// A service answers.
    Steered(ServiceId),
}

impl Zone {
    /// Calls `visit` with every owner (a wildcard as it is written) and each thing that it holds.
    pub fn walk(&self, visit: &mut dyn FnMut(&Name, Held)) {
        for number in 0..self.nodes.len() as u32 {
            let held = self.held(number);
            if held.is_empty() {
                continue;
            }
            let Some(name) = self.name_of(number) else { continue };
            for held in held {
                visit(&name, held);
            }
        }
    }

    fn held(&self, number: u32) -> Vec<Held> {
        let entries = self.nodes.get(number as usize).map_or(&[][..], |node| self.entries_of(*node));
        let rrsets = entries.iter().map(|entry| Held::Rrset(entry.rtype));
        rrsets.chain(self.service(number).map(Held::Steered)).collect()
    }

    fn name_of(&self, mut number: u32) -> Option<Name> {
        let mut prefix = Vec::new();
        while number != ROOT {
            let (parent, label) = self.tree.place(number)?;
            prefix.push(u8::try_from(label.len()).ok()?);
            prefix.extend_from_slice(label);
            number = parent;
        }
        Name::joined(&prefix, self.origin.octets())
    }
}
