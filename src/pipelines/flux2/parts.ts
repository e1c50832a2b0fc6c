import { type Autoencoder, AutoencoderKLFlux2, Flux2Transformer2DModel } from "../../models/mod.ts";
import type { Scheduler } from "../../schedulers/mod.ts";
import type { Residents } from "../memory/acquire.ts";

/** The parts that all of FLUX.2's pipelines have; pipelines may share them. */
export interface Flux2Parts extends Residents {
  /** Between pictures and latents of 32 channels. */
  vae: Autoencoder;
  /** Predicts the velocity from noise to the picture. */
  transformer: Flux2Transformer2DModel;
  /** May be exchanged between runs. */
  scheduler: Scheduler;
}

/** Their classes. */
export const PARTS = {
  transformer: [Flux2Transformer2DModel, "Flux2Transformer2DModel"],
  vae: [AutoencoderKLFlux2, "AutoencoderKLFlux2", "AutoencoderTiny"],
} as const;
