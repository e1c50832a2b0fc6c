import { byId } from "./dom.ts";
import type { PageRequest } from "./request.ts";

type Seeds = Pick<PageRequest, "seed" | "variation">;

/**
 * Reads the seeds of pictures by their numbers; those that are left empty are random ones of 32 bits. Variations are all of one
 * seed, and mix it with others, as those of generate.ts.
 */
export function readSeeds(takesVariation: boolean): (i: number) => Seeds {
  const [first, other] = [seedIn("seed"), seedIn("variation-seed")];
  const part = takesVariation ? field("variation").value.trim() : "";
  return part === ""
    ? (i) => ({ seed: String(first + BigInt(i)) })
    : (i) => ({ seed: String(first), variation: `${other + BigInt(i)}:${Number(part)}` });
}

/** Seeds of a request as they were written: what is random stays so. */
export function writtenSeeds({ variation }: Partial<Seeds>): Seeds {
  const seed = field("seed").value.trim();
  const other = field("variation-seed").value.trim();
  return variation === undefined ? { seed } : { seed, variation: `${other}:${variation.split(":")[1]}` };
}

/** Writes seeds into their fields. */
export function fillSeeds({ seed = "", variation = "" }: Partial<Seeds>): void {
  const [other = "", part = ""] = variation.split(":");
  field("seed").value = seed;
  field("variation").value = part;
  field("variation-seed").value = other;
}

function seedIn(id: string): bigint {
  return BigInt(field(id).value.trim().replace("+", "") || crypto.getRandomValues(new Uint32Array(1))[0]!);
}

function field(id: string): HTMLInputElement {
  return byId(id, HTMLInputElement);
}
