//! A headless Chromium that is driven through chromedriver (W3C WebDriver, <https://www.w3.org/TR/webdriver2/>): a few
//! requests of JSON over HTTP, for which a client library would be more to build than to write.

#![allow(dead_code, reason = "every test file uses its own part")]

use super::daemons::{Daemon, SOON, skip_without, until};
use super::fixture::Muster;
use base64::Engine as _;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// Starting Chromium is the slowest thing that is asked for.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);
const FLAGS: [&str; 5] =
    ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"];

/// Words whose contrast to what is behind them is below that of WCAG 2.1 AA, and how many were looked at.
pub const CONTRAST: &str = r#"
const numbers = text => text.match(/[\d.]+/g).map(Number);
const light = ([r, g, b]) => {
  const part = it => (it /= 255) <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4;
  return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
};
const behind = it => {
  for (; it; it = it.parentElement) {
    const colour = numbers(getComputedStyle(it).backgroundColor);
    if (colour.length < 4 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const low = [];
let seen = 0;
const check = (words, ink, ground) => {
  const [a, b] = [light(ink), light(ground)].sort((a, b) => b - a);
  seen += 1;
  if ((a + 0.05) / (b + 0.05) < 4.5) low.push(`${words.slice(0, 40)}: ${ink} on ${ground}`);
};
for (const it of document.querySelectorAll('h1,h2,h3,p,li,a,th,td,dt,dd,caption,figcaption,footer,label,summary,pre')) {
  if (it.textContent.trim()) check(it.textContent, numbers(getComputedStyle(it).color), behind(it));
}
for (const text of document.querySelectorAll('svg[role=img] text')) {
  const ink = numbers(getComputedStyle(text).fill), shade = [...text.classList].find(it => /^h\d$/.test(it));
  const tile = shade && text.ownerSVGElement.querySelector(`rect.heat.${shade}`);
  check(text.textContent, ink, tile ? numbers(getComputedStyle(tile).fill) : behind(text.ownerSVGElement.parentElement));
}
return [seen, low];
"#;

/// Without a browser there is nothing to see; `true`: skip.
#[track_caller]
pub fn no_browser() -> bool {
    let on_path = |name: &str| {
        std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|it| it.join(name).is_file()))
    };
    skip_without(
        on_path("chromedriver") && on_path("chromium"),
        "Chromium and its driver (Debian packages chromium and chromium-driver)",
    )
}

/// One window.
pub struct Browser {
    address: String,
    session: String,
    _driver: Daemon,
}

impl Browser {
    /// Chromium with the folders of this world.
    pub fn start(muster: &Muster) -> Self {
        let mut command = muster.program(Path::new("chromedriver"));
        command.arg("--port=0");
        let mut driver = Daemon::start("chromedriver", &muster.path(""), command);
        let port = until("port of chromedriver", SOON, || {
            driver.assert_runs();
            let words = driver.output().split_once("successfully on port ")?.1.to_owned();
            words.split('.').next()?.parse::<u16>().ok()
        });
        let mut browser =
            Self { address: format!("127.0.0.1:{port}"), session: String::new(), _driver: driver };
        let asked = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": FLAGS},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let answer = browser.request("POST", "/session", &asked);
        browser.session = format!("/session/{}", answer["sessionId"].as_str().unwrap());
        browser
    }

    /// Makes the window as wide as that, in CSS pixels, and prefers `light` or `dark`.
    pub fn look(&self, width: u32, scheme: &str) {
        let metrics = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// Opens a file and waits until it is loaded.
    pub fn open(&self, path: &Path) {
        self.visit(&format!("file://{}", path.display()));
    }

    /// Opens an address and waits until it is loaded.
    pub fn visit(&self, url: &str) {
        self.request("POST", &format!("{}/url", self.session), &json!({"url": url}));
    }

    /// The whole page as it is seen, a PNG.
    pub fn picture(&self) -> Vec<u8> {
        let taken = self.devtools("Page.captureScreenshot", &json!({"captureBeyondViewport": true}));
        base64::prelude::BASE64_STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()
    }

    /// Presses keys, one after the other.
    pub fn press(&self, keys: &[&str]) {
        for key in keys {
            for kind in ["keyDown", "keyUp"] {
                let code = if *key == "Enter" { 13 } else { 9 };
                let text = if *key == "Enter" { "\r" } else { "" };
                let event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
                self.devtools("Input.dispatchKeyEvent", &event);
            }
        }
    }

    /// What a function body gives back.
    pub fn script(&self, body: &str) -> Value {
        let asked = json!({"script": body, "args": []});
        self.request("POST", &format!("{}/execute/sync", self.session), &asked)
    }

    /// The page as it comes out of a printer, a PDF.
    pub fn print(&self) -> Vec<u8> {
        let printed = self.devtools("Page.printToPDF", &json!({}));
        base64::prelude::BASE64_STANDARD.decode(printed["data"].as_str().unwrap()).unwrap()
    }

    /// What the console said since it was last asked.
    pub fn take_console(&self) -> Vec<String> {
        let entries = self.log("browser");
        entries.iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// The URLs that were asked for since it was last asked, those of `data:` cut short.
    pub fn take_requests(&self) -> Vec<String> {
        let events = self.log("performance").into_iter();
        let events = events
            .map(|entry| serde_json::from_str::<Value>(entry["message"].as_str().unwrap()).unwrap())
            .filter(|event| event["message"]["method"] == "Network.requestWillBeSent");
        let url = |event: Value| {
            event["message"]["params"]["request"]["url"].as_str().unwrap().chars().take(200).collect()
        };
        events.map(url).collect()
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.request("POST", &format!("{}/se/log", self.session), &json!({"type": kind}));
        entries.as_array().unwrap().clone()
    }

    fn devtools(&self, command: &str, params: &Value) -> Value {
        let asked = json!({"cmd": command, "params": params});
        self.request("POST", &format!("{}/goog/cdp/execute", self.session), &asked)
    }

    #[track_caller]
    fn request(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = exchange(&self.address, method, path, &body.to_string());
        let answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let value = answer["value"].clone();
        assert!(value["error"].is_null(), "{method} {path}: {value}");
        value
    }
}

impl Drop for Browser {
    /// Chromium ends with its session; the driver is a daemon.
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = exchange(&self.address, "DELETE", &self.session, "{}");
        }
    }
}

/// One request of HTTP/1.1 and its answer.
fn exchange(address: &str, method: &str, path: &str, body: &str) -> std::io::Result<Value> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else {
            if line.trim().is_empty() { break } else { continue }
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
    }
    let mut answer = vec![0; length];
    reader.read_exact(&mut answer)?;
    serde_json::from_slice(&answer).map_err(std::io::Error::other)
}
