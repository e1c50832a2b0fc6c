import type { UNet2DModel } from "../../models/mod.ts";
import type { Scheduler } from "../../schedulers/mod.ts";
import { LoraPipeline } from "../pipeline.ts";

/** What a pipeline that draws from noise alone is made of. */
export interface UnconditionalParts<S extends Scheduler = Scheduler> {
  /** Predicts the noise. */
  unet: UNet2DModel;
  /** Steps from noise to pictures. */
  scheduler: S;
}

/** A pipeline that draws from noise alone. */
export abstract class UnconditionalPipeline<S extends Scheduler> extends LoraPipeline<UnconditionalParts<S>> {
  /** Takes over the model: it is freed with the pipeline. */
  constructor(unet: UNet2DModel, scheduler: S) {
    super({ unet, scheduler });
  }

  /** Predicts the noise. */
  get unet(): UNet2DModel {
    return this.parts.unet;
  }
}
