/** Server-sent events over fetch: EventSource cannot carry the token, which a trainer's own news need.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation */

export type Message = { event: string; data: string; id: string };

/** Takes text in pieces of any size, gives whole messages. */
export class Parser {
  private rest = "";
  private event = "";
  private data: string[] = [];
  private id = "";

  feed(text: string): Message[] {
    const found: Message[] = [];
    const lines = (this.rest + text).split(/\r\n|\n|\r(?=[\s\S])/);
    this.rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (this.data.length) found.push({ event: this.event || "message", data: this.data.join("\n"), id: this.id });
        this.event = "";
        this.data = [];
        continue;
      }
      const colon = line.indexOf(":");
      if (colon === 0) continue;
      const name = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (name === "event") this.event = value;
      else if (name === "data") this.data.push(value);
      else if (name === "id" && !value.includes("\0")) this.id = value;
    }
    return found;
  }
}

/** Every message of a stream, until it ends. Throws when the connection breaks. heard: called for any bytes, comments too. */
export async function* messages(response: Response, heard: () => void = () => undefined): AsyncGenerator<Message> {
  if (!response.body) return;
  const parser = new Parser();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      yield* parser.feed(value);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
