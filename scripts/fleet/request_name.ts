import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { sidesIn } from "../command_line/options.ts";
import { BODY } from "../serve/request/limits.ts";
import { RefusalError } from "../serve/request/refusal.ts";
import { type DrawRequest, readRequest } from "../serve/request/request.ts";

const MOST_COUNT = 1000; // pictures of a request, which one worker draws: each needs a name

/** A request as plain JSON in one form: two that ask for the same are the same text. */
export interface CanonicalRequest extends Record<string, unknown> {
  /** The model's name; queues have theirs by it. */
  readonly model: string;
  /** Pictures. */
  readonly count: number;
}

/**
 * The one form of a request, whoever wrote it: all defaults that every worker has alike are said, seeds are texts, sizes
 * WIDTHxHEIGHT, pictures base64. `model` is for one that names none. Throws a RefusalError for what is wrong.
 */
export function canonicalRequest(value: unknown, model: string): CanonicalRequest {
  const { seed = 0n, image, mask, control, "ip-image": ip, ...given }: DrawRequest = readRequest(value);
  if (given.count !== undefined && given.count > MOST_COUNT) {
    const message =
      `Cannot draw: expected count of at most ${MOST_COUNT}, got ${given.count}; send several requests`;
    throw new RefusalError("invalid", message, "count");
  }
  const pictures = [image, mask, control, ip].flatMap((one) => one ?? []);
  const bytes = pictures.reduce((sum, { length }) => sum + length, 0);
  if (bytes > BODY) {
    const message = `Cannot draw: expected pictures of at most ${BODY >> 20} MiB, got ${
      bytes >> 20
    } MiB; send smaller ones`;
    throw new RefusalError("too large", message, "image");
  }
  const all: CanonicalRequest = {
    ...given,
    model: given.model ?? model,
    count: given.count ?? 1,
    seed: String(seed),
    size: given.size && sidesIn(given.size),
    hires: given.hires && sidesIn(given.hires),
    "seed-size": given["seed-size"] && sidesIn(given["seed-size"]),
    image: image?.map(base64),
    mask: mask && base64(mask),
    control: control?.map(base64),
    "ip-image": ip?.map(base64),
  };
  const keys = Object.keys(all).filter((key) => all[key] !== undefined).sort();
  return Object.fromEntries(keys.map((key) => [key, all[key]])) as CanonicalRequest;
}

/** The name of a request: SHA-256 of its one form, of which 160 bits are shown. The same request has the same name everywhere. */
export function nameOf(request: CanonicalRequest): string {
  return createHash("sha256").update(JSON.stringify(request)).digest("hex").slice(0, 40);
}

/** Names of the files of its pictures: `NAME.png`, or `NAME-1.png` and so on where there are several. */
export function filesOf(request: CanonicalRequest): readonly string[] {
  const name = nameOf(request);
  if (request.count === 1) return [`${name}.png`];
  return Array.from({ length: request.count }, (_, i) => `${name}-${i + 1}.png`);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
