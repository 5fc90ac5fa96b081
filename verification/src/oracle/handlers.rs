//! Installing and disposing handlers.

use super::{Installed, Oracle, after};
use crate::scenario::OnReplace;
use crate::scenario::subject::{Ending, Refusal};

impl Oracle {
    pub(super) fn install(&mut self, name: &str) {
        if self.stopped {
            self.registrations.entry(name.to_owned()).or_insert(None);
            return;
        }
        self.generation += 1;
        self.registrations.insert(name.to_owned(), Some(self.generation));
        // A wake that could have started under the replaced handler still could.
        let since = self.installed.as_ref().map_or(self.now, |replaced| replaced.since);
        self.installed = Some(Installed { name: name.to_owned(), since });
        if self.policy.on_replace == OnReplace::Cancel {
            // Every run in flight is of an older generation.
            for flight in std::mem::take(&mut self.flights) {
                self.land(&flight, Ending::Cancelled);
                self.pass_on(flight, true);
            }
        }
        self.start_clean();
    }

    /// Floors, deferrals, backoffs and attempts of older handlers count for nothing, and what
    /// was requested earlier rests for one coalesce window, once. (Attempts carry the
    /// generation under which they were counted.)
    fn start_clean(&mut self) {
        let now = self.now;
        let rested = after(now, self.policy.coalesce_ms);
        for target in &mut self.targets {
            target.floor = 0;
            target.failures = 0;
            for request in &mut target.requests {
                request.deferred_to = None;
                if request.made_at < now && !request.moved && request.due < rested {
                    request.due = rested;
                    request.moved = true;
                }
            }
        }
    }

    pub(super) fn dispose(&mut self, name: &str) -> Result<(), Refusal> {
        let Some(registration) = self.registrations.get(name) else {
            return Err(Refusal {
                expected: format!("an earlier install of {name}"),
                got: "none".to_owned(),
            });
        };
        // Where its install was refused there is nothing to drop.
        if let Some(generation) = *registration {
            self.dispose_generation(generation);
        }
        Ok(())
    }

    pub(super) fn dispose_generation(&mut self, generation: u64) {
        if generation < self.generation {
            self.tally.stale_disposes += 1;
        } else {
            // Of the current generation, maybe again.
            self.installed = None;
        }
    }
}
