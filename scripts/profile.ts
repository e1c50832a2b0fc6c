/**
 * Times a model's step, or a pipeline's whole run: what binds it, which kernels of which modules take how
 * long, how fast they run beside what the adapter can do, and where its memory goes. `--help` lists the
 * options.
 * Run: deno task profile models/emoji-diffusion --steps 5 --json now.json
 */
import "./plain_errors.ts";
import { openDevice, traceEvents } from "denoise";
import { expectWritable, writeWholeFile } from "../src/io/files/whole_file.ts";
import { defaultsOf, readGiven } from "./command_line/arguments.ts";
import * as option from "./command_line/options.ts";
import { fastest, measureSpeeds, type Speeds } from "./doctor/speeds.ts";
import { buildProfile } from "./profile/build.ts";
import { type Change, compareProfiles, measuredAgain } from "./profile/compare.ts";
import { type Profile, readProfile } from "./profile/form.ts";
import { htmlOf } from "./profile/html.ts";
import { countLines } from "./profile/lines/count.ts";
import { describeLines, textsToCount } from "./profile/lines/text.ts";
import { measure, pipelinesOf } from "./profile/measure.ts";
import { openModel, openPipeline } from "./profile/subject.ts";
import { describeChanges, describeProfile } from "./profile/text.ts";

/** How often kernels that look slower in --compare are measured again. */
const AGAIN = 2;

/** Exit codes: where a kernel got slower, and of an error. */
const [SLOWER, FAILED] = [1, 2];

const OPTIONS = {
  model: option.model("any model or pipeline: a folder, a repository or one file", "emoji-ddpm"),
  part: option.text("of a pipeline, e.g. vae; default: its UNet or transformer"),
  pipeline: option.flag("a whole run: texts, steps and VAE"),
  prompt: option.text("with --pipeline: what is drawn", "a nice flower"),
  steps: option.count("that are timed, in each of three ways, behind those that compile", 5),
  runs: option.count("of so many steps each", 1),
  size: option.size("of the picture in pixels; default: what the model was trained for"),
  dtype: option.choice("of weights; default: f16 on a GPU that computes in it", ["f32", "f16"]),
  quantize: option.choice("stores matrices in fewer bits", ["int8", "int4"]),
  base: option.model("for one file: what it lacks"),
  config: option.model("for one file: whose configs it has"),
  variant: option.text("of the weights of a folder or repository, e.g. fp16"),
  engine: option.choice("of WebGPU", ["auto", "dawn", "deno"], "auto"),
  candidate: option.text(
    "part of the names of kernels that are taken wherever they are right, e.g. matrix",
  ),
  only: option.text("the modules whose path begins so, or the kernels whose name has it"),
  lines: option.flag("where in the WGSL the work is: of the kernels of --only, else of the longest"),
  depth: option.count("of the table of modules: names of their paths", 2),
  rows: option.count("lines of the table by module and kernel", 30),
  from: option.file("an earlier --json that is shown in place of a measurement"),
  json: option.output("all of it, to compare with or to draw from", /\.json$/, "profile.json"),
  trace: option.output("every dispatch, for Perfetto", /./, "trace.json"),
  html: option.output("a report to look at in a browser", /\.html$/, "profile.html"),
  compare: option.file("an earlier --json: exits with 1 where a kernel got slower"),
  tolerance: option.number("part of its time that a kernel may take longer than in --compare", {
    value: 0.1,
    over: 0,
  }),
};
Deno.exitCode = FAILED; // of an error, until all is done
const given = readGiven(
  "scripts/profile.ts [model]",
  "Times a model's step, or a pipeline's run, by kernel and by module.",
  OPTIONS,
);
const options = { ...defaultsOf(OPTIONS), ...given };
expectOnlyViews();
for (const name of ["json", "trace", "html"] as const) {
  if (options[name] !== undefined) expectWritable(options[name], `take --${name} ${options[name]}`);
}
if (options.pipeline && options.part !== undefined) {
  throw new TypeError("Cannot take --part with --pipeline: expected one of them, a part or the whole");
}
const before = options.compare === undefined ? undefined : await readProfile(options.compare);
let profile = options.from === undefined ? await measured(options.trace) : await readProfile(options.from);
const { tolerance, only } = options;
const changes = before && await compared(before);

console.log(describeProfile(profile, options));
for (const text of describeLines(profile)) console.log(`\n${text}`);
if (options.json) {
  await writeWholeFile(options.json, JSON.stringify(profile));
  console.log(`\n${options.json}: the same, for --compare`);
}
if (options.html) {
  const both = before && changes && { compared: { before, changes, tolerance } };
  await writeWholeFile(options.html, await htmlOf({ profile, only, ...both }));
  console.log(`\n${options.html}: open it in a browser`);
}
if (before && changes) {
  console.log(`\n${describeChanges(changes, tolerance)}`);
}
Deno.exitCode = changes?.some(({ verdict }) => verdict === "slower") ? SLOWER : 0;

/** What changed; where kernels look slower all is measured again, as a busy machine slows some for a while. */
async function compared(before: Profile): Promise<Change[]> {
  for (let turn = 0;; turn++) {
    const changes = compareProfiles(before, profile, tolerance, only);
    const isSlower = changes.some(({ verdict }) => verdict === "slower");
    if (turn === AGAIN || options.from !== undefined || !isSlower) return changes;
    profile = measuredAgain(profile, await measured());
  }
}

/** With --from nothing is measured: throws where an option says how. */
function expectOnlyViews(): void {
  if (options.from === undefined) return;
  const views = ["from", "only", "depth", "rows", "json", "html", "compare", "tolerance"];
  const other = Object.keys(given).find((name) => !views.includes(name));
  if (other === undefined) return;
  throw new TypeError(
    `Cannot take --${other} with --from: ${options.from} was measured before; leave out one of them`,
  );
}

/** A profile of what the options name; writes a trace of its last run where that is wanted. */
async function measured(trace?: string): Promise<Profile> {
  const { model, dtype, quantize, base, config, variant, size, steps, runs } = options;
  const speeds = await adapterSpeeds();
  using device = await openDevice({ engine: options.engine, profile: true, candidate: options.candidate });
  const source = { dtype, quantize, base, config, variant, size };
  using subject = options.pipeline
    ? await openPipeline(model, { ...source, prompt: options.prompt })
    : await openModel(device, model, { ...source, part: options.part });
  const usual = size ? "" : "; --size takes another picture's";
  console.error(`profiling ${subject.className}: ${subject.work}${usual}`);
  const found = await measure(device, subject, { steps, runs });
  if (trace) {
    await writeWholeFile(trace, JSON.stringify(traceEvents(found.dispatches.at(-1)!.recording)));
    console.log(`${trace}: open it in Perfetto (ui.perfetto.dev)`);
  }
  const profile = buildProfile(
    device,
    {
      model,
      className: subject.className,
      work: subject.work,
      dtype: subject.models[0]!.dtype,
      steps,
      runs,
      pipeline: options.pipeline,
    },
    speeds,
    found,
  );
  if (options.lines) {
    const chosen = textsToCount(profile, options.only);
    const pipelines = chosen.map((text) => pipelinesOf(found)[text]!);
    const counted = await countLines(device, subject, pipelines, steps);
    for (const [i, text] of chosen.entries()) profile.kernels[text]!.lines = counted[i];
  }
  return profile;
}

/** On a device of its own, so that its memory does not count. */
async function adapterSpeeds(): Promise<Speeds> {
  using device = await openDevice({ engine: options.engine });
  return fastest(await measureSpeeds(device), await measureSpeeds(device));
}
