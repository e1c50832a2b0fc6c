import { defaultsOf, readGiven } from "../command_line/arguments.ts";
import { expectWritable } from "../../src/io/files/whole_file.ts";
import { onCommandLine } from "./fitting.ts";
import { expectHires } from "./hires.ts";
import { expectCounting } from "./lora.ts";
import { misfitOfPrompts, misfitTogether } from "./misfits.ts";
import { about, type Given, options, type Settings, usage } from "./options.ts";
import { readRecipe, type Replayed } from "./replay.ts";
import { usualOf } from "./usual.ts";

/** Settings of the pictures to draw, those given on the command line, and the recipe that is replayed. */
interface Task {
  readonly settings: Settings;
  readonly given: Given;
  readonly replayed: Replayed | undefined;
}

/** Reads the command line, and the picture that it replays. Throws what is wrong before anything is loaded. */
export async function readTask(args: string[]): Promise<Task> {
  const given: Given = readGiven(usage, about, options, args);
  const replayed = given.replay === undefined ? undefined : await readRecipe(given.replay);
  const defaults = defaultsOf(options);
  const { model } = { ...defaults, ...replayed?.settings, ...given };
  const settings: Settings = { ...defaults, ...usualOf(model), ...replayed?.settings, ...given };
  expectTogether(settings);
  if (!settings.plan) expectWritable(settings.out, `take --out ${settings.out}`);
  return { settings, given, replayed };
}

/** Throws where options are said without those that they belong to. */
function expectTogether(settings: Settings): void {
  const { plan, quantize, preview, "preview-vae": previewVae } = settings;
  const odd = misfitTogether(settings, { setting: onCommandLine }) ??
    misfitOfPrompts(settings, "--lora FILE:SCALE");
  if (odd) throw new TypeError(odd.message);
  for (const text of settings.lora ?? []) expectCounting(text, settings);
  if (previewVae !== undefined && preview === undefined) {
    throw new TypeError("Cannot take --preview-vae alone: expected --preview too, which it decodes");
  }
  expectHires(settings);
  if (plan && quantize !== undefined) {
    throw new TypeError("Cannot take --quantize with --plan: the plan shows every way; leave it out");
  }
}
