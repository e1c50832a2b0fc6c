import assert from "node:assert/strict";
import { dirname } from "node:path";
import { manualSeed, openDevice, type Tensor } from "../../../src/mod.ts";
import { DiffusionPipeline, FluxPipeline } from "../../../src/pipelines/mod.ts";
import { safetensors, TestFolder } from "../../support/files.ts";
import { Cache, onHub } from "../../io/hub/hub_fixture.ts";
import { HubServer, noise, refuse } from "../../io/hub/hub_server.ts";
import { readTensors } from "../../support/arrays.ts";
import { fixture } from "../../support/fixtures.ts";

type Files = Record<string, Uint8Array<ArrayBuffer>>;

const flux = fixture("flux/pipeline");
const lora = fixture("flux/lora/kohya.safetensors");
const small = {
  height: 64,
  width: 64,
  numInferenceSteps: 2,
  maxSequenceLength: 16,
  progress: false,
} as const;
const quiet = { onNotice: () => {} };

Deno.test("DiffusionPipeline, a LoRA and a prompt draw from the hub what they draw from folders", async () => {
  const files = await fluxFiles();
  await using hub = await Hub.open(files, (request) => request.headers.has("authorization") ? 200 : 401);
  using _device = await openDevice();

  const fromHub = await hub.as("hf_secret", async () => {
    using pipeline = await DiffusionPipeline.fromPretrained("black-forest-labs/FLUX.1-dev", quiet);
    assert.ok(pipeline instanceof FluxPipeline);
    const plain = await latentsOf(pipeline);
    await pipeline.loadLoraWeights("strangerzonehf/Flux-Midjourney-Mix2-LoRA");
    return { plain, styled: await latentsOf(pipeline) };
  });

  using folder = new TestFolder();
  for (const [name, bytes] of Object.entries(files)) {
    Deno.mkdirSync(dirname(`${folder.path}/${name}`), { recursive: true });
    folder.write(name, bytes);
  }
  using pipeline = await DiffusionPipeline.fromPretrained(folder.path, quiet);
  assert.deepEqual(await latentsOf(pipeline), fromHub.plain);
  await pipeline.loadLoraWeights(lora);
  assert.deepEqual(await latentsOf(pipeline), fromHub.styled);
  assert.notDeepEqual(fromHub.styled, fromHub.plain);

  const asked = hub.flux.seen.filter(({ path }) => /flux1-dev|ae\.safetensors|README|\.jpg/.test(path));
  assert.deepEqual(asked, []); // 24 GB that nothing needs
});

const refused: [who: string, token: string, status: number, advice: string][] = [
  ["nobody's request", "", 401, "and set HF_TOKEN"],
  ["an account", "hf_secret", 403, "with the account of your HF_TOKEN"],
];
for (const [who, token, status, advice] of refused) {
  Deno.test(`a gated repository refuses ${who} with ${status} in one line`, async () => {
    await using hub = await Hub.open({ "model_index.json": new Uint8Array(2) }, () => status);
    using _device = await openDevice();
    const load = () => DiffusionPipeline.fromPretrained("black-forest-labs/FLUX.1-dev", quiet);
    await assert.rejects(hub.as(token, load), ({ message }: Error) => {
      const line = /^Cannot download [^\n]+: it is gated; accept its licence at \S+\/FLUX\.1-dev ([^\n]+)$/;
      return line.exec(message)?.[1] === advice;
    });
  });
}

/** Two repositories behind one address, as at the hub: FLUX, which is gated, and a LoRA. */
class Hub implements AsyncDisposable {
  private constructor(readonly flux: HubServer, readonly lora: HubServer, readonly cache: Cache) {}

  static async open(files: Files, gate: (request: Request) => number): Promise<Hub> {
    const lora = new HubServer({
      repo: "strangerzonehf/Flux-Midjourney-Mix2-LoRA",
      files: await loraFiles(),
    });
    const flux = new HubServer({
      repo: "black-forest-labs/FLUX.1-dev",
      files,
      fault: (request, path) => {
        if (path.includes("/strangerzonehf/")) {
          return fetch(new URL(path, lora.endpoint), { method: request.method, redirect: "manual" });
        }
        const status = path.includes("/resolve/") ? gate(request) : 200; // anyone may see the list of files
        return status === 200 ? undefined : refuse(status, "GatedRepo");
      },
    });
    return new Hub(flux, lora, await Cache.create());
  }

  /** Does something with this hub in place of the real one. */
  as<T>(token: string, work: () => Promise<T>): Promise<T> {
    return onHub({ endpoint: this.flux.endpoint, cache: this.cache, token }, work);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.flux, this.lora, this.cache].map((one) => one[Symbol.asyncDispose]()));
  }
}

async function latentsOf(
  pipeline: { run(options: object): Promise<{ latents?: Tensor }> },
): Promise<ArrayLike<number>> {
  const { latents } = await pipeline.run({ ...small, prompt: "a nice flower", generator: manualSeed(0) });
  return await latents!.data();
}

/**
 * The files of FLUX.1-dev's repository, with the fixture's weights:
 * those of the large models in bf16, in shards.
 */
async function fluxFiles(): Promise<Files> {
  const files: Files = {
    "flux1-dev.safetensors": noise(99),
    "ae.safetensors": noise(98),
    "dev_grid.jpg": noise(9),
  };
  for (const name of namesIn(flux)) {
    if (/^(transformer|text_encoder_2)\/.*safetensors/.test(name)) continue;
    files[name] = Deno.readFileSync(`${flux}/${name}`);
  }
  const stems = { transformer: ["diffusion_pytorch_model", 3], text_encoder_2: ["model", 2] } as const;
  for (const [component, [stem, count]] of Object.entries(stems)) {
    for (const [name, bytes] of Object.entries(await shardsInBF16(`${flux}/${component}`, stem, count))) {
      files[`${component}/${name}`] = bytes;
    }
  }
  return files;
}

async function loraFiles(): Promise<Files> {
  return { "mjV6.safetensors": await Deno.readFile(lora), "README.md": noise(9), "images/1.png": noise(9) };
}

function* namesIn(folder: string, front = ""): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(`${folder}/${front}`)) {
    if (isDirectory) yield* namesIn(folder, `${front}${name}/`);
    else yield front + name;
  }
}

/** A folder's weights once more, each rounded to bf16. */
async function shardsInBF16(folder: string, stem: string, count: number): Promise<Files> {
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) =>
    name.endsWith(".safetensors")
  );
  const shards = Array.from(
    { length: count },
    () => ({ header: {} as Record<string, object>, data: [] as number[] }),
  );
  const weight_map: Record<string, string> = {};
  let next = 0;
  for (const name of names.sort()) {
    for (const [key, { shape, data }] of await readTensors(`${folder}/${name}`)) {
      const index = next++ % count;
      const { header, data: bytes } = shards[index]!;
      const start = bytes.length;
      for (const value of bf16(data)) bytes.push(value & 0xff, value >> 8);
      header[key] = { dtype: "BF16", shape, data_offsets: [start, bytes.length] };
      weight_map[key] = shardName(stem, index, count);
    }
  }
  const index = { metadata: {}, weight_map };
  return {
    [`${stem}.safetensors.index.json`]: new TextEncoder().encode(JSON.stringify(index)),
    ...Object.fromEntries(
      shards.map(({ header, data }, i) => [shardName(stem, i, count), safetensors(header, data).slice()]),
    ),
  };
}

function shardName(stem: string, index: number, count: number): string {
  const digits = (n: number) => String(n).padStart(5, "0");
  return `${stem}-${digits(index + 1)}-of-${digits(count)}.safetensors`;
}

/** The upper halves of floats, rounded to the nearest. */
function bf16(values: ArrayLike<number>): Uint32Array {
  return new Uint32Array(Float32Array.from(values).buffer).map((bits) =>
    (bits + 0x7fff + (bits >> 16 & 1)) >>> 16
  );
}
