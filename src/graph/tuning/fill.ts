import text from "../../../shaders/fill.wgsl" with { type: "text" };
import type { DType } from "../../core/dtype.ts";
import type { Storage } from "../../gpu/memory/buffers.ts";
import type { Device } from "../../gpu/device.ts";
import { compose } from "../../gpu/shader/compose.ts";
import type { PipelineSpec } from "../../gpu/shader/pipelines.ts";
import { snippet } from "../../gpu/shader/snippet.ts";
import { bindGroup } from "../../gpu/encoding.ts";
import { ELEMENT_MAIN, foldGrid } from "../../gpu/shader/grid.ts";
import { Uniforms } from "../../gpu/memory/uniforms.ts";
import { packParams } from "../../gpu/shader/params.ts";

const FILL = snippet("fill", text, [ELEMENT_MAIN]);
const KINDS = ["f32", "f16", "words", "int8", "int4", "nothing"] as const;
const LANES = 64;

/**
 * Fills a storage with numbers that follow from a seed alone: floats from -scale to scale, integers and bools of 0 and 1; or,
 * of "nothing", with NaN. Resolves once it is submitted.
 */
export async function fill(
  device: Device,
  storage: Storage,
  dtype: DType | "nothing",
  seed: number,
  scale = 1,
): Promise<void> {
  const kind = KINDS.find((kind) => kind === dtype) ?? "words";
  const spec: PipelineSpec = {
    key: `fill ${kind}`,
    label: "fill",
    bindings: ["write", "uniform"],
    source: (texts) => {
      const kernel = { code: [FILL], bindings: ["write", "uniform"] } as const;
      return compose({ label: "fill", kernel, set: { KIND: KINDS.indexOf(kind) } }, texts);
    },
  };
  const pipeline = device.pipelines.get(spec);
  await pipeline.ready;
  const words = Math.ceil(storage.bytes / 4);
  const uniforms = new Uniforms(device, "fill");
  const blocks = uniforms.write([packParams("fill", text, { words, seed, scale })]);
  const encoder = device.gpu.createCommandEncoder({ label: "fill" });
  const pass = encoder.beginComputePass({ label: "fill" });
  pass.setPipeline(pipeline.gpu!);
  pass.setBindGroup(0, bindGroup(device, pipeline, spec.bindings, [], storage, blocks));
  const limit = device.limits.maxComputeWorkgroupsPerDimension;
  pass.dispatchWorkgroups(...foldGrid(Math.ceil(words / LANES), limit));
  pass.end();
  device.submit(encoder, "filling buffers");
  uniforms.release();
}
