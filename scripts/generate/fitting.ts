import { join } from "node:path";
import { z } from "zod";
import { parseConfig, readJson } from "../../src/io/config.ts";
import { resolveRepo } from "../../src/io/hub/resolve_repo.ts";
import { isSingleFile } from "../../src/io/single_file/options.ts";
import { readIndex } from "../../src/pipelines/model_index.ts";
import type { Size } from "../command_line/options.ts";
import { familyOf, misfitOf } from "./misfits.ts";
import type { Given, Settings } from "./options.ts";
import { sideOfToken } from "./usual.ts";

/** Settings that count as well where a replayed picture has them. */
const BESIDE = ["vae", "lora", "controlnet", "t2i-adapter", "control", "image", "mask", "plan"] as const;

/**
 * Throws where the command line says what the model cannot be told, before it is loaded, and downloaded: all that the
 * names of its parts decide, and the sides that its autoencoder divides. → the class of its pipeline
 */
export async function expectFitting(model: string, settings: Settings, given: Given): Promise<string> {
  const { base, config } = settings;
  for (const name of ["base", "config"] as const) {
    if (given[name] === undefined || isSingleFile(model)) continue;
    throw new TypeError(
      `Cannot take --${name} with ${settings.model}: it is for one file; folders and repositories have all`,
    );
  }
  if (given.variant !== undefined && isSingleFile(model)) {
    throw new TypeError(
      `Cannot take --variant with ${settings.model}: one file has one; it is for folders and repositories`,
    );
  }
  const { className } = await readIndex(model, { base, config });
  const family = familyOf(className);
  if (family === undefined) return className; // refused by whoever loads it
  const replayed = Object.fromEntries(BESIDE.map((name) => [name, settings[name]])); // or given
  const odd = misfitOf(className, { ...given, ...replayed }, { setting: onCommandLine });
  if (odd) throw new TypeError(odd.message);
  for (const name of ["size", "hires"] as const) {
    const size = given[name];
    if (!size || isSingleFile(settings.vae ?? model)) continue;
    const wrong = wrongSides(size, await multipleIn(model, family, settings.vae));
    if (wrong) throw new RangeError(`Cannot take --${name} ${size.width}x${size.height}: ${wrong}`);
  }
  return className;
}

/** A setting as the command line has it. */
export function onCommandLine(name: string): string {
  return `--${name}`;
}

/** Divisor of a picture's sides, in pixels, by the config of the autoencoder in use, before anything is opened. */
async function multipleIn(model: string, family: string, vae: string | undefined): Promise<number> {
  const name = vae === undefined ? "vae/config.json" : "config.json";
  const { folder } = await resolveRepo(vae ?? model, { files: () => [name] });
  const path = join(folder, name);
  const { block_out_channels } = parseConfig(vaeConfig, await readJson(path), path);
  return sideOfToken(2 ** (block_out_channels.length - 1), /^(Flux|ZImage)/.test(family));
}

const vaeConfig = z.looseObject({ block_out_channels: z.array(z.number()).default([64]) });

/** A sentence on sides that a model cannot draw; undefined where it can. */
export function wrongSides({ width, height }: Size, multiple: number): string | undefined {
  if (width % multiple === 0 && height % multiple === 0) return undefined;
  const near = (side: number) => Math.max(1, Math.round(side / multiple)) * multiple;
  return `expected multiples of ${multiple} with this model; ${near(width)}x${near(height)} would do`;
}
