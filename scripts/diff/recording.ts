import { z } from "zod";
import { size } from "../../src/core/shape.ts";
import { READ_LIMIT } from "../../src/io/files/binary_file.ts";
import { type Checkpoint, openCheckpoint } from "../../src/io/formats/checkpoint.ts";
import { toFloats } from "../../src/io/formats/numbers.ts";
import { bytesFor } from "../../src/io/formats/stored_dtype.ts";
import type { TensorInfo } from "denoise/models";

const FORMAT = "denoise-features";
const INPUTS = "inputs/";
const FEATURES = "features/";
const RESULTS = "results/";

/** Metadata of a recording, behind its JSON; docs/record_features.py writes it. */
const form = z.object({
  format: z.literal(FORMAT),
  version: z.literal("1"),
  /** Class of the model. */
  class: z.string(),
  /** Method that was called: forward, encode or decode. */
  call: z.string(),
  /** The model's config. */
  config: z.record(z.string(), z.unknown()),
  /** Paths of all features, as their modules end. */
  order: z.array(z.string()),
  /**
   * For each path, and each results/NAME, the features that it is computed from, without others between them;
   * modules that were not written are in it too. What others are computed from comes first.
   */
  sources: z.record(z.string(), z.array(z.string())),
});

/** What a recording says of itself. */
export type RecordingFacts = z.infer<typeof form>;

/** See `sources` of the form. */
export type Sources = RecordingFacts["sources"];

/** Values of a recording. */
export interface HostValues {
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer>;
}

/** What another engine computed in one call of a model: inputs, features by module path, results. */
export class Recording implements Disposable {
  readonly #checkpoint: Checkpoint;
  readonly facts: RecordingFacts;
  /** Features by module path, in the order of `facts`, and what the call gave by name. */
  readonly features: ReadonlyMap<string, TensorInfo>;
  readonly results: ReadonlyMap<string, TensorInfo>;
  readonly #inputs: ReadonlyMap<string, TensorInfo>;

  /** For `openRecording`, which checks the file. */
  constructor(checkpoint: Checkpoint, facts: RecordingFacts) {
    this.#checkpoint = checkpoint;
    this.facts = facts;
    const { tensors } = checkpoint;
    const below = (front: string) =>
      new Map(
        [...tensors].flatMap(([name, info]) =>
          name.startsWith(front) ? [[name.slice(front.length), info] as const] : []
        ),
      );
    this.#inputs = below(INPUTS);
    this.results = below(RESULTS);
    const features = below(FEATURES);
    this.features = new Map(facts.order.map((path) => [path, features.get(path)!]));
  }

  /** The call's arguments by name, parts of them behind dots. */
  async inputs(): Promise<Map<string, HostValues>> {
    const all = new Map<string, HostValues>();
    for (const [name, info] of this.#inputs) {
      all.set(name, { shape: info.shape, data: await this.read(info) });
    }
    return all;
  }

  /** All elements of a tensor, as f32. */
  async read(info: TensorInfo): Promise<Float32Array<ArrayBuffer>> {
    const count = size(info.shape);
    const values = new Float32Array(count);
    const most = Math.floor(READ_LIMIT / bytesFor(info.dtype, 1));
    for (let first = 0; first < count; first += most) {
      const bytes = await this.#checkpoint.read(info, first, Math.min(most, count - first));
      values.set(toFloats(bytes, info.dtype), first);
    }
    return values;
  }

  [Symbol.dispose](): void {
    this.#checkpoint.close();
  }
}

/** Opens a recording and checks what it says of itself. */
export async function openRecording(path: string): Promise<Recording> {
  const checkpoint = await openCheckpoint(path);
  try {
    const facts = factsOf(path, checkpoint);
    const lacks = facts.order.find((name) => !checkpoint.tensors.has(FEATURES + name));
    if (lacks !== undefined) {
      throw new TypeError(
        `Cannot read ${path}: expected "${FEATURES}${lacks}", which its order lists, got none`,
      );
    }
    return new Recording(checkpoint, facts);
  } catch (error) {
    checkpoint.close();
    throw error;
  }
}

function factsOf(path: string, { metadata }: Checkpoint): RecordingFacts {
  const refuse = (got: string): never => {
    throw new TypeError(
      `Cannot read ${path}: expected features of a model, got ${got}; record them with docs/record_features.py`,
    );
  };
  if (metadata.get("format") !== FORMAT) return refuse("other tensors");
  const facts: Record<string, unknown> = Object.fromEntries(metadata);
  for (const name of ["config", "order", "sources"]) {
    try {
      facts[name] = JSON.parse(metadata.get(name) ?? "");
    } catch {
      return refuse(`no JSON in "${name}" of its metadata`);
    }
  }
  const parsed = form.safeParse(facts);
  if (parsed.success) return parsed.data;
  const { path: at, message } = parsed.error.issues[0]!;
  return refuse(`"${at.join(".")}" of its metadata with another form (${message})`);
}
