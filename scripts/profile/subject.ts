import { type Device, manualSeed, progress, scope } from "denoise";
import type { LoadOptions, Model } from "denoise/models";
import { DiffusionPipeline, type PipelineOptions } from "denoise/pipelines";
import { openSingleFile } from "../../src/io/single_file/file.ts";
import { isSingleFile } from "../../src/io/single_file/options.ts";
import { openModelSource } from "../../src/models/runtime/model_source.ts";
import { modelsOf } from "../../src/pipelines/memory/acquire.ts";
import { readIndex } from "../../src/pipelines/model_index.ts";
import type { Size } from "../command_line/options.ts";
import { modelClasses } from "../inspect/open_models.ts";
import { usualCall } from "./calls.ts";

/** What is profiled: one model's usual call, or whole runs of a pipeline. */
export interface Subject extends Disposable {
  /** Its class. */
  readonly className: string;
  /** What a run does. */
  readonly work: string;
  readonly models: readonly Model[];
  /** Runs so many steps, one after the other as `progress` lets them follow; each is a stretch "step". */
  run(steps: number): Promise<void>;
}

/** A model, or one of a pipeline's: its denoiser where no `part` is named. */
export async function openModel(
  device: Device,
  target: string,
  { part, size, ...options }: LoadOptions & { part: string | undefined; size: Size | undefined },
): Promise<Subject> {
  const { name, subfolder } = await findModel(target, part, options);
  if (!Object.hasOwn(modelClasses, name)) {
    throw new TypeError(
      `Cannot profile ${target}: expected one of ${Object.keys(modelClasses).join(", ")}, got ${name}`,
    );
  }
  const type = modelClasses[name as keyof typeof modelClasses];
  const model: Model = await type.fromPretrained(target, { ...options, ...subfolder && { subfolder } });
  const { text, record } = usualCall(model, size);
  let turn = 0;
  return {
    className: name,
    work: text,
    models: [model],
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
  const words = "vae" in pipeline.parts ? { prompt, ...size } : {};
  return {
    className: pipeline.constructor.name,
    work: "prompt" in words ? `draws ${JSON.stringify(prompt)}` : "draws",
    models: modelsOf(pipeline.parts),
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

/** The class of a model, and where in `target` it lies. */
async function findModel(
  target: string,
  part: string | undefined,
  options: LoadOptions,
): Promise<{ name: string; subfolder?: string | undefined }> {
  const components = await componentsOf(target, options);
  if (!components) {
    if (part !== undefined) {
      throw new TypeError(`Cannot take --part ${part} for ${target}: expected a pipeline, got one model`);
    }
    const { json } = await openModelSource(target, { ...options, headersOnly: true });
    return { name: String([json["_class_name"] ?? json["architectures"]].flat()[0]) };
  }
  const built = Object.keys(components).filter((name) => Object.hasOwn(modelClasses, components[name]!));
  const subfolder = part ?? built.find((name) => /^(unet|transformer)$/.test(name)) ?? built[0];
  if (subfolder !== undefined && Object.hasOwn(components, subfolder)) {
    return { name: components[subfolder]!, subfolder };
  }
  throw new TypeError(
    `Cannot profile ${part ?? "a model"} of ${target}: expected one of ${built.join(", ")}`,
  );
}

/** The classes of a pipeline's parts by their folders; undefined of one model. */
async function componentsOf(
  target: string,
  options: LoadOptions,
): Promise<Readonly<Record<string, string>> | undefined> {
  if (isSingleFile(target)) {
    const { parts } = await openSingleFile(target, { headersOnly: true });
    if (parts.size > 0) {
      return Object.fromEntries([...parts].map(([name, { className }]) => [name, className]));
    }
    return undefined;
  }
  try {
    return (await readIndex(target, options)).components;
  } catch (error) {
    const isModel = await openModelSource(target, { ...options, headersOnly: true }).then(
      () => true,
      () => false,
    );
    if (isModel) return undefined;
    throw error;
  }
}
