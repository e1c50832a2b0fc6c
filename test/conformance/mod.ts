import { existsSync, readdirSync } from "node:fs";
import { bad } from "./bad.ts";
import { ddpm } from "./ddpm.ts";
import { flux } from "./flux.ts";
import { flux2 } from "./flux2.ts";
import { ops } from "./ops.ts";
import { random } from "./random.ts";
import { schedulers } from "./schedulers.ts";
import { sd } from "./sd.ts";
import { tensorOperations } from "./tensor.ts";
import type { Family, Verdict } from "./verdict.ts";
import { zimage } from "./zimage.ts";

export { type Precision, runIn } from "./precision.ts";
export type { Verdict } from "./verdict.ts";

/** Every family, by the name of its folder in a set. */
export const families: Readonly<Record<string, Family>> = {
  random,
  ops,
  tensor: tensorOperations,
  schedulers,
  ddpm,
  bad,
  sd,
  flux,
  flux2,
  zimage,
};

/** The families that a set has. */
export function familiesOf(set: string): string[] {
  return Object.keys(families).filter((family) => existsSync(`${set}/${family}`));
}

/** Folders of a set with numbers that no family here knows. */
export function strangersOf(set: string): string[] {
  const foldersIn = (path: string) =>
    readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => name);
  const hasNumbers = (folder: string) =>
    foldersIn(`${set}/${folder}`).some((name) =>
      name === "expected" || existsSync(`${set}/${folder}/${name}/expected`)
    );
  return foldersIn(set).filter((folder) => !(folder in families) && hasNumbers(folder)).sort();
}

/** Runs every case of one family of a set. A family that breaks off counts as one more case, which failed. */
export async function* conform(set: string, family: string): AsyncGenerator<Verdict, void, void> {
  if (!(family in families)) {
    yield { id: "(all)", status: "skipped", note: "the family is not known" };
    return;
  }
  try {
    yield* families[family]!(`${set}/${family}`);
  } catch (error) {
    yield { id: "(the rest)", status: "failed", note: (error as Error).message };
  }
}
