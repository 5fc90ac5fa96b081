//! M1: install ∥ stale dispose.

use crate::model::{Extent, Model};
use crate::support::{join, spawn};
use reveille_core::{Disposal, HandlerSlot};
use std::sync::Arc;

pub const MODELS: &[Model] = &[Model {
    name: "m01-install-stale-dispose",
    promises: &["P1", "P2"],
    law: "A late dispose of the first handler never removes the second.",
    threads: 2,
    extent: Extent::All,
    body: || {
        let slot = Arc::new(HandlerSlot::vacant());
        let Ok((first, _)) = slot.install("first") else { panic!("the slot is open") };
        let disposer = spawn("stale disposer", {
            let slot = Arc::clone(&slot);
            move || slot.dispose(first).0
        });
        let Ok((second, _)) = slot.install("second") else { panic!("the slot is open") };
        let disposal = join(disposer);
        assert!(second > first, "P2: generations grow");
        assert!(disposal == Disposal::Removed || disposal == Disposal::Superseded);
        assert_eq!(
            slot.load().handler(),
            Some(&"second"),
            "the stale dispose removed the second handler"
        );
    },
}];
