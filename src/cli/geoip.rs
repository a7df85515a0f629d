//! `meridian geoip pack`: makes the shipped location file from city databases.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

use crate::compile::locations::{
    Atlas, Coarsening, Database, LocationError, Overrides, coarsen, pack as to_octets,
};

/// Makes a small packed location file from city databases.
///
/// Places within one cell of about a degree, of one country and subdivision, become one; networks longer
/// than /24 and /48 are decided by the place of most of their addresses; city names are dropped.
#[derive(clap::Args, Clone, PartialEq, Debug)]
pub struct PackArgs {
    /// The database to take IPv4 from, in MaxMind's file format
    #[arg(long, value_name = "FILE")]
    pub city_v4: PathBuf,
    /// The database to take IPv6 from: the same file, where it has both
    #[arg(long, value_name = "FILE")]
    pub city_v6: PathBuf,
    /// The text that the data's licence wants shown with results; default: what the database says
    #[arg(long, value_name = "TEXT")]
    pub attribution: Option<String>,
    /// The size of a cell in degrees
    #[arg(long, value_name = "DEGREES", default_value_t = Coarsening::SHIPPED.cell_degrees)]
    pub cell: f64,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Makes the file; says what is in it.
pub fn pack(args: &PackArgs) -> Result<String, LocationError> {
    let out = args.out.display().to_string();
    if !(0.01..=10.0).contains(&args.cell) {
        return Err(LocationError::new("--cell", "is out of range", "write 0.01 to 10 degrees"));
    }
    // The order decides: a family is taken from the first file that has it.
    let mut databases = vec![open(&args.city_v4)?];
    if args.city_v6 != args.city_v4 {
        databases.push(open(&args.city_v6)?);
    }
    let built_s = databases.iter().map(Database::built_s).max().unwrap_or_default();
    let said = databases.iter().find_map(|database| database.attribution()).map(str::to_owned);
    let attribution = args.attribution.clone().or(said).ok_or_else(|| {
        LocationError::new(
            &out,
            "needs an attribution, and the databases name none",
            "give it by --attribution",
        )
    })?;
    let atlas = Atlas::new(databases, Vec::new(), Overrides::default());
    let bar = ProgressBar::new(0).with_style(style());
    let coarsened = coarsen(
        &atlas,
        Coarsening { cell_degrees: args.cell, ..Coarsening::SHIPPED },
        &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        },
    )?;
    bar.set_message("compressing");
    let (places, [v4, v6]) = (coarsened.locations.len(), coarsened.runs.each_ref().map(Vec::len));
    let octets = to_octets(coarsened, built_s, &attribution, &out)?;
    let size = octets.len();
    // What was written must be readable, to the last network.
    let written = Database::open(octets.clone(), &out)?;
    Atlas::new(vec![written], Vec::new(), Overrides::default()).scan(&mut |_, _| {}, &mut |_, _| {})?;
    std::fs::write(&args.out, octets).map_err(|error| {
        LocationError::new(&out, format!("cannot be written: {error}"), "choose another --out")
    })?;
    bar.finish_and_clear();
    Ok(format!("{out}: {places} places, {v4} runs of IPv4 networks, {v6} of IPv6 networks, {size} octets"))
}

fn open(path: &Path) -> Result<Database, LocationError> {
    let name = path.display().to_string();
    let octets = std::fs::read(path)
        .map_err(|error| LocationError::new(&name, format!("cannot be read: {error}"), "check the path"))?;
    Database::open(octets, &name)
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{wide_bar} {percent}% {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
