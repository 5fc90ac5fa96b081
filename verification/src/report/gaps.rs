//! What is not checked: `gaps.toml`, written by hand.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What the checks do not see.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gaps {
    /// What the promises say, in a few words each, by number.
    pub promises: BTreeMap<String, Promise>,
    /// What no family sees.
    pub blind_spots: Vec<String>,
}

/// One promise.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promise {
    /// Its name.
    pub title: String,
    /// Why there is no model of it, where there is none.
    pub no_model: Option<String>,
    /// What is not searched.
    #[serde(default)]
    pub not_searched: Vec<String>,
}

impl Gaps {
    /// As written in `gaps.toml`.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read() -> Result<Self, String> {
        toml::from_str(include_str!("gaps.toml")).map_err(|error| error.to_string())
    }

    /// One promise, by its number.
    #[must_use]
    pub fn promise(&self, number: u32) -> Option<&Promise> {
        self.promises.get(&format!("P{number}"))
    }
}
