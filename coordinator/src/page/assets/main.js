// Which view is shown, and when it is drawn: at most once a frame, only when something has changed.
import { Cluster } from "/page/cluster.js";
import { Jobs } from "/page/jobs.js";
import { Job } from "/page/job.js";
import { Plugins } from "/page/plugins.js";
import { Reports } from "/page/reports.js";
import { Stream } from "/page/stream.js";
import { h, setText } from "/page/dom.js";

const main = document.getElementById("main");
const connection = document.getElementById("connection");
let view = null, stream = null, due = false, spent = 0;

/** Measures kept at a time; they can be read with performance.getEntriesByName("muster:frame"). */
const MEASURES_MAX = 1000;
let measures = 0;
const painted = new MessageChannel();
let began = 0;
painted.port1.onmessage = () => {
  if (++measures > MEASURES_MAX) {
    performance.clearMeasures("muster:frame");
    measures = 1;
  }
  performance.measure("muster:frame", { start: began, end: performance.now() });
};

function say(text, broken) {
  setText(connection, text);
  connection.classList.toggle("broken", broken);
}

function draw() {
  due = false;
  if (!view || !stream?.state) return;
  // The time of a frame: taking in the message, drawing, and laying out and painting, which is over when the message comes.
  began = performance.now() - spent;
  spent = 0;
  const error = stream.state.error;
  setText(view.error, error ?? "");
  view.error.hidden = !error;
  view.content.hidden = Boolean(error);
  if (!error) view.draw(stream.state, () => stream.now());
  painted.port2.postMessage(0);
}

function schedule() {
  if (due) return;
  due = true;
  requestAnimationFrame(draw);
}

const ROUTES = [
  [/^\/$/, () => new Cluster(schedule)],
  [/^\/jobs$/, () => new Jobs(go)],
  [/^\/jobs\/(\d+|last)$/, match => new Job(match[1] === "last" ? 0 : Number(match[1]))],
  [/^\/plugins$/, () => new Plugins()],
  [/^\/reports$/, () => new Reports()],
];

/** Shows what the address says. `focus`: somebody came here by a link. */
function route(focus) {
  spent = 0;
  const path = location.pathname;
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.pathname === "/" ? path === "/" : path.startsWith(link.pathname);
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const [pattern, make] = ROUTES.find(([pattern]) => pattern.test(path)) ?? ROUTES[0];
  view = make(path.match(pattern));
  view.error = h("p", { class: "error", role: "alert", hidden: true });
  view.title = h("h1", { tabindex: -1 }, view.name);
  main.replaceChildren(view.title, view.error, view.content);
  document.title = `${view.name} – muster`;
  if (focus) view.title.focus();
  say("Connecting", false);
  listen();
}

/** Opens the stream of what the view looks for. */
function listen() {
  stream?.close();
  stream = new Stream(view.query(), (state, since) => {
    spent += performance.now() - since;
    schedule();
  }, say);
}

/** Goes to another address of the page. `quiet`: the view stays, only what it looks for changes. */
function go(address, quiet = false) {
  if (quiet) {
    history.replaceState(null, "", address);
    return listen();
  }
  history.pushState(null, "", address);
  route(true);
}

document.addEventListener("click", event => {
  const link = event.target.closest?.("a[href^='/']");
  const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  // What is below /page/ is no view: a report is a page of its own.
  if (!link || !plain || link.pathname.startsWith("/page/")) return;
  event.preventDefault();
  go(link.getAttribute("href"));
});
addEventListener("popstate", () => route(true));
// Ages grow also when nothing is said.
setInterval(() => { if (!document.hidden) schedule(); }, 1000);
route(false);
