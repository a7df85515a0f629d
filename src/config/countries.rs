//! The countries that are known, from the table in `geoip/countries.tsv`.

/// One line for each country, its ISO 3166-1 alpha-2 code first.
const TABLE: &str = include_str!("../../geoip/countries.tsv");

/// Whether two upper-case letters are a country's.
pub fn is_known(code: &str) -> bool {
    TABLE.lines().filter_map(|line| line.split('\t').next()).any(|known| known == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_and_some_are_not() {
        for (code, expected) in
            [("SA", true), ("US", true), ("GB", true), ("UK", false), ("ZZ", false), ("", false)]
        {
            assert_eq!(is_known(code), expected, "{code}");
        }
    }
}
