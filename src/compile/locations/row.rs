//! What the sources say of one client, and who says it: the row that an explanation shows (X1).

use super::{Atlas, LocationError, joined};
use crate::geo::{ClientPrefix, Effective, Row, SaidBy, unlocated_block};

impl Atlas {
    /// What is known of a client, by its first address; of the IPv4 network inside where there is one (E4).
    ///
    /// # Errors
    /// When a database is damaged.
    pub fn row(&self, client: ClientPrefix) -> Result<Row, LocationError> {
        let client = Effective::of(client).prefix;
        let host = ClientPrefix::host(client.address());
        let (address, family) = (host.address(), host.family());
        let entry =
            self.overrides.find(host).and_then(|number| Some((number, self.overrides.place(number)?)));
        if let (None, Some(block)) = (&entry, unlocated_block(client)) {
            return Ok(Row { network: host, location: None, said_by: SaidBy::Special(block) });
        }
        let places = self.places(family);
        let numbers = self.system_numbers(family);
        let asn = numbers.map_or(Ok(None), |database| database.find(address))?;
        let (said, network, said_by) = match entry {
            Some((number, (network, file, line))) => {
                (self.overrides.location(number), network, SaidBy::Override(file.into(), line))
            }
            None => match (places, places.map_or(Ok(None), |database| database.find(address))?) {
                (Some(database), Some((network, location))) => {
                    (Some(location), network, SaidBy::Database(database.name().into()))
                }
                _ => match (numbers, &asn) {
                    (Some(database), Some((network, _))) => {
                        (None, *network, SaidBy::Database(database.name().into()))
                    }
                    _ => (None, host, SaidBy::Nobody),
                },
            },
        };
        Ok(Row { network, location: joined(said, asn.map(|(_, location)| location)), said_by })
    }
}
