//! The catalogue: a table of faults in `catalogue.toml`.

use std::fmt;

use serde::Deserialize;

/// A fault, where it is put, and what must find it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Its name, which is also that of its switch.
    pub name: String,
    /// The promises that it breaks.
    pub promises: Vec<String>,
    /// What it does, in one sentence.
    pub what: String,
    /// What is changed in the sources. Nothing for a model that is a fault in itself.
    #[serde(default, rename = "edit")]
    pub edits: Vec<Edit>,
    /// All of these must find it.
    #[serde(deserialize_with = "checks")]
    pub killed_by: Vec<Check>,
    /// These must pass although it is there, where it has no edit that could be left out.
    #[serde(default, deserialize_with = "checks")]
    pub spared_by: Vec<Check>,
}

/// A replacement in one file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The file, from the root of the workspace.
    pub file: String,
    /// Text that stands in the file exactly once: an expression, statements, or one `let`.
    pub anchor: String,
    /// What takes its place.
    pub becomes: String,
}

/// A check that can be run on a build with faults.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// A model, by name.
    Loom(String),
    /// A check under shuttle, by name.
    Shuttle(String),
    /// A file of `verification/scenarios`, without its extension.
    Scenario(String),
    /// So many random schedules on the engine and on the oracle.
    Search(u32),
    /// A unit test of a package, by its path.
    Unit {
        /// The package.
        package: String,
        /// The path of the test, such as `slot::tests::a_stale_dispose_is_a_no_op`.
        test: String,
    },
    /// A test of a package's test target.
    Test {
        /// The package.
        package: String,
        /// The target.
        target: String,
        /// The path of the test.
        test: String,
    },
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loom(name) => write!(f, "loom:{name}"),
            Self::Shuttle(name) => write!(f, "shuttle:{name}"),
            Self::Scenario(name) => write!(f, "scenario:{name}"),
            Self::Search(cases) => write!(f, "search:{cases}"),
            Self::Unit { package, test } => write!(f, "unit:{package}:{test}"),
            Self::Test { package, target, test } => write!(f, "test:{package}:{target}:{test}"),
        }
    }
}

impl Check {
    fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(':')?;
        let owned = name.to_owned();
        Some(match kind {
            "loom" => Self::Loom(owned),
            "shuttle" => Self::Shuttle(owned),
            "scenario" => Self::Scenario(owned),
            "search" => Self::Search(name.parse().ok()?),
            "unit" => {
                let (package, test) = name.split_once(':')?;
                Self::Unit { package: package.to_owned(), test: test.to_owned() }
            }
            "test" => {
                let (package, rest) = name.split_once(':')?;
                let (target, test) = rest.split_once(':')?;
                let (target, test) = (target.to_owned(), test.to_owned());
                Self::Test { package: package.to_owned(), target, test }
            }
            _ => return None,
        })
    }
}

fn checks<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Check>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let check = |text: &String| {
        Check::parse(text).ok_or_else(|| serde::de::Error::custom(format!("no check: {text:?}")))
    };
    texts.iter().map(check).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    fault: Vec<Fault>,
}

/// All faults.
///
/// # Errors
/// What is wrong with the table.
pub fn all() -> Result<Vec<Fault>, String> {
    let catalogue: Catalogue =
        toml::from_str(include_str!("catalogue.toml")).map_err(|error| error.to_string())?;
    Ok(catalogue.fault)
}
