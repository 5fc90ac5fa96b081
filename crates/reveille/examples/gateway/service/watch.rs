//! Saved files: the folder is watched, since editors replace a file by a rename, which takes a
//! watch on the file itself along.

use super::Event;
use crossbeam_channel::{Receiver, Sender, unbounded};
use notify::event::{Event as Change, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher, recommended_watcher};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// A save is a burst of changes; it is over when nothing has changed for so long.
const QUIET: Duration = Duration::from_millis(150);
/// A file that never comes to rest is looked at all the same.
const IMPATIENT: Duration = Duration::from_secs(2);

/// Sends [`Event::Saved`] when `file` has changed, until the watcher is dropped.
pub(super) fn watch(file: &Path, events: Sender<Event>) -> notify::Result<RecommendedWatcher> {
    let name = file.file_name().map(PathBuf::from).unwrap_or_default();
    let (sender, changes) = unbounded();
    let mut watcher = recommended_watcher(move |change: notify::Result<Change>| {
        let ours = change.is_ok_and(|change| {
            let touched = !matches!(change.kind, EventKind::Access(_));
            touched && change.paths.iter().any(|path| path.file_name() == Some(name.as_os_str()))
        });
        if ours {
            let _ = sender.send(()); // nobody listens once the service has ended
        }
    })?;
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    thread::Builder::new().name("watch".into()).spawn(move || debounce(&changes, &events))?;
    Ok(watcher)
}

fn debounce(changes: &Receiver<()>, events: &Sender<Event>) {
    while changes.recv().is_ok() {
        let since = Instant::now();
        while since.elapsed() < IMPATIENT && changes.recv_timeout(QUIET).is_ok() {}
        if events.send(Event::Saved).is_err() {
            return;
        }
    }
}
