//! Cities by name, from the table in `geoip/cities.tsv` (GeoNames, CC BY 4.0).

use crate::geo::Coordinates;

/// `name`, `country`, `latitude`, `longitude`, `population`, separated by tabs; sorted by name.
const TABLE: &str = include_str!("../../geoip/cities.tsv");

/// A city.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct City {
    /// Its name in Latin letters.
    pub name: &'static str,
    /// ISO 3166-1 alpha-2.
    pub country: &'static str,
    /// Its centre.
    pub coordinates: Coordinates,
    /// How many people live there.
    pub population: u32,
}

/// The cities of that name, upper or lower case, in that country if one is given; the largest first.
pub fn find(name: &str, country: Option<&str>) -> Vec<City> {
    let lines = TABLE.lines().filter(|line| name_of(line).eq_ignore_ascii_case(name));
    let mut found: Vec<_> = lines.filter_map(read).collect();
    found.retain(|city| country.is_none_or(|country| city.country.eq_ignore_ascii_case(country)));
    found.sort_by_key(|city| std::cmp::Reverse(city.population));
    found
}

/// The largest city whose name is nearest to a misspelt one.
pub fn near(name: &str) -> Option<City> {
    let names: Vec<_> = TABLE.lines().map(name_of).collect();
    let name = super::suggest::near(name, &names)?;
    find(name, None).into_iter().next()
}

fn name_of(line: &'static str) -> &'static str {
    line.split('\t').next().unwrap_or_default()
}

fn read(line: &'static str) -> Option<City> {
    let mut fields = line.split('\t');
    let (name, country) = (fields.next()?, fields.next()?);
    let (latitude, longitude) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let population = fields.next()?.parse().ok()?;
    Some(City { name, country, coordinates: Coordinates::new(latitude, longitude)?, population })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read() {
        assert!(TABLE.lines().all(|line| read(line).is_some()));
    }

    #[test]
    fn by_name_and_country() {
        assert_eq!(find("ashburn", Some("us")).len(), 1);
        assert!(find("Dublin", None).len() > 1);
        assert_eq!(find("Dublin", Some("IE")).len(), 1);
        assert_eq!(near("Dubln").map(|city| city.country), Some("IE"));
    }
}
