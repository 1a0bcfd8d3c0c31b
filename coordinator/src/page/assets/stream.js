// What the server says about a view: a state, then its changes as JSON Merge Patches (RFC 7396).

/** Changes `target` as a patch says; objects are changed in place. */
export function merge(target, patch) {
  if (patch === null || typeof patch !== "object" || Array.isArray(patch)) return patch;
  const object = target !== null && typeof target === "object" && !Array.isArray(target) ? target : {};
  for (const [key, change] of Object.entries(patch)) {
    if (change === null) delete object[key];
    else object[key] = merge(object[key], change);
  }
  return object;
}

const AGAIN_MS = 1000;

/** The stream of one view. It is closed while nobody sees the page. */
export class Stream {
  /** `onstate(state)` after each change; `onconnection(text, broken)` when it comes and goes. */
  constructor(query, onstate, onconnection) {
    Object.assign(this, { query, onstate, onconnection, state: null, sequence: 0, source: null, timer: 0 });
    this.seen = () => document.hidden ? this.pause() : this.open();
    document.addEventListener("visibilitychange", this.seen);
    this.seen();
  }

  open() {
    if (this.source) return;
    clearTimeout(this.timer);
    const source = this.source = new EventSource(`/page/events?${this.query}`);
    const take = (event, apply) => {
      const began = performance.now();
      const message = JSON.parse(event.data);
      apply(message);
      this.sequence = message.sequence;
      this.skew = message.now_s - Date.now() / 1000;
      this.onconnection("Live", false);
      this.onstate(this.state, began);
    };
    source.addEventListener("snapshot", event => take(event, message => { this.state = message.state; }));
    source.addEventListener("delta", event => take(event, message => {
      if (message.sequence === this.sequence + 1 && this.state) this.state = merge(this.state, message.patch);
      else this.again(source, 0);
    }));
    source.addEventListener("error", () => {
      this.onconnection("Connection lost: trying again", true);
      this.again(source, AGAIN_MS);
    });
  }

  /** Asks anew: a refused request is not repeated by browsers. */
  again(source, wait) {
    source.close();
    if (this.source !== source) return;
    this.source = null;
    this.timer = setTimeout(() => { if (!document.hidden) this.open(); }, wait);
  }

  pause() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
    this.onconnection("Paused while hidden", false);
  }

  close() {
    document.removeEventListener("visibilitychange", this.seen);
    clearTimeout(this.timer);
    this.source?.close();
  }

  /** Unix time where the coordinator is. */
  now() { return Date.now() / 1000 + (this.skew ?? 0); }
}
