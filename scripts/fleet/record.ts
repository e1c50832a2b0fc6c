import type { Job } from "bullmq";
import { z } from "zod";
import { quote } from "../../src/io/files/errors.ts";
import { type CanonicalRequest, canonicalRequest, nameOf } from "./request_name.ts";

/** Workers that would not draw a request, though they offer what it names. */
export interface Refusals {
  /** Their ids. */
  readonly by: readonly string[];
  /** The last one's reason. */
  readonly reason: string;
}

const refusals: z.ZodType<Refusals> = z.object({ by: z.array(z.string()), reason: z.string() });

/** A record that no worker would draw. */
export class WrongRequestError extends Error {}

/** The request of a record in a model's queue. Throws a WrongRequestError for one that `submit` would not write. */
export function requestIn({ id = "", data }: Job<unknown>, model: string): CanonicalRequest {
  const request = read(data, model);
  const name = nameOf(request);
  if (request.model !== model) {
    const got = quote(request.model);
    throw new WrongRequestError(
      `Cannot draw: expected a request for ${model} in its queue, got one for ${got}`,
    );
  }
  if (name === id) return request;
  throw new WrongRequestError(
    `Cannot draw: expected the name ${name} of what it asks for, got ${quote(id)}; send it with submit`,
  );
}

function read(data: unknown, model: string): CanonicalRequest {
  try {
    return canonicalRequest(data, model);
  } catch (cause) {
    throw new WrongRequestError((cause as Error).message, { cause });
  }
}

/** The refusals that a record tells of. */
export function refusalsIn({ progress }: Job<unknown>): Refusals {
  return refusals.safeParse(progress).data ?? { by: [], reason: "" };
}

/** Writes them into it. */
export async function tellRefusals(job: Job<unknown>, { by, reason }: Refusals): Promise<void> {
  await job.updateProgress({ by, reason });
}

/** The name of a request for a line of the log: others may write any there. */
export function shownName({ id = "" }: Job<unknown>): string {
  return /^\w+$/.test(id) ? id : quote(id);
}
