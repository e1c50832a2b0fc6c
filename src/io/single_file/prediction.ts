import type { SingleFile } from "./file.ts";
import type { SingleFileOptions } from "./options.ts";

/** What a model predicts, and whether nothing but its family says so. */
export interface Prediction {
  readonly type: "epsilon" | "v_prediction";
  readonly isGuess: boolean;
}

const STEPS_OF_SD2_BASE = "875000"; // of its training, where SD 2 at 512 pixels ends and predicts the noise

/**
 * What a file's model predicts: as the option says, a mark of newer files, their metadata, or the steps of
 * training that a .ckpt names. SD 2 at 768 pixels predicts v and at 512 the noise; where nothing tells, v is
 * taken, as in diffusers, but for inpainting, of which only the noise was published.
 */
export function predictionOf(
  { family, tensors, metadata, parts }: Omit<SingleFile, "path" | "open">,
  { predictionType }: SingleFileOptions,
): Prediction {
  const known = (isV: boolean): Prediction => ({ type: isV ? "v_prediction" : "epsilon", isGuess: false });
  if (predictionType) return known(predictionType === "v_prediction");
  const said = metadata.get("modelspec.prediction_type");
  if (tensors.has("v_pred") || said?.startsWith("v")) return known(true);
  if (family !== "sd2" || said === "epsilon") return known(false);
  const steps = metadata.get("global_step");
  if (steps !== undefined) return known(steps !== STEPS_OF_SD2_BASE);
  const inpaints = parts.get("unet")?.config(tensors)["in_channels"] === 9;
  return { type: inpaints ? "epsilon" : "v_prediction", isGuess: true };
}
