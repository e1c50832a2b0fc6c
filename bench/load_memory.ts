/**
 * Measures the host memory that loading takes: a 2 GiB safetensors file goes to the GPU as `fromPretrained` sends it.
 * Run: deno run -A bench/load_memory.ts
 */
import { openDevice } from "denoise";
import { size } from "../src/core/shape.ts";
import { Leaf } from "../src/graph/node.ts";
import { openCheckpoint } from "../src/io/formats/checkpoint.ts";
import { upload } from "../src/io/upload/upload.ts";
import { type Entry, writeSafetensors } from "./safetensors.ts";

const MiB = 1 << 20;
const MOST_HOST = 700 * MiB;
const MOST_READ = 1024 * MiB;

const layers = 32; // of 64 MiB: half a convolution's kernels, which are reordered, half matrices
const entries = Array.from({ length: layers }, (_, i): Entry => {
  const name = `layers.${i}.weight`;
  return i % 2 ? [name, [4096, 4096]] : [name, [2048, 2048, 2, 2]];
});

using device = await openDevice();
const folder = await Deno.makeTempDir({ prefix: "denoise-bench-" });
try {
  await measure(`${folder}/model.safetensors`);
} finally {
  await Deno.remove(folder, { recursive: true });
}

async function measure(path: string): Promise<void> {
  await writeSafetensors(path, entries); // zeros without room on the disk
  const { size: fileBytes } = await Deno.stat(path);
  using checkpoint = await openCheckpoint(path);
  let largest = 0;
  const fill = checkpoint.fill.bind(checkpoint);
  checkpoint.fill = (info, first, target) => {
    largest = Math.max(largest, target.length);
    return fill(info, first, target);
  };

  // A software adapter keeps GPU buffers in the process. It touches their pages as they are written, so what was
  // written by then is taken off; buffers cleared ahead of that count as host memory here.
  const inProcess = device.traits.software;
  const before = Deno.memoryUsage().rss;
  let [peak, loaded] = [before, 0];
  const sample = () => peak = Math.max(peak, Deno.memoryUsage().rss - (inProcess ? loaded : 0));
  const timer = setInterval(sample, 5);
  const start = performance.now();
  const fillings = [...checkpoint.tensors.values()].map((info) => ({
    info,
    leaf: new Leaf("f32", size(info.shape), info.name),
  }));
  const { release } = await upload(device, checkpoint, fillings, {
    label: "load_memory",
    onProgress: (progress) => {
      loaded = progress.loaded;
      sample();
    },
  });
  await device.idle();
  const seconds = (performance.now() - start) / 1000;
  sample();
  clearInterval(timer);
  const after = Deno.memoryUsage().rss - (inProcess ? device.buffers.usage().bytes : 0);
  release();

  const mebi = (bytes: number) => `${(bytes / MiB).toFixed(0)} MiB`;
  console.log(device.describe());
  console.log(
    `${mebi(fileBytes)} loaded in ${seconds.toFixed(2)} s, ${(fileBytes / seconds / 1e9).toFixed(2)} GB/s`,
  );
  console.log(
    `host memory without GPU buffers: ${mebi(before)} before, ${mebi(peak)} at most, ${mebi(after)} after`,
  );
  console.log(`largest read: ${mebi(largest)}`);
  if (peak > MOST_HOST || largest > MOST_READ) {
    console.error(
      `Cannot keep the promise: expected at most ${mebi(MOST_HOST)} and reads of ${mebi(MOST_READ)}`,
    );
    Deno.exitCode = 1;
  }
}
