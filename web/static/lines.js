// One stream of one node: bytes in, lines out. A line that is not finished is handed out at once and grows later.
import { carried } from "./text.js";

const MAX_LINE = 64 * 1024; // characters; a longer line is broken, so that one line cannot fill the memory

export class LineReader {
  // `onLine` gets each new line: {node, err, text, colours}. `offset` is the byte that comes next.
  constructor(node, err, onLine) {
    this.node = node;
    this.err = err;
    this.onLine = onLine;
    this.offset = null;
    this.decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    this.open = null;
    this.colours = "";
  }

  // Bytes that are here already are dropped: after a reconnect nothing is shown twice.
  push(offset, bytes) {
    if (this.offset === null && offset > 0) this.write("… ");
    const known = this.offset === null ? 0 : this.offset - offset;
    if (known >= bytes.length && bytes.length > 0) return;
    if (this.offset !== null && known < 0) this.write(`\n… ${-known} bytes are missing here …\n`);
    this.offset = offset + bytes.length;
    this.write(this.decoder.decode(known > 0 ? bytes.subarray(known) : bytes, { stream: true }));
  }

  write(text) {
    const parts = text.split("\n");
    for (let i = 0; i < parts.length; i++) {
      this.grow(parts[i]);
      if (i < parts.length - 1) this.finish();
    }
  }

  grow(text) {
    if (text === "") return;
    if (this.open === null) {
      this.open = { node: this.node, err: this.err, text: "", colours: this.colours };
      this.onLine(this.open);
    }
    const line = this.open;
    line.text += text;
    const overwritten = line.text.lastIndexOf("\r", line.text.length - 2);
    if (overwritten >= 0) {
      line.colours = carried(line.colours, line.text.slice(0, overwritten));
      line.text = line.text.slice(overwritten + 1);
    }
    if (line.text.length > MAX_LINE) this.finish();
  }

  finish() {
    if (this.open === null) {
      this.onLine({ node: this.node, err: this.err, text: "", colours: "" });
      return;
    }
    if (this.open.text.endsWith("\r")) this.open.text = this.open.text.slice(0, -1);
    this.colours = carried(this.open.colours, this.open.text);
    this.open = null;
  }
}
