//! Replication options of a keyspace: checked, completed and normalised as Cassandra does
//! (`SimpleStrategy`, `NetworkTopologyStrategy.prepareOptions`).

use crate::error::{CqlError, invalid};
use dodona_cluster::replication::Replication;
use dodona_cluster::ring::{Member, Ring};
use dodona_types::schema::Options;
use std::collections::BTreeSet;

const CLASS: &str = "class";
const FACTOR: &str = "replication_factor";

/// The options as they are kept: the full class name, and a factor for each data centre.
pub(super) fn normalise(
    keyspace: &str,
    options: &[(String, String)],
    previous: Option<&Options>,
    ring: &Ring,
    default_factor: u32,
) -> Result<Options, CqlError> {
    let mut options: Options = options.iter().cloned().collect();
    let Some(class) = options.remove(CLASS) else {
        return Err(CqlError::Config("Missing replication strategy class".into()));
    };
    let class = Replication::full_class_name(&class);
    let simple = class.strip_prefix("org.apache.cassandra.locator.").unwrap_or(&class);
    match simple {
        "LocalStrategy" => {
            return invalid(
                "Unable to use given strategy class: LocalStrategy is reserved for internal use.",
            );
        }
        "SimpleStrategy" => {
            if !options.contains_key(FACTOR) {
                let factor = previous.and_then(|previous| previous.get(FACTOR));
                options.insert(FACTOR.into(), factor.cloned().unwrap_or_else(|| default_factor.to_string()));
            }
            check(keyspace, simple, &options, &BTreeSet::from([FACTOR]))?;
        }
        "NetworkTopologyStrategy" => {
            let data_centers: BTreeSet<&str> =
                ring.members().iter().map(|member| member.data_center.as_str()).collect();
            spread_over_data_centers(&mut options, previous, &data_centers, default_factor)?;
            check(keyspace, simple, &options, &data_centers)?;
        }
        _ => {
            return Err(CqlError::Config(format!("Unable to find replication strategy class '{class}'")));
        }
    }
    options.insert(CLASS.into(), class);
    Ok(options)
}

/// Gives every data centre without a factor of its own the common one. An ALTER leaves the
/// factors that data centres have, for safety.
fn spread_over_data_centers(
    options: &mut Options,
    previous: Option<&Options>,
    data_centers: &BTreeSet<&str>,
    default_factor: u32,
) -> Result<(), CqlError> {
    let mut common = options.remove(FACTOR);
    if common.is_none() && options.is_empty() {
        let before = previous.and_then(|previous| previous.get(FACTOR));
        common = Some(before.cloned().unwrap_or_else(|| default_factor.to_string()));
    }
    if let Some(common) = common {
        factor_of(&common)?;
        for (name, factor) in previous.into_iter().flatten() {
            if name != CLASS && name != FACTOR {
                options.entry(name.clone()).or_insert_with(|| factor.clone());
            }
        }
        for name in data_centers {
            options.entry((*name).into()).or_insert_with(|| common.clone());
        }
    }
    options.retain(|_, factor| factor != "0");
    if options.is_empty() {
        return Err(CqlError::Config("Configuration for at least one datacenter must be present".into()));
    }
    Ok(())
}

fn check(keyspace: &str, class: &str, options: &Options, known: &BTreeSet<&str>) -> Result<(), CqlError> {
    for (name, factor) in options {
        if !known.contains(name.as_str()) {
            return Err(CqlError::Config(format!(
                "Unrecognized strategy option {{{name}}} passed to {class} for keyspace {keyspace}"
            )));
        }
        factor_of(factor)?;
    }
    Ok(())
}

fn factor_of(text: &str) -> Result<u32, CqlError> {
    if text.contains('/') {
        return Err(CqlError::Config("Transient replication is not enabled on this node".into()));
    }
    match text.parse::<i32>() {
        Ok(factor) => u32::try_from(factor).map_err(|_| {
            CqlError::Config(format!("Replication factor must be non-negative, found {factor}"))
        }),
        Err(_) => Err(CqlError::Config(format!("For input string: \"{text}\""))),
    }
}

/// What to warn of: more copies than nodes, and copies that a repair must make.
pub(super) fn warnings(
    keyspace: &str,
    options: &Options,
    previous: Option<&Options>,
    ring: &Ring,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let nodes_where =
        |test: &dyn Fn(&Member) -> bool| ring.members().iter().filter(|member| test(member)).count();
    for (name, factor) in options.iter().filter(|(name, _)| *name != CLASS) {
        let (nodes, place) = if name == FACTOR {
            (ring.members().len(), String::new())
        } else {
            (nodes_where(&|member| member.data_center == *name), format!(" for datacenter {name}"))
        };
        let factor = factor.parse::<usize>().unwrap_or(0);
        if factor > nodes {
            warnings.push(format!(
                "Your replication factor {factor} for keyspace {keyspace} is higher than the number of nodes {nodes}{place}"
            ));
        }
    }
    let copies =
        |options: &Options| Replication::from_options(options).map_or(0, |strategy| strategy.factor(None));
    if previous.is_some_and(|previous| copies(options) > copies(previous)) {
        warnings.push(
            "When increasing replication factor you need to run a full (-full) repair to distribute the data."
                .into(),
        );
    }
    warnings
}
