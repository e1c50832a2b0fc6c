/**
 * Compiles kernels on the device at hand, a null GPU: a line of texts in, a line of kernels out. Started by
 * compiler.ts, with the GPU's family and which kernels are wanted.
 */
import "../plain_errors.ts";
import process from "node:process";
import { createInterface } from "node:readline";
import { type Device, openDevice, type Pipeline } from "denoise";
import { byFile } from "../../src/gpu/shader/replace_shader.ts";
import type { Snippet } from "../../src/gpu/shader/snippet.ts";
import type { Family } from "../null_gpu/layer.ts";
import { type Machine, MachineFiles } from "../null_gpu/machine.ts";
import type { Answer, Wanted } from "./compiler.ts";
import { describeWork, type KernelDescription, stepsOfWork } from "./description.ts";
import { problemsOf, type Work, worksOf } from "./works.ts";

const [family, text] = Deno.args as [Family, string];
const wanted = JSON.parse(text) as Wanted;
const { NULL_GPU_STATS: stats, NULL_GPU_CODE: folder } = Deno.env.toObject();

using device = await openDevice({ engine: "dawn" });
const files = new MachineFiles({
  stats: stats!,
  folder: folder!,
  family,
  driver: device.adapter.description,
});
device.pipelines.get = ({ label }) => ({ label, ready: Promise.resolve() }) as Pipeline; // models are traced, and never run
const { works } = worksOf(device, await problemsOf(device, wanted), wanted.kernel, { most: wanted.rows });
const made = new Map<string, Machine>(); // by text: Dawn compiles equal ones once

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(new Map(JSON.parse(line)))));
}

async function answer(texts: ReadonlyMap<string, string>): Promise<Answer> {
  try {
    const standing = byFile(texts);
    const kernels: KernelDescription[] = [];
    for (const work of works) kernels.push(await compiled(device, work, standing));
    return { kernels };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

/** A kernel with what is made of each of its passes. */
async function compiled(
  device: Device,
  work: Work,
  texts: ReadonlyMap<Snippet, string>,
): Promise<KernelDescription> {
  const description = describeWork(device, work, texts);
  const passes = [];
  for (const [i, { pipeline }] of stepsOfWork(work).entries()) {
    const pass = description.passes[i]!;
    let machine = made.get(pass.text);
    if (!machine) {
      await device.pipelines.compile(pipeline, texts);
      machine = await files.next(pass.workgroupSize.reduce((a, b) => a * b));
      made.set(pass.text, machine);
    }
    passes.push({ ...pass, machine });
  }
  return { ...description, passes };
}
