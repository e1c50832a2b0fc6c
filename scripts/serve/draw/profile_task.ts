import { type Device, scope } from "denoise";
import type { AnyPipeline } from "denoise/pipelines";
import { modelsOf } from "../../../src/pipelines/memory/acquire.ts";
import { fastest, measureSpeeds, type Speeds } from "../../doctor/speeds.ts";
import { buildProfile } from "../../profile/build.ts";
import { figuresOf } from "../../profile/figures.ts";
import type { Profile } from "../../profile/form.ts";
import { htmlOf } from "../../profile/html.ts";
import { innerSteps, measure } from "../../profile/measure.ts";
import { drawOf } from "./draw_task.ts";
import type { DrawOptions } from "./drawing.ts";
import { RefusalError } from "../request/refusal.ts";
import type { DrawRequest } from "../request/request.ts";
import type { Task } from "./task.ts";

const STEPS = 8; // of a run: the first and the last do not count
const WEAKEST = 0.01; // strength: the last 8 of 800 steps, where schedulers have up to 999
const WAYS = 5; // runs of `measure`: two that compile and plan, and one in each of its three ways

/** What a step of a request takes. */
export interface StepProfile {
  /** By the clock, in milliseconds: the median. */
  readonly ms: number;
  /** What keeps it from being shorter. */
  readonly bound: "GPU-bound" | "CPU-bound" | "bound by neither alone";
  /** The report of `deno task profile --html`, a page that needs nothing else. */
  readonly html: string;
  /** The file of `deno task profile --json`, for its `--from` and `--compare`. */
  readonly json: string;
}

/**
 * Refuses profiles on an adapter, or an engine, that does not say when a kernel began and ended, and of changes so weak that no
 * scheduler has the steps of which enough are left.
 */
export function expectProfile({ gpu, adapterName }: Device, { strength = 1 }: DrawRequest): void {
  if (!gpu.features.has("timestamp-query")) {
    throw new RefusalError("invalid", `Cannot profile on ${adapterName}: it lacks timestamp-query`);
  }
  if (strength >= WEAKEST) return;
  const message =
    `Cannot profile a step: expected a strength of at least ${WEAKEST}, got ${strength}; its steps take as long`;
  throw new RefusalError("invalid", message, "strength");
}

/** What the adapter can do at most; of a device with room for two buffers of up to 512 MiB. A signal ends it within a second. */
export async function peaksOf(device: Device, options: Pick<DrawOptions, "signal">): Promise<Speeds> {
  return fastest(await measureSpeeds(device, options), await measureSpeeds(device, options));
}

/**
 * Profiles a step of a task with its model, which is ready for it: as it is drawn, pictures at once, guidance, LoRAs and all. Of
 * two passes it is one of the first: those of the second are of another size.
 */
export async function profileTask(
  device: Device,
  pipeline: AnyPipeline,
  task: Task,
  peaks: Speeds,
  { signal, onProgress = () => {} }: DrawOptions,
): Promise<StepProfile> {
  const { model, settings, seeds, batch } = task;
  const { prompt, strength = 1, hires } = settings;
  const models = modelsOf(pipeline.parts);
  for (const model of models) model.retrace();
  using _profiling = device.beginProfile();
  using _made = scope();
  const draw = drawOf(pipeline, { ...task, settings: { ...settings, hires: undefined } });
  const some = seeds.slice(0, batch);
  let done = 0;
  const subject = {
    className: pipeline.constructor.name,
    work: [
      hires ? "a step of the first pass" : "a step",
      ...prompt === undefined ? [] : [`of ${JSON.stringify(prompt)}`],
    ].join(" "),
    models,
    isLoop: true,
    async run(steps: number) {
      using _made = scope();
      await (await draw(some, {
        numInferenceSteps: Math.ceil(steps / strength), // a weak change begins late
        progress: false,
        signal,
        onNotice: () => {},
        onStep: (step, _timestep, _sample, steps) =>
          onProgress({ phase: "measuring", part: (done + (step + 1) / steps) / WAYS }),
      })).data();
      done++;
    },
    [Symbol.dispose]() {},
  };
  const { steps, measured } = innerSteps(await measure(device, subject, { steps: STEPS, runs: 1 }));
  const { className, work } = subject;
  const dtype = models[0]!.dtype;
  const whole = buildProfile(
    device,
    { model: model.name, className, work, dtype, steps, runs: 1, pipeline: false },
    peaks,
    measured,
  );
  const peak = Math.max(...whole.memory.device.map(([, bytes]) => bytes)); // not of all that was drawn before
  const profile: Profile = { ...whole, memory: { ...whole.memory, peak } };
  const { wall, bound } = figuresOf(profile);
  return {
    ms: wall,
    bound,
    html: await htmlOf({ profile, only: undefined }),
    json: JSON.stringify(profile),
  };
}
