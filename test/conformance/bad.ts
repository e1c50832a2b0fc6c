import { dirname } from "node:path";
import { loadPng, manualSeed, randn, savePng } from "../../src/mod.ts";
import { openCheckpoint } from "../../src/io/formats/checkpoint.ts";
import { readJson as readConfig } from "../../src/io/config.ts";
import { readLora } from "../../src/io/lora/file.ts";
import { UNet2DModel } from "../../src/models/mod.ts";
import { CLIPTokenizer } from "../../src/tokenizers/mod.ts";
import { readTensors } from "../support/arrays.ts";
import { readJson } from "./json.ts";
import { compare, EXACT, refused, type Verdict, worst } from "./verdict.ts";

/** Files that a program must not trust, and their controls: `bad/meta.json` says which are which. */
export async function* bad(folder: string): AsyncGenerator<Verdict, void, void> {
  const { files } = await readJson<{ files: { file: string; expect: string }[] }>(`${folder}/meta.json`);
  for (const { file, expect } of files) {
    yield await judge(`${folder}/${file}`, file, expect);
  }
}

async function judge(path: string, file: string, expect: string): Promise<Verdict> {
  const mayRefuse = expect.startsWith("must be refused") || expect.startsWith("loads, or is refused");
  const mayLoad = !expect.startsWith("must be refused");
  let verdict: Verdict;
  try {
    verdict = await load(path, file, expect);
  } catch (error) {
    return mayRefuse ? refused(file, error) : { id: file, status: "failed", note: (error as Error).message };
  }
  return mayLoad ? verdict : { id: file, status: "failed", note: "loads, but must be refused" };
}

/** Loads a file as its name says; throws where it is refused. */
async function load(path: string, file: string, expect: string): Promise<Verdict> {
  if (file.startsWith("config_")) await readConfig(`${path}config.json`); // it has no weights to be missed first
  if (file.startsWith("tokenizer_")) {
    await CLIPTokenizer.fromPretrained(dirname(path));
    return { id: file, status: "passed", note: "loads" };
  }
  if (file.startsWith("lora_")) {
    using checkpoint = await openCheckpoint(path);
    await readLora(checkpoint, path);
    return { id: file, status: "passed", note: "loads" };
  }
  if (file.endsWith("/")) return await loadModel(path, file, expect);
  if (file.endsWith(".png")) {
    const { width, height } = await loadPng(path);
    const [, ...size] = /(\d+)x(\d+)/.exec(expect) ?? [];
    return compare(file, [width, height], size.map(Number), EXACT);
  }
  const tensors = await readTensors(path);
  const first = tensors.get("a") ?? tensors.get("__proto__");
  const wanted = Object.entries(contents(first?.data.length ?? 0)[file] ?? {});
  const none: Verdict = { id: file, status: "passed", note: `loads: ${[...tensors.keys()].join(", ")}` };
  return worst(file, [
    none,
    ...wanted.map(([name, want]) => compare(name, tensors.get(name)?.data ?? [NaN], want, EXACT)),
  ]);
}

/** What controls hold, for an `a` of n values. */
function contents(n: number): Record<string, Record<string, number[]>> {
  const range = (start: number, end: number) => Array.from({ length: end - start }, (_, i) => start + i);
  const [a, next] = [range(0, n), range(n, 2 * n)];
  const [plain, saved] = [{ a, b: next }, { a, b: new Array(6).fill(1) }];
  return {
    "st_good.safetensors": plain,
    "st_padded_header.safetensors": plain,
    "st_metadata.safetensors": plain,
    "st_proto_key.safetensors": Object.fromEntries([["__proto__", a], ["constructor", next]]),
    "st_zero_size.safetensors": { z: [], s: [0] },
    "bin_good.bin": saved,
    "bin_good_legacy.bin": saved,
    "bin_views.bin": {
      a,
      nc: [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11],
      view: range(5, 11),
      half: range(0, 4),
      bf16: range(0, 4),
      i64: range(0, 4),
    },
  };
}

/** Loads a model and draws with it. What diffusers warns of wants a notice; NaN must not become a picture. */
async function loadModel(path: string, file: string, expect: string): Promise<Verdict> {
  const notices: string[] = [];
  const onNotice = (line: string) => notices.push(line);
  using unet = await UNet2DModel.fromPretrained(path, { dtype: "f32", onNotice });
  const noise = randn([1, unet.config.in_channels, ...unet.sampleSize], { generator: manualSeed(0) });
  const drawn = await saved(unet.forward(noise, 0).sample.div(2).add(0.5).clamp(0, 1));
  if (expect.includes("NaN")) {
    if (drawn) return refused(file, drawn);
    return { id: file, status: "failed", note: "NaN became a picture, want savePng() to refuse it" };
  }
  if (drawn) throw drawn;
  if (!expect.includes("warns")) return { id: file, status: "passed", note: "loads and draws" };
  if (notices.length === 1) return { id: file, status: "passed", note: `loads and tells: ${notices[0]}` };
  return { id: file, status: "failed", note: `loads with ${notices.length} notices, want one` };
}

/** Saves a picture and drops it; returns why that was refused. */
async function saved(image: Parameters<typeof savePng>[1]): Promise<Error | undefined> {
  const folder = await Deno.makeTempDir();
  try {
    await savePng(`${folder}/picture.png`, image);
    return undefined;
  } catch (error) {
    return error as Error;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
