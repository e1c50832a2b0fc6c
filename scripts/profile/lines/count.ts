import type { Device, Pipeline } from "denoise";
import type { KernelLines } from "../form.ts";
import type { Subject } from "../subject.ts";
import { type CountedText, countText } from "./count_text.ts";

/** A pipeline that runs with counters. */
interface Counting {
  readonly counted: CountedText;
  readonly sums: GPUBuffer;
}

/**
 * Counts the work of each line of kernels, in a model's step or a pipeline's run of `steps`: they run it once more,
 * with counters in their texts. Those that cannot be counted say why.
 */
export async function countLines(
  device: Device,
  subject: Subject,
  pipelines: readonly Pipeline[],
  steps: number,
): Promise<KernelLines[]> {
  using counters = new DisposableStack();
  const counting = new Map<Pipeline, Counting | string>();
  for (const pipeline of pipelines) {
    try {
      counting.set(pipeline, await beginCounting(device, pipeline, counters));
    } catch (error) {
      const { message } = error as Error;
      counting.set(
        pipeline,
        message.startsWith("Cannot ") ? message : `Cannot count in ${pipeline.label}: ${message}`,
      );
    }
  }
  const profiler = device.profiler!;
  profiler.mode = "dispatches";
  await profiler.reset();
  await subject.run(subject.isLoop ? steps : 1);
  const { dispatches } = await profiler.recording();
  return await Promise.all(pipelines.map(async (pipeline) => {
    const own = dispatches.filter((dispatch) => dispatch.pipeline === pipeline);
    const total = {
      calls: own.length,
      flops: own.reduce((sum, { flops }) => sum + flops, 0),
      bytes: own.reduce((sum, { bytes }) => sum + bytes, 0),
    };
    const found = counting.get(pipeline)!;
    if (typeof found === "string") return { ...total, counts: [], refused: found };
    const lines = found.counted.lines(await sumsIn(device, found.sums));
    return { ...total, counts: inParts(device, pipeline, lines) };
  }));
}

async function beginCounting(
  device: Device,
  pipeline: Pipeline,
  counters: DisposableStack,
): Promise<Counting> {
  const text = device.pipelines.loopsOf(pipeline).map((part) => part.text).join("\n");
  const counted = countText(text, 1, device.traits.lanes || 1);
  const sums = device.gpu.createBuffer({
    label: "counters",
    size: 8 * counted.counters,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
  });
  counters.defer(() => sums.destroy());
  counters.use(await device.pipelines.runCounting(pipeline, counted.text, sums));
  return { counted, sums };
}

/** The sums of counters: each has two words, the low one first. */
async function sumsIn(device: Device, buffer: GPUBuffer): Promise<number[]> {
  const words = new Uint32Array(await device.read(buffer, 0, buffer.size));
  return Array.from({ length: words.length / 2 }, (_, i) => words[2 * i]! + 2 ** 32 * words[2 * i + 1]!);
}

/** Lines by their numbers in the parts of a text. */
function inParts(
  device: Device,
  pipeline: Pipeline,
  lines: ReturnType<CountedText["lines"]>,
): KernelLines["counts"] {
  const lengths = device.pipelines.partsOf(pipeline).map(({ text }) => text.split("\n").length);
  return lines.map((count) => {
    let [part, line] = [0, count.line];
    while (line > lengths[part]!) line -= lengths[part++]!;
    return { ...count, part, line };
  });
}
