import type { DrawerEvent } from "./events.ts";

/** An answer, by the pattern of its route: addresses themselves may be as good as a key. */
export interface AnswerEvent {
  readonly event: "request";
  readonly method: string;
  readonly route: string;
  readonly status: number;
  /** Milliseconds until the answer began. */
  readonly ms: number;
}

/** A line of a log, for `JSON.stringify`. */
export type LogEntry = Readonly<Record<string, unknown>> & { readonly time: string; readonly event: string };

/** What happened as a line of a log: of a request its numbers and, only where they are wanted, its prompts. */
export function logEntry(event: AnswerEvent | DrawerEvent, prompts: boolean): LogEntry {
  const time = new Date().toISOString();
  if (event.event === "request" || event.event === "device lost") return { time, ...event };
  const { settings, ...numbers } = event;
  const { prompt, negative, lora, size } = settings ?? {};
  return { time, ...numbers, lora, size, ...prompts ? { prompt, negative } : {} };
}
