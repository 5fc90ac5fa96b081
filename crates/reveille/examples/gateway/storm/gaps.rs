//! Each cadence's longest time without a beat that was served.

use super::real::{Ledger, lock};
use comfy_table::{CellAlignment, Table, presets};

/// Cadences a line.
const ABREAST: usize = 4;

pub(crate) fn table(ledger: &Ledger) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let mut header = vec!["longest gap, ms", "every", "gap"];
    for _ in 1..ABREAST {
        header.extend(["", "every", "gap"]);
    }
    table.set_header(header);
    let ms = |micros: u128| format!("{:.1}", micros as f64 / 1_000.0);
    let mut cells = Vec::new();
    for (spec, book) in ledger.arena.plan.targets.iter().zip(&ledger.books) {
        if let Some(period) = spec.period {
            let gap = u128::from(lock(book).sums.longest_gap);
            cells.extend([spec.name.clone(), ms(period.as_micros()), ms(gap)]);
        }
    }
    for row in cells.chunks(3 * ABREAST) {
        table.add_row(row);
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        if i % 3 > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
