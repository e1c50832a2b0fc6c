import { size } from "../../core/shape.ts";
import { quote } from "../files/errors.ts";
import type { StoredTensor } from "./stored_tensor.ts";

/** What the scale of "x.weight" is called: by ComfyUI, and by most others. */
const SCALES = [".scale_weight", ".weight_scale"];

/** What else stands beside scaled weights: scales of activations, and a mark that there are scales. */
const COMPANIONS = /(^|\.)(scale_input|input_scale|comfy_quant|scaled_fp8)$/;

/**
 * Gives weights of eight bits the scales that lie beside them: one number, or one for each row, by which the
 * elements are multiplied. The scales are no tensors of the model any more.
 */
export function attachScales(tensors: Map<string, StoredTensor>, path: string): void {
  let found = false;
  for (const [name, scale] of [...tensors]) {
    const suffix = SCALES.find((suffix) => name.endsWith(suffix));
    if (!suffix) continue;
    const key = `${name.slice(0, -suffix.length)}.weight`;
    const weight = tensors.get(key);
    if (!weight || !/^(F8_|I8$)/.test(weight.dtype)) continue;
    const count = size(scale.shape);
    if (count !== 1 && count !== weight.shape[0]) {
      throw new TypeError(
        `Cannot load ${path}: expected one scale or one a row for ${quote(key)}, got ${
          quote(scale.shape)
        }; take the weights in another precision`,
      );
    }
    tensors.set(key, { ...weight, scale });
    tensors.delete(name);
    found = true;
  }
  if (!found && ![...tensors.keys()].some((name) => name.endsWith("scaled_fp8"))) return;
  for (const name of [...tensors.keys()]) if (COMPANIONS.test(name)) tensors.delete(name);
}
