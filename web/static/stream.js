// The live stream of a run. The browser resumes a lost connection by itself (Last-Event-ID); where it gives up,
// because the server answered with an error, this comes again with the position it has. A page that nobody sees lets
// go of its connection (browsers have only six for each server) and goes on at the same byte when it is seen again.
const AGAIN_MS = 3000;
const HIDDEN_MS = 10_000;

export class RunStream {
  // `on` has state(run), output(index, stream, offset, bytes), event(fields), settled(), end(run), live(word, text).
  constructor(url, on) {
    this.url = url;
    this.on = on;
    this.position = "";
    this.source = null;
    this.over = false;
    this.timer = 0;
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => event.persisted && this.open());
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.later(() => this.close(), HIDDEN_MS);
      else this.open();
    });
    if (!document.hidden) this.open();
  }

  later(act, ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(act, ms);
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
    if (!this.over) this.on.live("lost", "paused");
  }

  open() {
    clearTimeout(this.timer);
    if (this.over || this.source !== null) return;
    const url = new URL(this.url, location.href);
    if (this.position) url.searchParams.set("cursor", this.position);
    const source = new EventSource(url);
    this.source = source;
    source.onopen = () => this.on.live("live", "live");
    source.onerror = () => this.lost(source);
    source.addEventListener("batch", (event) => {
      this.position = event.lastEventId;
      for (const item of JSON.parse(event.data)) this.hand(item);
      this.on.settled();
    });
    source.addEventListener("fault", (event) => this.on.live("lost", JSON.parse(event.data)));
    source.addEventListener("end", (event) => {
      this.over = true;
      this.close();
      this.on.end(JSON.parse(event.data));
      this.on.live("ended", "ended");
    });
  }

  lost(source) {
    if (source !== this.source) return;
    this.on.live("lost", "reconnecting …");
    if (source.readyState !== EventSource.CLOSED) return;
    this.source = null;
    this.later(() => this.open(), AGAIN_MS * (1 + Math.random()));
  }

  hand([kind, ...rest]) {
    if (kind === "output") this.on.output(rest[0], rest[1], rest[2], bytesOf(rest[3]));
    else if (kind === "state") this.on.state(rest[0]);
    else this.on.event(rest[0]);
  }
}

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
