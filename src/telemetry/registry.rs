//! Counter numbers that outlive generations: given out by identity, never taken back.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::ids::CounterId;

/// The most identities that one process gives out. Names come from the configuration, so only thousands of
/// reloads that rename everything get here; what comes after shares the last number.
pub const IDENTITIES_MAX: usize = 1 << 18;

/// What a counter counts: answers of one service that named one endpoint.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Identity {
    /// The service's name.
    pub service: String,
    /// `pool/endpoint`
    pub endpoint: String,
}

/// The append-only list of identities.
#[derive(Default)]
pub struct Registry {
    names: RwLock<Names>,
}

#[derive(Default)]
struct Names {
    identities: Vec<Identity>,
    numbers: HashMap<Identity, CounterId>,
}

impl Registry {
    /// The number for a service's endpoint: the one it has had since it was first named.
    pub fn counter(&self, service: &str, endpoint: &str) -> CounterId {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        let identity = Identity { service: service.to_owned(), endpoint: endpoint.to_owned() };
        if let Some(&number) = names.numbers.get(&identity) {
            return number;
        }
        let number = CounterId(names.identities.len().min(IDENTITIES_MAX - 1) as u32);
        if names.identities.len() < IDENTITIES_MAX {
            names.identities.push(identity.clone());
            names.numbers.insert(identity, number);
        }
        number
    }

    /// How many numbers have been given out.
    pub fn len(&self) -> usize {
        self.names.read().unwrap_or_else(PoisonError::into_inner).identities.len()
    }

    /// Whether none has been given out yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All identities, by [`CounterId`].
    pub fn identities(&self) -> Vec<Identity> {
        self.names.read().unwrap_or_else(PoisonError::into_inner).identities.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_keeps_its_number_whatever_comes_between() {
        let registry = Registry::default();
        let first = registry.counter("www", "web/a");
        let second = registry.counter("www", "web/b");
        assert_ne!(first, second);
        assert_ne!(registry.counter("shop", "web/a"), first);
        assert_eq!(registry.counter("www", "web/a"), first);
        assert_eq!(registry.len(), 3);
    }
}
