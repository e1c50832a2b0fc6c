import { readBlockWeights } from "denoise/models";
import { scaleBetween } from "denoise/pipelines";

/** The largest strength: far over all that draws a picture, and far below what f16 holds. */
export const STRONGEST = 1000;

/** A file or repository with a strength, as `--controlnet PATH_OR_REPO[:SCALE]` names it. */
export interface Scaled {
  path: string;
  scale: number;
}

/** A LoRA as `--lora PATH_OR_REPO[:SCALE][:blocks=…][:from=…][:to=…]` names it. */
export interface NamedLora extends Scaled {
  /** Strengths of blocks, as `blockWeights` reads them. */
  blocks: string | undefined;
  /** The parts of the steps between which it counts. */
  between: readonly [from: number, to: number] | undefined;
}

/** Reads `PATH_OR_REPO[:scale]`; a scale is 1 where none is given. */
export function readScaled(text: string): Scaled {
  const [, path, scale = "1"] = /^(.+?)(?::([^:/\\]*))?$/.exec(text) ?? [];
  if (path && isNumber(scale) && Math.abs(Number(scale)) > STRONGEST) {
    throw new RangeError(`expected a scale of at most ${STRONGEST} in size`);
  }
  if (path && isNumber(scale)) return { path, scale: Number(scale) };
  throw new TypeError("expected PATH_OR_REPO or PATH_OR_REPO:0.8");
}

/** The paths of such texts. */
export function pathsOf(texts: readonly string[] | undefined): string[] | undefined {
  return texts?.map((text) => readScaled(text).path);
}

/** Reads the name of a LoRA and what follows it. */
export function readLora(text: string): NamedLora {
  const [front, ...others] = text.split(/:(?=(?:blocks|from|to)=)/);
  const given = Object.fromEntries(
    others.map((one) => [one.split("=")[0]!, one.slice(one.indexOf("=") + 1)]),
  );
  const { blocks, from, to } = given as { blocks?: string; from?: string; to?: string };
  if (Object.keys(given).length < others.length) {
    throw new TypeError("expected each of blocks, from and to once");
  }
  if (blocks !== undefined) readBlockWeights(blocks);
  for (const part of [from, to]) {
    if (part !== undefined && !isNumber(part)) {
      throw new TypeError("expected PATH_OR_REPO:0.8:from=0.2:to=0.8");
    }
  }
  const between = from === undefined && to === undefined
    ? undefined
    : [Number(from ?? 0), Number(to ?? 1)] as const;
  if (between) scaleBetween(1, ...between); // refuses them
  return { ...readScaled(front!), blocks, between };
}

/** A textual inversion as `--embedding PATH_OR_REPO[=TOKEN]` names it. */
interface NamedEmbedding {
  path: string;
  token: string | undefined;
}

/** Reads `PATH_OR_REPO[=TOKEN]`. */
export function readEmbedding(text: string): NamedEmbedding {
  const [, path, token] = /^([^=]+)(?:=(.+))?$/.exec(text) ?? [];
  if (path) return { path, token };
  throw new TypeError("expected PATH_OR_REPO or PATH_OR_REPO=TOKEN");
}

function isNumber(text: string): boolean {
  return text.trim() !== "" && Number.isFinite(Number(text));
}
