import { z } from "zod";
import { type ConfigSchema, positive } from "../../io/config.ts";

/** A ReduxImageEncoder's config: the keys of its config.json, of which files may lack some. */
export interface ReduxImageEncoderConfig {
  /** The class that the file is for. */
  _class_name?: "ReduxImageEncoder" | undefined;
  /** Width of the vision model's tokens. */
  redux_dim: number;
  /** Width of the tokens of prompts. */
  txt_in_features: number;
}

/** Checks a ReduxImageEncoder's config and fills in diffusers' defaults. */
export const reduxImageEncoderConfig: ConfigSchema<ReduxImageEncoderConfig> = z.looseObject({
  _class_name: z.literal("ReduxImageEncoder").optional(),
  redux_dim: positive.default(1152),
  txt_in_features: positive.default(4096),
});
