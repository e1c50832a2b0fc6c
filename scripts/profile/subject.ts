import { type Device, manualSeed, progress, scope } from "denoise";
import type { LoadOptions, Model } from "denoise/models";
import { DiffusionPipeline, type PipelineOptions } from "denoise/pipelines";
import { modelsOf } from "../../src/pipelines/memory/acquire.ts";
import type { Size } from "../command_line/options.ts";
import { openOneModel, pipelineFacts } from "../inspect/find_model.ts";
import { usualCall } from "./calls.ts";

/** What is profiled: one model's usual call, or whole runs of a pipeline. */
export interface Subject extends Disposable {
  /** Its class. */
  readonly className: string;
  /** What a run does. */
  readonly work: string;
  readonly models: readonly Model[];
  /** True where runs of other numbers of steps have other kernels, as a scheduler's steps may differ. */
  readonly isLoop: boolean;
  /** Runs so many steps, one after the other as `progress` lets them follow; each is a stretch "step". */
  run(steps: number): Promise<void>;
}

/** A model, or one of a pipeline's: its denoiser where no `part` is named. */
export async function openModel(
  device: Device,
  target: string,
  { part, size, ...options }: LoadOptions & { part: string | undefined; size: Size | undefined },
): Promise<Subject> {
  const model = await openOneModel("profile", target, { part }, options);
  const { text, record } = usualCall(model, size, await pipelineFacts(target, options));
  let turn = 0;
  return {
    className: model.constructor.name,
    work: text,
    models: [model],
    isLoop: false,
    async run(steps) {
      for await (const _ of progress(Array(steps).fill(0), { write: false })) {
        using _mark = device.mark("step");
        using _made = scope();
        record(turn++);
      }
    },
    [Symbol.dispose]: () => model[Symbol.dispose](),
  };
}

/** A whole pipeline: texts, steps and VAE. */
export async function openPipeline(
  target: string,
  { size, prompt, ...options }: PipelineOptions & { size: Size | undefined; prompt: string },
): Promise<Subject> {
  const pipeline = await DiffusionPipeline.fromPretrained(target, options);
  const words = "vae" in pipeline.parts ? { prompt, ...size } : { prompt: undefined };
  const drawn = size && words.prompt !== undefined ? [`${size.width}×${size.height}`] : [];
  return {
    className: pipeline.constructor.name,
    work: ["draws", ...words.prompt === undefined ? [] : [JSON.stringify(prompt)], ...drawn].join(" "),
    models: modelsOf(pipeline.parts),
    isLoop: true,
    async run(steps) {
      using _made = scope();
      const generator = manualSeed(0);
      const { images } = await pipeline.run({
        ...words,
        numInferenceSteps: steps,
        generator,
        progress: false,
      });
      await images.data();
    },
    [Symbol.dispose]: () => pipeline[Symbol.dispose](),
  };
}
