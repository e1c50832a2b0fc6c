import { type Device, scope } from "denoise";
import type { AnyPipeline } from "denoise/pipelines";
import { encodePng } from "../../../src/io/images/png.ts";
import { recipeTexts } from "../../../src/io/images/save_png.ts";
import { imagesOf, imageTensor } from "../../../src/io/images/tensors.ts";
import { type Draw, drawing, inBatches } from "../../generate/draw.ts";
import { schedulesOf } from "../../generate/lora.ts";
import { readLora } from "../../generate/named_files.ts";
import { recipeOf, recipeOfPicture } from "../../generate/recipe.ts";
import type { Drawing, DrawnPicture, DrawOptions } from "./drawing.ts";
import type { ModelOptions } from "../models/models.ts";
import type { Task } from "./task.ts";

/** Draws a task's pictures with its model, which is ready for it. `stored` says how its weights were opened. */
export async function drawTask(
  device: Device,
  pipeline: AnyPipeline,
  task: Task,
  stored: Pick<ModelOptions, "memory" | "quantize">,
  { signal, interruption, onProgress = () => {}, onPreview, wantsPreview, onPicture }: DrawOptions,
): Promise<Drawing> {
  const { model, settings, seeds, contents } = task;
  const batch = onPicture ? 1 : task.batch;
  using _made = scope();
  const draw = drawOf(pipeline, task);
  const notices = new Set<string>();
  const pictures: DrawnPicture[] = [];
  let [left, together] = [0, 0]; // steps of the pictures that are drawn now, and their number
  const how = {
    numInferenceSteps: settings.steps,
    hiresSteps: settings["hires-steps"],
    progress: false,
    signal,
    onNotice: (line: string) => notices.add(line),
    onStep: (step: number, _timestep: number, _sample: unknown, steps: number) => {
      left = steps - step - 1;
      const [drawn, count] = [pictures.length, seeds.length];
      onProgress({ phase: "drawing", step: step + 1, steps, drawn, together, count });
    },
    preview: onPreview && {
      wants: wantsPreview,
      write: (picture: Parameters<typeof encodePng>[0], step: number) => onPreview(encodePng(picture), step),
    },
  } as const;
  const drawSome = (some: readonly bigint[]) => {
    together = some.length;
    return draw(some, { ...how, interrupt: interruption?.begin() });
  };
  const isOver = () => interruption?.isOver ?? false;
  for await (const [seed, picture] of inBatches(seeds, batch, drawSome, isOver)) {
    const [image] = await imagesOf(picture, "Cannot draw");
    const { width, height } = image;
    const kept = recipeOf(pipeline, { ...settings, model: model.name, ...stored }, contents); // stored as it ran
    const recipe = recipeOfPicture(kept, settings, { width, height }, seed);
    const png = new Uint8Array(encodePng(image, left > 0 ? {} : recipeTexts(recipe, device)));
    pictures.push({ png, width, height, recipe });
    await onPicture?.(pictures.at(-1)!, pictures.length - 1);
    signal?.throwIfAborted();
  }
  return { pictures, notices: [...notices] };
}

/** The function that draws a task's pictures for some seeds; the tensors it takes are made in the scope at hand. */
export function drawOf(pipeline: AnyPipeline, { settings, loras, pictures }: Task): Draw {
  const { images, mask, control, ip } = pictures;
  const draw = drawing(pipeline, settings, {
    images: images.map((image) => imageTensor(image)),
    mask: mask && imageTensor(mask),
    control: control.map((image) => imageTensor(image)),
    ip: ip.map((image) => imageTensor(image)),
  });
  const worn = loras.map(readLora);
  const adapterScales = schedulesOf(worn, worn.map(({ path }) => path), pipeline);
  return (seeds, how) => draw(seeds, { ...how, adapterScales });
}
