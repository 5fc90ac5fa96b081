//! How late beats were.

use super::book::Lateness;
use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::{CreationError, Histogram};

/// Up to so many microseconds; what is later counts as this late.
const LONGEST: u64 = 60_000_000;

/// Three views of the same beats.
pub(crate) struct LatenessTable {
    fresh_to_start: Histogram<u64>,
    fresh_to_call: Histogram<u64>,
    oldest_to_call: Histogram<u64>,
}

impl LatenessTable {
    pub(crate) fn new() -> Result<Self, CreationError> {
        let new = || Histogram::new_with_max(LONGEST, 3);
        Ok(Self { fresh_to_start: new()?, fresh_to_call: new()?, oldest_to_call: new()? })
    }

    pub(crate) fn record(&mut self, lateness: &Lateness) {
        if let Some(micros) = lateness.fresh_to_start {
            self.fresh_to_start.saturating_record(micros);
        }
        if let Some(micros) = lateness.fresh_to_call {
            self.fresh_to_call.saturating_record(micros);
        }
        self.oldest_to_call.saturating_record(lateness.oldest_to_call);
    }

    /// As a table, in milliseconds.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(["lateness of beats, ms", "p50", "p90", "p99", "p99.9", "max", "runs"]);
        for (name, histogram) in [
            ("beat to start, first try", &self.fresh_to_start),
            ("beat to handler, first try", &self.fresh_to_call),
            ("oldest beat to handler, retries too", &self.oldest_to_call),
        ] {
            let ms = |micros: u64| format!("{:.3}", micros as f64 / 1_000.0);
            let at = |quantile: f64| ms(histogram.value_at_quantile(quantile));
            table.add_row([
                name.to_owned(),
                at(0.5),
                at(0.9),
                at(0.99),
                at(0.999),
                ms(histogram.max()),
                histogram.len().to_string(),
            ]);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}
