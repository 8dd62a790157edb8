// The live stream of a run. The browser resumes a lost connection by itself (Last-Event-ID); where it gives up,
// because the server answered with an error, this comes again with the position it has.
const AGAIN_MS = 3000;

export class RunStream {
  // `on` has state(run), output(index, stream, offset, bytes), event(fields), end(run), live(word, text).
  constructor(url, on) {
    this.url = url;
    this.on = on;
    this.position = "";
    this.open();
    addEventListener("pagehide", () => this.source.close());
    addEventListener("pageshow", (event) => event.persisted && !this.over && this.open());
  }

  open() {
    const url = new URL(this.url, location.href);
    if (this.position) url.searchParams.set("cursor", this.position);
    const source = new EventSource(url);
    this.source = source;
    source.onopen = () => this.on.live("live", "live");
    source.onerror = () => {
      this.on.live("lost", "reconnecting …");
      if (source.readyState === EventSource.CLOSED && !this.over) {
        setTimeout(() => this.open(), AGAIN_MS * (1 + Math.random()));
      }
    };
    source.addEventListener("batch", (event) => {
      this.position = event.lastEventId;
      for (const item of JSON.parse(event.data)) this.hand(item);
    });
    source.addEventListener("fault", (event) => this.on.live("lost", JSON.parse(event.data)));
    source.addEventListener("end", (event) => {
      this.over = true;
      source.close();
      this.on.end(JSON.parse(event.data));
      this.on.live("ended", "ended");
    });
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
