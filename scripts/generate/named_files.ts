import { readBlockWeights } from "denoise/models";

/** The largest strength: far over all that draws a picture, and far below what f16 holds. */
export const STRONGEST = 1000;

/** A file or repository with a strength, as `--ip-adapter PATH_OR_REPO[:SCALE]` names it. */
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

/** The paths of such texts, or of others that `read` reads. */
export function pathsOf(
  texts: readonly string[] | undefined,
  read: (text: string) => { readonly path: string } = readScaled,
): string[] | undefined {
  return texts?.map((text) => read(text).path);
}

/** Reads the name of a LoRA and what follows it. */
export function readLora(text: string): NamedLora {
  const { front, given } = partsOf(text, ["blocks", "from", "to"]);
  const { blocks } = given;
  if (blocks !== undefined) readBlockWeights(blocks);
  return { ...readScaled(front), blocks, between: betweenOf(given) };
}

/** A ControlNet as `--controlnet PATH_OR_REPO[:SCALE][:from=…][:to=…][:favor=…][:pass=…]` names it. */
export interface NamedControlNet extends Scaled {
  /** The parts of the steps between which it counts. */
  between: readonly [from: number, to: number] | undefined;
  /** What counts more where it and the prompt differ, as A1111's control modes have it. */
  favor: "prompt" | "control" | undefined;
  /** The one of two passes that it controls; both by default. */
  pass: 1 | 2 | undefined;
}

/** Reads the name of a ControlNet and what follows it. */
export function readControlNet(text: string): NamedControlNet {
  const { front, given } = partsOf(text, ["from", "to", "favor", "pass"]);
  const { favor, pass } = given;
  if (favor !== undefined && favor !== "prompt" && favor !== "control") {
    throw new TypeError(`expected favor=prompt or favor=control, got favor=${favor}`);
  }
  if (pass !== undefined && pass !== "1" && pass !== "2") {
    throw new TypeError(`expected pass=1 or pass=2, got pass=${pass}`);
  }
  return {
    ...readScaled(front),
    between: betweenOf(given),
    favor,
    pass: pass === undefined ? undefined : pass === "1" ? 1 : 2,
  };
}

/** What stands before the first `:name=`, and the values behind. */
function partsOf<Name extends string>(
  text: string,
  names: readonly Name[],
): { front: string; given: { readonly [N in Name]?: string } } {
  const [front, ...others] = text.split(new RegExp(`:(?=(?:${names.join("|")})=)`));
  const given = Object.fromEntries(
    others.map((one) => [one.split("=")[0]!, one.slice(one.indexOf("=") + 1)]),
  ) as { [N in Name]?: string };
  if (Object.keys(given).length === others.length) return { front: front!, given };
  throw new TypeError(`expected each of ${names.join(", ")} once`);
}

function betweenOf(
  { from, to }: { readonly from?: string; readonly to?: string },
): readonly [from: number, to: number] | undefined {
  for (const part of [from, to]) {
    if (part !== undefined && !isNumber(part)) {
      throw new TypeError("expected PATH_OR_REPO:0.8:from=0.2:to=0.8");
    }
  }
  if (from === undefined && to === undefined) return undefined;
  const [start, end] = [Number(from ?? 0), Number(to ?? 1)];
  if (0 <= start && start < end && end <= 1) return [start, end];
  throw new RangeError(
    `expected two parts of the steps from 0 to 1, in order, got from=${start} and to=${end}`,
  );
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
