#!/usr/bin/env python3
"""Makes the small databases beside it; needs the Python packages mmdb_writer and netaddr.

Both schemas (MaxMind's nested one, ip-location-db's flat one) at both levels (city, country), one file
with system numbers, and one that has neither. Places are real, who lives there is made up.
"""

import pathlib

from mmdb_writer import MMDBWriter, MmdbF32, MmdbF64, MmdbU32
from netaddr import IPSet

HERE = pathlib.Path(__file__).parent


def write(name, kind, ip_version, networks):
    writer = MMDBWriter(
        ip_version=ip_version,
        database_type=kind,
        languages=["en"],
        description={"en": f"Test data: {kind}"},
        ipv4_compatible=ip_version == 6,
    )
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(HERE / name))


def nested(country, continent, subdivision=None, city=None, place=None):
    record = {
        "continent": {"code": continent, "geoname_id": MmdbU32(1), "names": {"en": "A continent", "de": "Ein Kontinent"}},
        "country": {"iso_code": country, "geoname_id": MmdbU32(2), "names": {"en": "A country"}},
        "registered_country": {"iso_code": "US"},
    }
    if subdivision:
        record["subdivisions"] = [{"iso_code": subdivision, "names": {"en": "A part"}}, {"iso_code": "ZZZ"}]
    if city:
        record["city"] = {"geoname_id": MmdbU32(3), "names": {"de": "Stadt", "en": city}}
    if place:
        record["location"] = {
            "latitude": MmdbF64(place[0]),
            "longitude": MmdbF64(place[1]),
            "accuracy_radius": 10,
            "time_zone": "UTC",
        }
    return record


def flat(country, state="", city="", place=None):
    record = {"country_code": country}
    if place:
        record |= {"state1": state, "state2": "", "city": city, "postcode": "", "timezone": ""}
        record |= {"latitude": MmdbF32(place[0]), "longitude": MmdbF32(place[1])}
    return record


def system(number, name):
    return {"autonomous_system_number": MmdbU32(number), "autonomous_system_organization": name}


LONDON, PARIS, TOKYO, SYDNEY = (51.5142, -0.0931), (48.8566, 2.3522), (35.6895, 139.6917), (-33.8688, 151.209)

write(
    "nested-city.mmdb",
    "GeoLite2-City",
    6,
    {
        "81.2.69.0/24": nested("GB", "EU", "ENG", "London", LONDON),
        "81.2.70.0/23": nested("FR", "EU", "IDF", "Paris", PARIS),
        "203.0.113.128/25": nested("JP", "AS", "13", "Tokyo", TOKYO),
        "2001:218::/32": nested("JP", "AS", "13", "Tokyo", TOKYO),
        "2a02:7b0::/48": nested("GB", "EU", "ENG", "London", LONDON),
    },
)
write(
    "nested-country.mmdb",
    "GeoLite2-Country",
    4,
    {"81.2.69.0/24": nested("GB", "EU"), "203.0.113.0/24": nested("AU", "OC")},
)
write(
    "flat-city.mmdb",
    "city ipv4",
    4,
    {
        "81.2.69.0/24": flat("GB", "England", "London", LONDON),
        "81.2.70.0/23": flat("FR", "\u00cele-de-France", "Paris", PARIS),
        "203.0.113.0/25": flat("AU", "State of New South Wales", "Sydney", SYDNEY),
        "203.0.113.128/25": flat("AU", "Nowhere In Particular", "", (0.0, 0.0)),
    },
)
write("flat-country.mmdb", "country ipv6", 6, {"2001:218::/32": flat("JP"), "2a02:7b0::/48": flat("GB")})
write(
    "asn.mmdb",
    "GeoLite2-ASN",
    6,
    {
        "81.2.69.128/25": system(64500, "Example One"),
        "198.51.100.0/24": system(64501, "Example Two"),
        "2001:218:ffff::/48": system(64500, "Example One"),
    },
)
write("neither.mmdb", "GeoIP2-Anonymous-IP", 4, {"81.2.69.0/24": {"is_anonymous": True}})
