import { join } from "node:path";

/** The folder of the embedded pipeline. */
export const emoji = join(import.meta.dirname!, "../../models/emoji-diffusion");

/** A picture that it draws in little time. */
export const flower = {
  prompt: "a nice flower",
  height: 32,
  width: 32,
  numInferenceSteps: 2,
  progress: false,
} as const;
