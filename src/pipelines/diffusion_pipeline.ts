import { expectSingleFile } from "../io/single_file/options.ts";
import type { Tensor } from "../tensor/mod.ts";
import {
  StableDiffusionControlNetImg2ImgPipeline,
  StableDiffusionControlNetInpaintPipeline,
  type StableDiffusionControlNetInpaintRunOptions,
  StableDiffusionControlNetPipeline,
} from "./controlnet/stable_diffusion.ts";
import {
  StableDiffusionXLControlNetImg2ImgPipeline,
  StableDiffusionXLControlNetInpaintPipeline,
  StableDiffusionXLControlNetPipeline,
} from "./controlnet/stable_diffusion_xl.ts";
import {
  FluxControlImg2ImgPipeline,
  FluxControlInpaintPipeline,
  FluxControlPipeline,
} from "./flux/control.ts";
import {
  FluxControlNetImg2ImgPipeline,
  FluxControlNetInpaintPipeline,
  type FluxControlNetInpaintRunOptions,
  FluxControlNetPipeline,
} from "./flux/controlnet.ts";
import { FluxFillPipeline, type FluxFillRunOptions, FluxInpaintPipeline } from "./flux/inpainting.ts";
import { FluxKontextPipeline, type FluxKontextRunOptions } from "./flux/kontext.ts";
import type { FluxParts } from "./flux/parts.ts";
import {
  FluxImg2ImgPipeline,
  type FluxImg2ImgRunOptions,
  FluxPipeline,
  type FluxRunOptions,
} from "./flux/pipelines.ts";
import { FluxPriorReduxPipeline } from "./flux/redux.ts";
import { Flux2Pipeline, type Flux2RunOptions } from "./flux2/dev.ts";
import { Flux2KleinPipeline, type Flux2KleinRunOptions } from "./flux2/klein.ts";
import type { Flux2KleinParts } from "./flux2/klein_parts.ts";
import type { Flux2Parts } from "./flux2/parts.ts";
import { type PipelineOptions, readIndex } from "./model_index.ts";
import type { Pipeline } from "./pipeline.ts";
import type { PipelineOutput } from "./run.ts";
import type { StableDiffusionParts } from "./stable_diffusion/parts.ts";
import {
  StableDiffusionImg2ImgPipeline,
  StableDiffusionInpaintPipeline,
  type StableDiffusionInpaintRunOptions,
  StableDiffusionPipeline,
  type StableDiffusionRunOptions,
} from "./stable_diffusion/pipelines.ts";
import type { StableDiffusionXLParts } from "./stable_diffusion_xl/parts.ts";
import {
  StableDiffusionXLImg2ImgPipeline,
  StableDiffusionXLInpaintPipeline,
  type StableDiffusionXLInpaintRunOptions,
  StableDiffusionXLPipeline,
  type StableDiffusionXLRunOptions,
} from "./stable_diffusion_xl/pipelines.ts";
import {
  StableDiffusionAdapterPipeline,
  type StableDiffusionAdapterRunOptions,
  StableDiffusionXLAdapterPipeline,
} from "./t2i_adapter/pipelines.ts";
import {
  DDIMPipeline,
  type DDIMRunOptions,
  DDPMPipeline,
  type UnconditionalParts,
} from "./unconditional/pipelines.ts";
import { ZImageControlNetInpaintPipeline, ZImageControlNetPipeline } from "./z_image/controlnet.ts";
import type { ZImageParts } from "./z_image/parts.ts";
import {
  ZImageImg2ImgPipeline,
  ZImageInpaintPipeline,
  type ZImageInpaintRunOptions,
  ZImagePipeline,
  type ZImageRunOptions,
} from "./z_image/pipelines.ts";

/** The pipelines that are built. A new one has a row in run_options.ts, too. */
const classes: Readonly<
  Record<string, { fromPretrained(pathOrRepo: string, options: PipelineOptions): Promise<AnyPipeline> }>
> = {
  DDPMPipeline,
  DDIMPipeline,
  StableDiffusionPipeline,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionInpaintPipeline,
  StableDiffusionXLPipeline,
  StableDiffusionXLImg2ImgPipeline,
  StableDiffusionXLInpaintPipeline,
  StableDiffusionControlNetPipeline,
  StableDiffusionControlNetImg2ImgPipeline,
  StableDiffusionControlNetInpaintPipeline,
  StableDiffusionXLControlNetPipeline,
  StableDiffusionXLControlNetImg2ImgPipeline,
  StableDiffusionXLControlNetInpaintPipeline,
  StableDiffusionAdapterPipeline,
  StableDiffusionXLAdapterPipeline,
  FluxPipeline,
  FluxImg2ImgPipeline,
  FluxInpaintPipeline,
  FluxFillPipeline,
  FluxKontextPipeline,
  FluxControlPipeline,
  FluxControlImg2ImgPipeline,
  FluxControlInpaintPipeline,
  FluxControlNetPipeline,
  FluxControlNetImg2ImgPipeline,
  FluxControlNetInpaintPipeline,
  Flux2Pipeline,
  Flux2KleinPipeline,
  ZImagePipeline,
  ZImageImg2ImgPipeline,
  ZImageInpaintPipeline,
  ZImageControlNetPipeline,
  ZImageControlNetInpaintPipeline,
};

/** The classes that ControlNets or T2I-Adapters add to, by the options that name these and the plain class. */
const helped: Readonly<Record<"controlnet" | "adapter", Readonly<Record<string, string>>>> = {
  controlnet: {
    StableDiffusionPipeline: "StableDiffusionControlNetPipeline",
    StableDiffusionImg2ImgPipeline: "StableDiffusionControlNetImg2ImgPipeline",
    StableDiffusionInpaintPipeline: "StableDiffusionControlNetInpaintPipeline",
    StableDiffusionXLPipeline: "StableDiffusionXLControlNetPipeline",
    StableDiffusionXLImg2ImgPipeline: "StableDiffusionXLControlNetImg2ImgPipeline",
    StableDiffusionXLInpaintPipeline: "StableDiffusionXLControlNetInpaintPipeline",
    FluxPipeline: "FluxControlNetPipeline",
    FluxImg2ImgPipeline: "FluxControlNetImg2ImgPipeline",
    FluxInpaintPipeline: "FluxControlNetInpaintPipeline",
    ZImagePipeline: "ZImageControlNetPipeline",
    ZImageInpaintPipeline: "ZImageControlNetInpaintPipeline",
  },
  adapter: {
    StableDiffusionPipeline: "StableDiffusionAdapterPipeline",
    StableDiffusionXLPipeline: "StableDiffusionXLAdapterPipeline",
  },
};

/**
 * Options of a pipeline whose class only the repository names: those of all classes. A pipeline refuses what is
 * not for it, and says what it misses.
 */
export type AnyRunOptions = { [K in keyof AllRunOptions]?: AllRunOptions[K] | undefined };

/** Options of all pipelines at once; some take several pictures as `image`. */
export type AllRunOptions =
  & Pick<Flux2RunOptions, "image">
  & Omit<
    & DDIMRunOptions
    & StableDiffusionRunOptions
    & StableDiffusionInpaintRunOptions
    & StableDiffusionXLRunOptions
    & StableDiffusionXLInpaintRunOptions
    & StableDiffusionControlNetInpaintRunOptions
    & StableDiffusionAdapterRunOptions
    & FluxRunOptions
    & FluxImg2ImgRunOptions
    & FluxFillRunOptions
    & FluxKontextRunOptions
    & Pick<FluxControlNetInpaintRunOptions, "controlMode">
    & Flux2RunOptions
    & Flux2KleinRunOptions
    & ZImageRunOptions
    & ZImageInpaintRunOptions,
    "image"
  >;

/** The parts of any pipeline. */
export type AnyParts =
  | UnconditionalParts
  | StableDiffusionParts
  | StableDiffusionXLParts
  | FluxParts
  | Flux2Parts
  | Flux2KleinParts
  | ZImageParts;

/** A pipeline of one of the classes that are built; `instanceof` says of which. */
export interface AnyPipeline extends Pipeline<AnyParts>, Disposable {
  /** Draws pictures. Those that work in latent space return what the pictures were decoded from, too. */
  run(options: AnyRunOptions): Promise<PipelineOutput & { latents?: Tensor }>;
}

/**
 * Loads whatever pipeline a repository's model_index.json names.
 *
 * ```ts ignore
 * using pipeline = await DiffusionPipeline.fromPretrained("black-forest-labs/FLUX.1-dev");
 * await pipeline.loadLoraWeights("strangerzonehf/Flux-Midjourney-Mix2-LoRA");
 * const { images } = await pipeline.run({ prompt: "a nice flower" });
 * ```
 */
export abstract class DiffusionPipeline {
  /** A pipeline of the class that the folder or repository asks for. */
  static async fromPretrained(pathOrRepo: string, options: PipelineOptions = {}): Promise<AnyPipeline> {
    const { className: told, commit } = await readIndex(pathOrRepo, options);
    const kind = (["controlnet", "adapter"] as const).find((name) => options[name] !== undefined);
    const hasOther = kind && Object.hasOwn(helped[kind], told);
    const className = hasOther ? helped[kind][told]! : told; // which refuses what it does not take
    if (className === FluxPriorReduxPipeline.name) {
      throw new TypeError(
        `Cannot draw with ${pathOrRepo}: ${className} makes no pictures, but what a FluxPipeline takes in place of a ` +
          "prompt; open it by its own class",
      );
    }
    if (!Object.hasOwn(classes, className)) {
      throw new TypeError(
        `Cannot load ${pathOrRepo}: expected one of ${Object.keys(classes).join(", ")}, got ${className}`,
      );
    }
    const source = { ...options, revision: commit ?? options.revision };
    return await classes[className]!.fromPretrained(pathOrRepo, source);
  }

  /** A pipeline from one file (.safetensors, .ckpt, .gguf), of the class that its keys tell. */
  static async fromSingleFile(path: string, options: PipelineOptions = {}): Promise<AnyPipeline> {
    return await DiffusionPipeline.fromPretrained(expectSingleFile(path), options);
  }
}
