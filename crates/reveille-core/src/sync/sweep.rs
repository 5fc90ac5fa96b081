//! Orderings weakened at one place, for the sweep that asks whether any check would notice.
//!
//! `REVEILLE_WEAKEN` holds one change: `FILE:LINE ROLE=ORDER`, where `ROLE` is `load`, `store`,
//! `success`, `failure` or `fence`, and `ORDER` is an ordering, or `none` for a fence that is
//! dropped. `REVEILLE_SITES`, if set at all, has every place that is passed kept for
//! [`sites`].

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::Location;
use std::sync::LazyLock;
use std::sync::atomic::Ordering;

/// Which of its orderings an operation asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Of a load.
    Load,
    /// Of a store.
    Store,
    /// Of a read-modify-write that changes its word.
    Success,
    /// Of a compare-and-swap that does not.
    Failure,
    /// Of a fence.
    Fence,
}

impl Role {
    /// Its name in `REVEILLE_WEAKEN`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Store => "store",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Fence => "fence",
        }
    }
}

/// A place that was passed: file, line, role and ordering as written.
pub type Site = (&'static str, u32, Role, &'static str);

struct Weakened {
    file: String,
    line: u32,
    role: String,
    order: Option<Ordering>,
}

static WEAKENED: LazyLock<Option<Weakened>> = LazyLock::new(|| {
    let text = std::env::var("REVEILLE_WEAKEN").ok()?;
    match parse(&text) {
        Some(weakened) => Some(weakened),
        // A change that is not understood would pass for one that no check notices.
        None => panic!("REVEILLE_WEAKEN: expected `FILE:LINE ROLE=ORDER`, got `{text}`"),
    }
});

static KEEPS_SITES: LazyLock<bool> = LazyLock::new(|| std::env::var_os("REVEILLE_SITES").is_some());

thread_local! {
    static SITES: RefCell<BTreeSet<Site>> = const { RefCell::new(BTreeSet::new()) };
}

fn parse(text: &str) -> Option<Weakened> {
    let (place, change) = text.split_once(' ')?;
    let (file, line) = place.rsplit_once(':')?;
    let (role, order) = change.split_once('=')?;
    let order = match order {
        "none" => None,
        "Relaxed" => Some(Ordering::Relaxed),
        "Acquire" => Some(Ordering::Acquire),
        "Release" => Some(Ordering::Release),
        "AcqRel" => Some(Ordering::AcqRel),
        _ => return None,
    };
    let (file, role) = (file.to_string(), role.to_string());
    Some(Weakened { file, line: line.parse().ok()?, role, order })
}

fn name(order: Ordering) -> &'static str {
    match order {
        Ordering::Relaxed => "Relaxed",
        Ordering::Acquire => "Acquire",
        Ordering::Release => "Release",
        Ordering::AcqRel => "AcqRel",
        _ => "SeqCst",
    }
}

fn change(site: &'static Location<'static>, role: Role, order: Ordering) -> Option<Ordering> {
    if *KEEPS_SITES {
        let site = (site.file(), site.line(), role, name(order));
        SITES.with_borrow_mut(|sites| sites.insert(site));
    }
    match &*WEAKENED {
        Some(weakened)
            if weakened.line == site.line()
                && weakened.role == role.name()
                && weakened.file == site.file() =>
        {
            weakened.order
        }
        _ => Some(order),
    }
}

/// The ordering to use at `site`.
pub(super) fn order(site: &'static Location<'static>, role: Role, order: Ordering) -> Ordering {
    change(site, role, order).unwrap_or(Ordering::Relaxed)
}

/// The ordering of the fence at `site`, if there is to be one.
pub(super) fn fence(site: &'static Location<'static>, order: Ordering) -> Option<Ordering> {
    change(site, Role::Fence, order).filter(|&order| order != Ordering::Relaxed)
}

/// The places that this thread's models have passed, if `REVEILLE_SITES` is set.
pub fn sites() -> Vec<Site> {
    SITES.with_borrow(|sites| sites.iter().copied().collect())
}
