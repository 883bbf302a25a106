/**
 * `@std/http/server-sent-event-stream`, for networks that reach npm but not JSR; `tests/run.ts`
 * chooses.
 */

const LINE_END = /\r\n|\r|\n/;

export interface ServerSentEventMessage {
  comment?: string;
  event?: string;
  data?: string;
  id?: string | number;
  retry?: number;
}

/** Messages in, bytes out. */
export class ServerSentEventStream extends TransformStream<ServerSentEventMessage, Uint8Array> {
  constructor() {
    const encoder = new TextEncoder();
    super({
      transform(message, controller) {
        controller.enqueue(encoder.encode(format(message)));
      },
    });
  }
}

function format({ comment, event, data, id, retry }: ServerSentEventMessage): string {
  const lines = [
    ...prefix(":", comment),
    ...prefix("event:", refuseLines(event)),
    ...prefix("data:", data),
    ...prefix("id:", refuseLines(id)),
    ...prefix("retry:", retry),
  ];
  return `${lines.join("\n")}\n\n`;
}

function prefix(name: string, value: string | number | undefined): string[] {
  if (value === undefined) return [];
  return String(value).split(LINE_END).map((line) => `${name}${line}`);
}

function refuseLines(value: string | number | undefined): string | number | undefined {
  if (LINE_END.test(String(value))) {
    throw new SyntaxError("Cannot serialize message: event and id cannot contain a newline");
  }
  return value;
}
