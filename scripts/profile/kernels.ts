import type { Device, Pipeline } from "denoise";
import { interfaceOf } from "../../src/gpu/shader/compiled.ts";
import type { Profile } from "./form.ts";

/** Pipelines as a profile has them: their whole text, part by part, and what the host set in it. */
export function kernelsOf(device: Device, pipelines: readonly Pipeline[]): Profile["kernels"] {
  return pipelines.map((pipeline) => {
    const parts = device.pipelines.partsOf(pipeline);
    const { bindings, workgroup } = interfaceOf(pipeline.label, parts);
    return {
      name: pipeline.label,
      parts: parts.map(({ name, text, reason = "written", set = [] }) => ({
        name,
        text,
        reason,
        set: [...set],
      })),
      bindings: bindings.map(({ name, use, type, binding }) => ({ binding: binding!, name, use, type })),
      workgroup: [...workgroup],
    };
  });
}
