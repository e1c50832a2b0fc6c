import { FluxControlNetModel } from "denoise/models";
import type { AnyParts } from "denoise/pipelines";
import { isFlow, type Scheduler, schedulerNamed } from "denoise/schedulers";
import { modesOf } from "../../../src/pipelines/flux/begin_control.ts";
import { setFlowTimesteps, sigmasOf, sliceFlowByStrength } from "../../../src/pipelines/latents/flow.ts";
import { expectReference } from "../../../src/pipelines/flux2/references.ts";
import type { Size } from "../../command_line/options.ts";
import { expectBegin } from "../../generate/begin_change.ts";
import { readMode } from "../../generate/control_mode.ts";
import { expectHires, expectShape } from "../../generate/hires.ts";
import { expectCounting } from "../../generate/lora.ts";
import { misfitOf, takes } from "../../generate/misfits.ts";
import { multipleOf } from "../../generate/usual.ts";
import { expectAtMost, type Limits } from "../request/limits.ts";
import type { OfferedModel } from "../models/models.ts";
import { RefusalError } from "../request/refusal.ts";
import type { DrawRequest, RequestSettings } from "../request/request.ts";

/** True if a model takes a setting in such a request. */
export function takesSetting(
  name: keyof DrawRequest,
  request: DrawRequest,
  { pipeline }: OfferedModel,
): boolean {
  const { image, mask } = request;
  return takes(pipeline.constructor.name, name, { image, mask });
}

/** Refuses settings that the model's pipeline does not take. */
export function expectTaken(request: DrawRequest, { name, pipeline }: OfferedModel): void {
  const { model: _, ...said } = request;
  const odd = misfitOf(pipeline.constructor.name, said, { setting: (name) => name, model: name });
  if (odd) throw new RefusalError("invalid", odd.message, odd.name);
}

/** Refuses values that the model does not take: all that neither pictures nor what stands beside it decide. */
export function expectValues(
  settings: RequestSettings & { readonly steps: number },
  isChange: boolean,
  model: OfferedModel,
  limits: Limits,
): void {
  const { lora = [], scheduler: name, steps, strength } = settings;
  const image = isChange ? true : undefined;
  for (const one of lora) refusing("lora", () => expectCounting(one, { steps, scheduler: name, image }));
  let scheduler = copyOf(model.scheduler);
  if (name !== undefined) {
    refusing("scheduler", () => void (scheduler = schedulerNamed(name).from(model.scheduler)));
  }
  refusing("steps", () => setSteps(scheduler, steps));
  if (isChange && strength !== undefined) {
    refusing("strength", () => {
      if (isFlow(scheduler)) sliceFlowByStrength(scheduler, strength, steps);
      else scheduler.sliceByStrength(strength);
    });
  }
  const { "hires-scheduler": later, "hires-steps": laterSteps = 0, "seed-size": seedSize } = settings;
  if (later !== undefined) {
    refusing("hires-scheduler", () => void schedulerNamed(later).from(model.scheduler));
  }
  refusing("hires", () => expectHires(settings));
  expectAtMost("hires-steps", laterSteps, limits.steps);
  if (seedSize) expectAtMost("seed-size", seedSize.width * seedSize.height, limits.pixels);
  expectLayers(settings["clip-skip"] ?? 0, model);
}

/** Refuses to draw without a prompt, unless the model draws from noise alone. */
export function expectPrompt({ prompt }: DrawRequest, { pipeline }: OfferedModel): void {
  if (prompt !== undefined || !takes(pipeline.constructor.name, "prompt")) return;
  throw new RefusalError("invalid", "Cannot draw: expected a prompt, got none", "prompt");
}

/** Refuses pictures that FLUX.2 cannot see beside a prompt. */
export function expectReferences(
  images: readonly (readonly [H: number, W: number])[],
  { pipeline }: OfferedModel,
): void {
  if (!pipeline.constructor.name.startsWith("Flux2")) return;
  for (const image of images) refusing("image", () => expectReference(image, multipleOf(pipeline.parts)));
}

/** Refuses a second pass of which too little would come from the first. */
export function expectSecondPass(first: Size, hires: Size | undefined): void {
  if (hires) refusing("hires", () => expectShape(first, hires));
}

/** Another scheduler of the same config, as the model's own may be at work. */
function copyOf({ constructor, config }: Scheduler): Scheduler {
  return (constructor as unknown as { fromConfig(config: object): Scheduler }).fromConfig(config);
}

function setSteps(scheduler: Scheduler, steps: number): void {
  if (isFlow(scheduler)) setFlowTimesteps(scheduler, sigmasOf({}, steps), () => 1);
  else scheduler.setTimesteps(steps);
}

/** Refuses to leave out more layers of text encoders than there are; XL's prompts are read before the last one anyway. */
function expectLayers(skipped: number, { pipeline: { parts } }: OfferedModel): void {
  if (skipped === 0 || !("unet" in parts) || !("textEncoder" in parts)) return;
  const counts = "textEncoder2" in parts
    ? [parts.textEncoder, parts.textEncoder2].flatMap((one) => one ? [one.config.num_hidden_layers - 1] : [])
    : [parts.textEncoder.config.num_hidden_layers];
  expectAtMost("clip-skip", skipped, Math.min(...counts));
}

/** Refuses a request for what a check of one of its settings throws. */
function refusing(setting: string, check: () => void): void {
  try {
    check();
  } catch (error) {
    throw new RefusalError("invalid", (error as Error).message, setting);
  }
}

/** Refuses kinds of pictures that the union ControlNets of FLUX.1 do not know. */
export function expectModes(parts: AnyParts, { "control-mode": modes }: RequestSettings): void {
  const { controlnet } = parts as { controlnet?: unknown };
  const nets = [controlnet].flat().filter((net) => net instanceof FluxControlNetModel);
  if (nets.length > 0) refusing("control-mode", () => void modesOf(nets, modes?.map(readMode)));
}

/** Refuses latents within a mask of models that see the picture beside these. */
export function expectContent(parts: AnyParts, settings: RequestSettings): void {
  refusing("mask-content", () => expectBegin(parts, settings));
}
