//! `[regions.*]`: names and coordinates.

use super::directory::Directory;
use super::reader::{Context, Table, Value, shortened, wrong_type};
use crate::config::shape::REGION;
use crate::config::{Region, cities, cloud_regions, suggest};
use crate::geo::Coordinates;

/// `[regions.*]`, in the order written.
pub fn regions(cx: &mut Context, directory: &Directory) -> Vec<Region> {
    let read = |(name, value): &(super::reader::Name, Value)| {
        let table = Table::open(cx, *value, &REGION, Some(name.span));
        let at = table.and_then(|table| table.get("at"));
        let coordinates = at.and_then(|at| place(cx, at));
        Region { name: name.text.to_owned(), span: name.span, coordinates }
    };
    directory.entries.iter().map(read).collect()
}

/// `at`: a pair of degrees, a cloud's region, or a city.
fn place(cx: &mut Context, at: Value) -> Option<Coordinates> {
    if let Some(elements) = at.elements() {
        return pair(cx, at, &elements);
    }
    if at.toml.as_str().is_none() {
        wrong_type(
            cx,
            "at",
            at,
            "a place is needed",
            "write at = [39.0, -77.5], at = \"aws:us-east-1\" or at = \"Ashburn, US\"",
        );
        return None;
    }
    let text = at.text(cx, "at")?;
    let place = match text.value.split_once(':') {
        Some((cloud, region)) => cloud_region(cloud.trim(), region.trim()),
        None => city(text.value),
    };
    match place {
        Ok(coordinates) => Some(coordinates),
        Err((message, hint)) => {
            cx.error(at.span, message, hint);
            None
        }
    }
}

fn pair(cx: &mut Context, at: Value, elements: &[Value]) -> Option<Coordinates> {
    let [latitude, longitude] = elements else {
        cx.error(
            at.span,
            format!("`at` has {} numbers; a place has two", elements.len()),
            "write [latitude, longitude] in degrees: at = [39.0, -77.5]",
        );
        return None;
    };
    let (latitude, longitude) = (latitude.number(cx, "latitude"), longitude.number(cx, "longitude"));
    let (latitude, longitude) = (latitude?, longitude?);
    let coordinates = Coordinates::new(latitude.value, longitude.value);
    if coordinates.is_none() {
        let swapped = Coordinates::new(longitude.value, latitude.value).is_some();
        let (span, message) = match (-90.0..=90.0).contains(&latitude.value) {
            false => (latitude.span, format!("the latitude {} is impossible", latitude.value)),
            true => (longitude.span, format!("the longitude {} is impossible", longitude.value)),
        };
        let hint = match swapped {
            true => format!("latitude comes first: at = [{}, {}]", longitude.value, latitude.value),
            false => "latitude lies in -90 to 90, longitude in -180 to 180".to_owned(),
        };
        cx.error(span, message, hint);
    }
    if latitude.value == 0.0 && longitude.value == 0.0 {
        cx.lint(
            at.span,
            "`at` is a point in the ocean off Ghana",
            "leave `at` out where the place is not known",
        );
    }
    coordinates
}

fn cloud_region(cloud: &str, region: &str) -> Result<Coordinates, (String, String)> {
    let Some(regions) = cloud_regions::of(cloud) else {
        let hint = suggest::or_list(cloud, &cloud_regions::CLOUDS, "known are");
        return Err((format!("there is no table of the cloud `{}`", shortened(cloud)), hint));
    };
    let found = regions.iter().find(|(name, ..)| *name == region);
    let Some((_, latitude, longitude)) = found else {
        let names: Vec<_> = regions.iter().map(|(name, ..)| *name).collect();
        let hint = match suggest::near(region, &names) {
            Some(near) => format!(
                "did you mean `{cloud}:{near}`? A region newer than this release can be written as [latitude, longitude]"
            ),
            None => "a region newer than this release can be written as [latitude, longitude]".to_owned(),
        };
        return Err((format!("{cloud} has no region `{}`", shortened(region)), hint));
    };
    Coordinates::new(*latitude, *longitude)
        .ok_or_else(|| ("this region has no place".to_owned(), "write [latitude, longitude]".to_owned()))
}

fn city(text: &str) -> Result<Coordinates, (String, String)> {
    let (name, country) = match text.rsplit_once(',') {
        Some((name, country)) => (name.trim(), Some(country.trim())),
        None => (text.trim(), None),
    };
    let found = cities::find(name, country);
    match found.as_slice() {
        [city] => Ok(city.coordinates),
        [] => Err(no_city(text, name)),
        several => Err(several_cities(text, several)),
    }
}

fn no_city(text: &str, name: &str) -> (String, String) {
    let elsewhere = cities::find(name, None);
    let hint = match (elsewhere.is_empty(), cities::near(name)) {
        (false, _) => format!("there is {}", spell(&elsewhere)),
        (true, Some(near)) => format!("did you mean \"{}, {}\"?", near.name, near.country),
        (true, None) => {
            "only cities of 100,000 people and some more are known; write at = [latitude, longitude]"
                .to_owned()
        }
    };
    (format!("there is no city `{}` in the table", shortened(text)), hint)
}

fn several_cities(text: &str, several: &[cities::City]) -> (String, String) {
    let one_country = several.windows(2).all(|pair| matches!(pair, [a, b] if a.country == b.country));
    let hint = match one_country {
        false => format!("name the country: {}", spell(several)),
        true => {
            let places: Vec<_> = several
                .iter()
                .take(CANDIDATES_MAX)
                .map(|city| format!("[{}, {}]", city.coordinates.latitude(), city.coordinates.longitude()))
                .collect();
            format!("write its coordinates: {}", places.join(" or "))
        }
    };
    (format!("there are {} cities `{}`", several.len(), shortened(text)), hint)
}

/// A hint names at most so many cities.
const CANDIDATES_MAX: usize = 6;

fn spell(cities: &[cities::City]) -> String {
    let mut names: Vec<_> =
        cities.iter().map(|city| format!("\"{}, {}\"", city.name, city.country)).collect();
    names.dedup();
    names.truncate(CANDIDATES_MAX);
    names.join(" or ")
}
