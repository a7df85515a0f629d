//! Where the public clouds' regions are: the metropolitan area that each provider names.
//!
//! Providers publish the area and not the buildings; a region's place here is the centre of that
//! area (or of the data-centre cluster where that is common knowledge, as for Ashburn), to a tenth
//! of a degree. Steering needs no more.

/// A region's name, degrees north, degrees east.
pub type CloudRegion = (&'static str, f64, f64);

/// The clouds that have a table.
pub const CLOUDS: [&str; 3] = ["aws", "gcp", "azure"];

/// The regions of a cloud.
pub fn of(cloud: &str) -> Option<&'static [CloudRegion]> {
    match cloud {
        "aws" => Some(AWS),
        "gcp" => Some(GCP),
        "azure" => Some(AZURE),
        _ => None,
    }
}

/// Amazon Web Services.
const AWS: &[CloudRegion] = &[
    ("af-south-1", -33.9, 18.4),      // Cape Town
    ("ap-east-1", 22.3, 114.2),       // Hong Kong
    ("ap-east-2", 25.0, 121.5),       // Taipei
    ("ap-northeast-1", 35.7, 139.7),  // Tokyo
    ("ap-northeast-2", 37.6, 127.0),  // Seoul
    ("ap-northeast-3", 34.7, 135.5),  // Osaka
    ("ap-south-1", 19.1, 72.9),       // Mumbai
    ("ap-south-2", 17.4, 78.5),       // Hyderabad
    ("ap-southeast-1", 1.3, 103.8),   // Singapore
    ("ap-southeast-2", -33.9, 151.2), // Sydney
    ("ap-southeast-3", -6.2, 106.8),  // Jakarta
    ("ap-southeast-4", -37.8, 145.0), // Melbourne
    ("ap-southeast-5", 3.1, 101.7),   // Kuala Lumpur
    ("ap-southeast-6", -36.8, 174.8), // Auckland
    ("ap-southeast-7", 13.8, 100.5),  // Bangkok
    ("ca-central-1", 45.5, -73.6),    // Montreal
    ("ca-west-1", 51.0, -114.1),      // Calgary
    ("cn-north-1", 39.9, 116.4),      // Beijing
    ("cn-northwest-1", 37.5, 105.2),  // Zhongwei, Ningxia
    ("eu-central-1", 50.1, 8.7),      // Frankfurt
    ("eu-central-2", 47.4, 8.5),      // Zurich
    ("eu-north-1", 59.3, 18.1),       // Stockholm
    ("eu-south-1", 45.5, 9.2),        // Milan
    ("eu-south-2", 41.6, -0.9),       // Zaragoza
    ("eu-west-1", 53.3, -6.3),        // Dublin
    ("eu-west-2", 51.5, -0.1),        // London
    ("eu-west-3", 48.9, 2.4),         // Paris
    ("eusc-de-east-1", 52.4, 13.1),   // Brandenburg
    ("il-central-1", 32.1, 34.8),     // Tel Aviv
    ("me-central-1", 25.2, 55.3),     // Dubai
    ("me-south-1", 26.2, 50.6),       // Manama
    ("mx-central-1", 20.6, -100.4),   // Queretaro
    ("sa-east-1", -23.5, -46.6),      // Sao Paulo
    ("us-east-1", 39.0, -77.5),       // Ashburn, Virginia
    ("us-east-2", 40.0, -83.0),       // Columbus, Ohio
    ("us-gov-east-1", 40.0, -83.0),   // Ohio
    ("us-gov-west-1", 45.8, -119.7),  // Oregon
    ("us-west-1", 37.4, -121.9),      // San Jose, California
    ("us-west-2", 45.8, -119.7),      // Boardman, Oregon
];

/// Google Cloud.
const GCP: &[CloudRegion] = &[
    ("africa-south1", -26.2, 28.0),           // Johannesburg
    ("asia-east1", 24.1, 120.5),              // Changhua County
    ("asia-east2", 22.3, 114.2),              // Hong Kong
    ("asia-northeast1", 35.7, 139.7),         // Tokyo
    ("asia-northeast2", 34.7, 135.5),         // Osaka
    ("asia-northeast3", 37.6, 127.0),         // Seoul
    ("asia-south1", 19.1, 72.9),              // Mumbai
    ("asia-south2", 28.6, 77.2),              // Delhi
    ("asia-southeast1", 1.3, 103.8),          // Jurong West, Singapore
    ("asia-southeast2", -6.2, 106.8),         // Jakarta
    ("australia-southeast1", -33.9, 151.2),   // Sydney
    ("australia-southeast2", -37.8, 145.0),   // Melbourne
    ("europe-central2", 52.2, 21.0),          // Warsaw
    ("europe-north1", 60.6, 27.2),            // Hamina
    ("europe-north2", 59.3, 18.1),            // Stockholm
    ("europe-southwest1", 40.4, -3.7),        // Madrid
    ("europe-west1", 50.5, 3.8),              // St. Ghislain
    ("europe-west2", 51.5, -0.1),             // London
    ("europe-west3", 50.1, 8.7),              // Frankfurt
    ("europe-west4", 53.4, 6.8),              // Eemshaven
    ("europe-west6", 47.4, 8.5),              // Zurich
    ("europe-west8", 45.5, 9.2),              // Milan
    ("europe-west9", 48.9, 2.4),              // Paris
    ("europe-west10", 52.5, 13.4),            // Berlin
    ("europe-west12", 45.1, 7.7),             // Turin
    ("me-central1", 25.3, 51.5),              // Doha
    ("me-central2", 26.4, 50.1),              // Dammam
    ("me-west1", 32.1, 34.8),                 // Tel Aviv
    ("northamerica-northeast1", 45.5, -73.6), // Montreal
    ("northamerica-northeast2", 43.7, -79.4), // Toronto
    ("northamerica-south1", 20.6, -100.4),    // Queretaro
    ("southamerica-east1", -23.5, -46.6),     // Osasco, Sao Paulo
    ("southamerica-west1", -33.4, -70.7),     // Santiago
    ("us-central1", 41.3, -95.9),             // Council Bluffs, Iowa
    ("us-east1", 33.2, -80.0),                // Moncks Corner, South Carolina
    ("us-east4", 39.0, -77.5),                // Ashburn, Virginia
    ("us-east5", 40.0, -83.0),                // Columbus, Ohio
    ("us-south1", 32.8, -96.8),               // Dallas
    ("us-west1", 45.6, -121.2),               // The Dalles, Oregon
    ("us-west2", 34.1, -118.2),               // Los Angeles
    ("us-west3", 40.8, -111.9),               // Salt Lake City
    ("us-west4", 36.2, -115.1),               // Las Vegas
];

/// Microsoft Azure.
const AZURE: &[CloudRegion] = &[
    ("australiacentral", -35.3, 149.1),   // Canberra
    ("australiacentral2", -35.3, 149.1),  // Canberra
    ("australiaeast", -33.9, 151.2),      // Sydney
    ("australiasoutheast", -37.8, 145.0), // Melbourne
    ("austriaeast", 48.2, 16.4),          // Vienna
    ("belgiumcentral", 50.8, 4.4),        // Brussels
    ("brazilsouth", -23.5, -46.6),        // Sao Paulo
    ("brazilsoutheast", -22.9, -43.2),    // Rio de Janeiro
    ("canadacentral", 43.7, -79.4),       // Toronto
    ("canadaeast", 46.8, -71.2),          // Quebec
    ("centralindia", 18.5, 73.9),         // Pune
    ("centralus", 41.6, -93.6),           // Des Moines, Iowa
    ("chilecentral", -33.4, -70.7),       // Santiago
    ("chinaeast", 31.2, 121.5),           // Shanghai
    ("chinaeast2", 31.2, 121.5),          // Shanghai
    ("chinanorth", 39.9, 116.4),          // Beijing
    ("chinanorth2", 39.9, 116.4),         // Beijing
    ("chinanorth3", 40.8, 114.9),         // Hebei
    ("eastasia", 22.3, 114.2),            // Hong Kong
    ("eastus", 37.4, -79.8),              // Virginia
    ("eastus2", 36.7, -78.4),             // Boydton, Virginia
    ("francecentral", 48.9, 2.4),         // Paris
    ("francesouth", 43.3, 5.4),           // Marseille
    ("germanynorth", 52.5, 13.4),         // Berlin
    ("germanywestcentral", 50.1, 8.7),    // Frankfurt
    ("indonesiacentral", -6.2, 106.8),    // Jakarta
    ("israelcentral", 32.1, 34.8),        // Tel Aviv
    ("italynorth", 45.5, 9.2),            // Milan
    ("japaneast", 35.7, 139.7),           // Tokyo, Saitama
    ("japanwest", 34.7, 135.5),           // Osaka
    ("jioindiacentral", 21.1, 79.1),      // Nagpur
    ("jioindiawest", 22.5, 70.1),         // Jamnagar
    ("koreacentral", 37.6, 127.0),        // Seoul
    ("koreasouth", 35.2, 129.1),          // Busan
    ("malaysiawest", 3.1, 101.7),         // Kuala Lumpur
    ("mexicocentral", 20.6, -100.4),      // Queretaro
    ("newzealandnorth", -36.8, 174.8),    // Auckland
    ("northcentralus", 41.9, -87.6),      // Chicago, Illinois
    ("northeurope", 53.3, -6.3),          // Dublin
    ("norwayeast", 59.9, 10.8),           // Oslo
    ("norwaywest", 59.0, 5.7),            // Stavanger
    ("polandcentral", 52.2, 21.0),        // Warsaw
    ("qatarcentral", 25.3, 51.5),         // Doha
    ("southafricanorth", -26.2, 28.0),    // Johannesburg
    ("southafricawest", -33.9, 18.4),     // Cape Town
    ("southcentralus", 29.4, -98.5),      // San Antonio, Texas
    ("southeastasia", 1.3, 103.8),        // Singapore
    ("southindia", 13.1, 80.3),           // Chennai
    ("spaincentral", 40.4, -3.7),         // Madrid
    ("swedencentral", 60.7, 17.1),        // Gavle
    ("switzerlandnorth", 47.4, 8.5),      // Zurich
    ("switzerlandwest", 46.2, 6.1),       // Geneva
    ("uaecentral", 24.5, 54.4),           // Abu Dhabi
    ("uaenorth", 25.2, 55.3),             // Dubai
    ("uksouth", 51.5, -0.1),              // London
    ("ukwest", 51.5, -3.2),               // Cardiff
    ("usgovarizona", 33.4, -112.1),       // Phoenix
    ("usgovtexas", 29.4, -98.5),          // San Antonio
    ("usgovvirginia", 37.4, -79.8),       // Virginia
    ("westcentralus", 41.1, -104.8),      // Cheyenne, Wyoming
    ("westeurope", 52.4, 4.9),            // Amsterdam
    ("westindia", 19.1, 72.9),            // Mumbai
    ("westus", 37.8, -122.4),             // San Francisco
    ("westus2", 47.2, -119.9),            // Quincy, Washington
    ("westus3", 33.4, -112.1),            // Phoenix, Arizona
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::geo::Coordinates;

    #[test]
    fn tables_are_sorted_enough_to_be_without_duplicates_and_lie_on_the_earth() {
        for cloud in CLOUDS {
            let regions = of(cloud).unwrap();
            for (name, latitude, longitude) in regions {
                assert_eq!(regions.iter().filter(|other| other.0 == *name).count(), 1, "{cloud}:{name}");
                assert!(Coordinates::new(*latitude, *longitude).is_some(), "{cloud}:{name}");
            }
        }
    }

    /// Names that say where they are must be near a city there.
    #[test]
    fn spot_checks() {
        for (cloud, name, city, country) in [
            ("aws", "eu-central-1", "Frankfurt am Main", "DE"),
            ("aws", "ap-southeast-2", "Sydney", "AU"),
            ("aws", "sa-east-1", "Sao Paulo", "BR"),
            ("aws", "us-east-1", "Ashburn", "US"),
            ("gcp", "us-west2", "Los Angeles", "US"),
            ("gcp", "europe-west9", "Paris", "FR"),
            ("azure", "uksouth", "London", "GB"),
            ("azure", "southafricanorth", "Johannesburg", "ZA"),
        ] {
            let (_, latitude, longitude) = of(cloud).unwrap().iter().find(|region| region.0 == name).unwrap();
            let place = crate::config::cities::find(city, Some(country));
            let distance_km =
                place[0].coordinates.distance_km(Coordinates::new(*latitude, *longitude).unwrap());
            assert!(distance_km < 30.0, "{cloud}:{name} is {distance_km} km from {city}");
        }
    }
}
