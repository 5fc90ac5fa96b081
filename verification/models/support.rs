//! What models share: named threads, and words of their own.

pub use loom::thread::JoinHandle;
use reveille_core::sync::trace;

/// Starts a thread of the model; its lane in a drawing is called `name`.
pub fn spawn<T: 'static>(name: &'static str, f: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
    loom::thread::spawn(move || {
        trace::name_lane(name);
        f()
    })
}

/// Waits for a thread of the model.
///
/// # Panics
/// If it panicked.
pub fn join<T>(thread: JoinHandle<T>) -> T {
    match thread.join() {
        Ok(value) => value,
        Err(_) => panic!("a thread of the model panicked"),
    }
}
