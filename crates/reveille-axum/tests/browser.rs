//! The page in a real browser: Chromium, without a screen.
//!
//! With `REVEILLE_SCREENSHOTS=1` it leaves its pictures in `docs/pictures`; with `REVEILLE_NO_BROWSER=1` it
//! opens none, and says so.

use headless_chrome::protocol::cdp::types::Method;
use headless_chrome::protocol::cdp::{Emulation, Page};
use headless_chrome::{Browser, LaunchOptions, Tab};
use reveille::{Builder, Cadence, Outcome, Reveille, Roster, Runner, SharedRun};
use reveille_axum::{Access, loopback, router};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

const TOKEN: &str = "0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(20);

/// A service with its page, and a browser that looks at it.
struct Stand {
    runtime: Runtime,
    hub: Reveille,
    driver: JoinHandle<()>,
    port: u16,
    browser: Browser,
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn browser() -> Option<Browser> {
    if std::env::var_os("REVEILLE_NO_BROWSER").is_some() {
        eprintln!("REVEILLE_NO_BROWSER is set: the page was NOT looked at");
        return None;
    }
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|path| path.is_file());
    let path = found.expect(
        "no chromium on the PATH: install it (Debian: apt-get install chromium), \
         or set REVEILLE_NO_BROWSER=1 to leave the browser out",
    );
    let options = LaunchOptions::default_builder()
        .path(Some(path))
        .sandbox(false) // there is none inside a container; the page is ours
        .window_size(Some((1_000, 640)))
        .args(vec![OsStr::new("--disable-dev-shm-usage"), OsStr::new("--hide-scrollbars")])
        .idle_browser_timeout(Duration::from_secs(120))
        .build();
    Some(Browser::new(options.expect("the options hold")).expect("chromium starts"))
}

impl Stand {
    fn new() -> Option<Self> {
        let browser = browser()?;
        let runtime = Runtime::new().expect("a runtime");
        let hub: Reveille = Builder::new()
            .policy(|policy| {
                policy.max_sleep = ms(500);
                policy.watch.turn_grace = ms(500);
            })
            .build()
            .expect("the policy holds");
        let driver = runtime.spawn(reveille_tokio::drive(&hub).expect("it has no driver"));
        let access = Access::with_token(TOKEN).expect("long enough");
        let service = axum::Router::new().nest("/hearts", router(&hub, "gateway", access));
        let listener = runtime.block_on(loopback(0)).expect("a port");
        let port = listener.local_addr().expect("it has one").port();
        runtime.spawn(async move { axum::serve(listener, service).await });
        Some(Self { runtime, hub, driver, port, browser })
    }

    fn open(&self) -> Arc<Tab> {
        let tab = self.browser.new_tab().expect("a tab");
        let url = format!("http://127.0.0.1:{}/hearts", self.port);
        tab.navigate_to(&url).expect("it is served").wait_until_navigated().expect("it loads");
        wait(&tab, "document.querySelector('#health').className !== 'health unknown'");
        tab
    }

    /// What a service runs: some targets are well, some are not.
    fn run(&self, targets: &[&str], every: Duration) -> Runner {
        let cadence = Cadence::every(every).expect("not zero").spread();
        let roster: Roster =
            targets.iter().map(|target| ((*target).to_owned(), cadence.clone())).collect();
        let handler = |run: SharedRun| async move {
            match run.key().as_str() {
                "billing" if run.attempt() < 3 => Outcome::failed_for(ms(300)),
                "backup" if run.attempt() < 2 => Outcome::busy_for(ms(700)),
                _ => Outcome::ran(),
            }
        };
        self.hub.runner_async(handler, roster).expect("it has not stopped")
    }
}

fn ask(tab: &Tab, script: &str) -> Value {
    let answer = tab.evaluate(script, true).unwrap_or_else(|error| panic!("{script}: {error}"));
    answer.value.unwrap_or(Value::Null)
}

/// Waits until the page says so; it fetches anew each second.
fn wait(tab: &Tab, condition: &str) {
    let since = Instant::now();
    while ask(tab, condition) != Value::Bool(true) {
        assert!(since.elapsed() < PATIENCE, "{condition}: {}", ask(tab, "document.body.innerText"));
        std::thread::sleep(ms(50));
    }
}

fn call<C: Method + serde::Serialize>(tab: &Tab, method: C)
where
    C::ReturnObject: std::fmt::Debug,
{
    tab.call_method(method).expect("chromium knows it");
}

fn width(tab: &Tab, width: u32, height: u32) {
    call(
        tab,
        Emulation::SetDeviceMetricsOverride {
            width,
            height,
            device_scale_factor: 1.0,
            mobile: width < 500,
            scale: None,
            screen_width: None,
            screen_height: None,
            position_x: None,
            position_y: None,
            dont_set_visible_size: None,
            screen_orientation: None,
            viewport: None,
            display_feature: None,
            device_posture: None,
        },
    );
}

fn scheme(tab: &Tab, scheme: &str) {
    let feature =
        Emulation::MediaFeature { name: "prefers-color-scheme".into(), value: scheme.into() };
    call(tab, Emulation::SetEmulatedMedia { media: None, features: Some(vec![feature]) });
}

fn picture(tab: &Tab, name: &str) {
    let png = tab
        .capture_screenshot(Page::CaptureScreenshotFormatOption::Png, None, None, true)
        .expect("a picture");
    if std::env::var_os("REVEILLE_SCREENSHOTS").is_some() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pictures");
        std::fs::write(folder.join(name), png).expect("it can be written");
    }
}

/// The beat line of a target, in words, as a screen reader says it.
fn beats(target: &str) -> String {
    format!("(document.querySelector('[data-name=\"{target}\"] svg title')?.textContent ?? '')")
}

/// P8, P18: one page, never loaded again, sees a beat arrive, a reload, a stall and its recovery.
#[test]
fn an_operator_sees_hearts_beat_and_stop() {
    let Some(mut stand) = Stand::new() else { return };
    stand.hub.target("mail".to_owned()).unwrap();
    let tab = stand.open();
    wait(&tab, &format!("{} === 'No run yet'", beats("mail")));

    let old = stand.run(&["mail", "news", "billing", "backup"], ms(400));
    wait(&tab, &format!("{}.startsWith('Last runs, oldest first: ran, ran')", beats("mail")));
    wait(&tab, "document.querySelector('[data-name=\"mail\"]').innerText.includes('#1')");
    wait(&tab, &format!("{}.includes('failed')", beats("billing")));
    wait(&tab, &format!("{}.includes('busy')", beats("backup")));

    let new = stand.run(&["mail", "news", "billing", "backup"], ms(400)); // the reload
    assert_eq!(old.stop().taken_back, 0);
    wait(&tab, "document.querySelector('#summary').textContent.includes('handler #2')");
    wait(&tab, "document.querySelector('[data-name=\"mail\"]').innerText.includes('#2')");
    wait(&tab, "document.querySelector('#health').classList.contains('healthy')");
    for (name, paper) in [("light", "rgb(255, 255, 255)"), ("dark", "rgb(18, 18, 22)")] {
        scheme(&tab, name);
        wait(&tab, &format!("getComputedStyle(document.body).backgroundColor === '{paper}'"));
        assert!(ask(&tab, CONTRAST).as_f64().unwrap() >= 4.5, "{name}: text is hard to read");
        picture(&tab, &format!("status-{name}.png"));
    }
    width(&tab, 360, 780);
    assert_eq!(ask(&tab, "document.documentElement.scrollWidth"), 360);
    picture(&tab, "status-phone.png");
    width(&tab, 1_000, 640);
    scheme(&tab, "light");

    stand.driver.abort();
    wait(&tab, "document.querySelector('#condition').textContent === 'Stalled'");
    wait(&tab, "document.querySelector('#concerns').innerText.includes('Nobody drives the hub')");
    picture(&tab, "status-stall.png");
    let again = reveille_tokio::drive(&stand.hub).expect("the seat is free");
    stand.driver = stand.runtime.spawn(again);
    wait(&tab, "document.querySelector('#health').classList.contains('healthy')");
    wait(&tab, "document.querySelector('#concerns').children.length === 0");
    assert!(new.is_current());
    assert_eq!(stand.hub.counters().found_by_recheck, 0);
}

/// The least contrast of text with what is behind it, as WCAG reckons it.
const CONTRAST: &str = "(() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((c) => c / 255)
      .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const ratio = (ink) => (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  const nodes = [...document.querySelectorAll('h1, p, span, strong, th, td, label, button, caption')];
  return Math.min(...nodes.map((node) => ratio(light(getComputedStyle(node).color))));
})()";

/// By keyboard alone: without the token nothing is woken, and the cursor goes where it is wanted; with it
/// the target runs.
#[test]
fn a_target_is_woken_by_keyboard() {
    let Some(stand) = Stand::new() else { return };
    let _service = stand.run(&["mail"], Duration::from_secs(3_600));
    let tab = stand.open();
    wait(&tab, "document.querySelector('[data-name=\"mail\"] button') !== null");
    let focus = |what: &str| {
        for _ in 0..12 {
            tab.press_key("Tab").expect("a key");
            if ask(
                &tab,
                "document.activeElement.getAttribute('aria-label') || document.activeElement.id",
            ) == what
            {
                return;
            }
        }
        panic!("Tab does not reach {what}");
    };
    focus("Wake mail");
    tab.press_key("Enter").expect("a key");
    wait(&tab, "document.querySelector('#said').textContent === 'mail: the token is needed'");
    wait(&tab, "document.activeElement.id === 'token'");
    assert_eq!(stand.hub.counters().accepted, 0);
    tab.type_str(TOKEN).expect("keys");
    focus("Wake mail");
    tab.press_key("Enter").expect("a key");
    wait(&tab, "document.querySelector('#said').textContent === 'mail: armed'");
    wait(&tab, &format!("{} === 'Last runs, oldest first: ran'", beats("mail")));
    assert_eq!(ask(&tab, "document.activeElement.getAttribute('aria-label')"), "Wake mail");
}

/// The tree that screen readers read, as it comes: the browser's words for it change.
#[derive(Debug, serde::Serialize)]
struct AccessibleTree {}

impl Method for AccessibleTree {
    const NAME: &'static str = "Accessibility.getFullAXTree";
    type ReturnObject = Value;
}

/// What a screen reader finds, and that names are text whatever they look like.
#[test]
fn a_screen_reader_finds_its_way() {
    let Some(stand) = Stand::new() else { return };
    let name = "<img src=x onerror=alert(1)>";
    let _service = stand.run(&["mail", name], ms(300));
    let tab = stand.open();
    wait(&tab, &format!("{}.startsWith('Last runs')", beats("mail")));
    assert_eq!(ask(&tab, "document.images.length"), 0);
    assert_eq!(ask(&tab, "document.documentElement.lang"), "en");
    let tree = tab.call_method(AccessibleTree {}).expect("chromium knows it");
    let said: Vec<(String, String)> = tree["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .filter(|node| node["ignored"] == false)
        .map(|node| {
            let text = |what: &str| node[what]["value"].as_str().unwrap_or_default().to_owned();
            (text("role"), text("name"))
        })
        .collect();
    let has = |role: &str, name: &str| said.iter().any(|(r, n)| r == role && n.starts_with(name));
    assert!(has("heading", "gateway") && has("table", "Hearts"), "{said:?}");
    assert!(has("rowheader", "mail") && has("rowheader", name), "{said:?}");
    assert!(has("columnheader", "Last runs") && has("button", "Wake mail"), "{said:?}");
    assert!(has("image", "Last runs, oldest first: ran"), "{said:?}");
    assert!(said.iter().any(|(role, _)| role == "status"), "{said:?}");
}

/// The page loads nothing but its own figures; a page of another site can neither read nor wake.
#[test]
fn no_other_site_reads_or_wakes() {
    let Some(stand) = Stand::new() else { return };
    let _service = stand.run(&["mail"], Duration::from_secs(3_600));
    let tab = stand.open();
    wait(&tab, "performance.getEntriesByType('resource').length > 1");
    let resources = "performance.getEntriesByType('resource').map((it) => it.name)";
    let own = format!("http://127.0.0.1:{}/hearts/snapshot.json", stand.port);
    assert_eq!(ask(&tab, &format!("{resources}.every((it) => it === '{own}')")), Value::Bool(true));

    // Another port is another site: the operator's other tab.
    let other = axum::Router::new().fallback(async || axum::response::Html("<p>another site"));
    let listener = stand.runtime.block_on(loopback(0)).expect("a port");
    let evil = listener.local_addr().expect("it has one").port();
    stand.runtime.spawn(async move { axum::serve(listener, other).await });
    tab.navigate_to(&format!("http://127.0.0.1:{evil}/")).expect("it is served");
    tab.wait_until_navigated().expect("it loads");
    let tries = format!(
        "(async () => {{
          const at = 'http://127.0.0.1:{}/hearts/';
          const read = await fetch(at + 'snapshot.json').then(() => 'read', () => 'blocked');
          await fetch(at + 'wake/mail', {{ method: 'POST', mode: 'no-cors' }}).catch(() => 0);
          const sent = await fetch(at + 'wake/mail', {{ method: 'POST', headers: {{ Authorization: 'Bearer {TOKEN}' }} }})
            .then(() => 'sent', () => 'blocked');
          return read + ', ' + sent;
        }})()",
        stand.port
    );
    assert_eq!(ask(&tab, &tries), "blocked, blocked");
    assert_eq!(stand.hub.counters().accepted, 0, "even with the token");
}
