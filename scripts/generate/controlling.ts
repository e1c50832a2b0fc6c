import type { Tensor } from "denoise";
import type { AnyPipeline } from "denoise/pipelines";
import { readMode } from "./control_mode.ts";
import { type NamedControlNet, readControlNet, readScaled } from "./named_files.ts";
import type { Settings } from "./options.ts";

/** Settings that say how pictures control. */
export type ControlSettings = {
  readonly [Name in "controlnet" | "control-mode" | "t2i-adapter"]?: Settings[Name] | undefined;
};

/** Ratio of a residual's factor to that of the next where the prompt or the picture counts more than usual: A1111's. */
const DECAY = 0.825;
const MIDDLE_OF_XL = DECAY ** 3; // factor of XL's last residual, as A1111 takes the first 10 of 13 of Stable Diffusion's

/** A pass of a run. */
interface ControlledPass {
  /** It changes a picture, and does not begin with noise alone. */
  readonly changes: boolean;
  /** 2 for the second of two. */
  readonly pass: 1 | 2;
}

/** The options of a pass by which pictures control it. */
export function controlOptions(
  { parts }: AnyPipeline,
  settings: ControlSettings,
  control: readonly Tensor[],
  { changes, pass }: ControlledPass,
): object {
  if ("adapter" in parts) {
    return {
      image: control,
      adapterConditioningScale: settings["t2i-adapter"]?.map((text) => readScaled(text).scale),
    };
  }
  const isControlled = "controlnet" in parts;
  const nets = settings.controlnet?.map(readControlNet);
  const scales = nets?.map((net) => net.pass === undefined || net.pass === pass ? net.scale : 0);
  const between = {
    controlGuidanceStart: nets?.map(({ between: [from] = [0] }) => from),
    controlGuidanceEnd: nets?.map(({ between: [, to] = [0, 1] }) => to),
  };
  if ("transformer" in parts) { // whose control is beside the picture: Z-Image's ControlNet, and all of FLUX.1
    if (!isControlled || !("textEncoder2" in parts)) {
      return { controlImage: control[0], controlnetConditioningScale: scales?.[0] };
    }
    const controlMode = settings["control-mode"]?.map(readMode);
    return { controlImage: control, controlnetConditioningScale: scales, controlMode, ...between };
  }
  if (!isControlled) return {};
  const middle = ({ favor }: NamedControlNet) => favor && "textEncoder2" in parts ? MIDDLE_OF_XL : 1;
  return {
    [changes ? "controlImage" : "image"]: control,
    controlnetConditioningScale: nets?.map((net, i) => scales![i]! * middle(net)) ??
      (pass === 2 ? 1 : undefined),
    controlDecay: nets?.map(({ favor }) => favor ? DECAY : 1),
    controlPromptOnly: nets?.map(({ favor }) => favor === "control"),
    ...between,
  };
}
