import type { DrawerEvent } from "../draw/events.ts";

/** An answer, by the pattern of its route: addresses themselves may be as good as a key. */
export interface AnswerEvent {
  readonly event: "request";
  readonly method: string;
  readonly route: string;
  readonly status: number;
  /** Seconds until the answer began. */
  readonly seconds: number;
}

/** A line of a log, for `JSON.stringify`. */
export type LogEntry = Readonly<Record<string, unknown>> & { readonly time: string; readonly event: string };

/** What happened as a line of a log: of a request its numbers and, only where they are wanted, its prompts. */
export function logEntry(event: AnswerEvent | DrawerEvent, prompts: boolean): LogEntry {
  const time = new Date().toISOString();
  if (event.event === "device lost") return { time, ...event };
  if (event.event === "request") return { time, ...event, seconds: rounded(event.seconds) };
  const { settings, waited, seconds, ...rest } = event;
  const { prompt, negative, lora, size } = settings ?? {};
  const times = { waited: rounded(waited), seconds: rounded(seconds) };
  return { time, ...rest, ...times, lora, size, ...prompts ? { prompt, negative } : {} };
}

/** Seconds to a tenth of a millisecond. */
function rounded(seconds: number): number {
  return Math.round(seconds * 1e4) / 1e4;
}
