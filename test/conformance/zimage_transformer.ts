import { ZImageTransformer2DModel } from "../../src/models/mod.ts";
import { layoutOf, padded } from "../../src/models/z_image_transformer_2d/layout.ts";
import type { Shape } from "../../src/core/shape.ts";
import { cat, stack } from "../../src/tensor/mod.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { upload } from "../support/tensors.ts";
import { readJson } from "./json.ts";
import { loading } from "./precision.ts";
import { attempt, compare, compareTensor, EXACT, type Verdict } from "./verdict.ts";

const MODULE = { rel: 1e-4 }; // one run of a network in f32 on a GPU

type Tensors = ReadonlyMap<string, HostTensor>;
type Verdicts = AsyncGenerator<Verdict, void, void>;

/** A batch that a set has numbers of. */
interface Case {
  id: string;
  caption_lengths: number[];
}

/** Z-Image's transformer: every batch, whole and each row by itself, positions of tokens, and parts. */
export async function* zImageTransformer(folder: string, model: string): Verdicts {
  const tensors = await readTensors(`${folder}/expected/transformer.safetensors`);
  const { transformer: { cases } } = await readJson<{ transformer: { cases: Case[] } }>(
    `${folder}/expected/meta.json`,
  );
  using transformer = await ZImageTransformer2DModel.fromPretrained(
    `${folder}/pipeline/transformer`,
    loading(),
  );
  for (const { id, caption_lengths } of cases) {
    const name = `${model}/transformer/${id}`;
    const rows = caption_lengths.map((_, i) => i);
    const { x, t, capFeats, capLengths } = inputsOf(tensors, id, rows);
    const { sample } = transformer.forward(x, t, capFeats, { capLengths });
    for (const row of rows) {
      const want = frameOf(tensors.get(`${id}/out.${row}`)!);
      const one = `${name}/out.${row}`;
      yield await attempt(
        one,
        () => compareTensor(one, sample.slice(0, row, row + 1).squeeze(0), want, MODULE),
      );
      if (rows.length === 1) continue;
      const alone = inputsOf(tensors, id, [row]);
      const run = () => transformer.forward(alone.x, alone.t, alone.capFeats).sample.squeeze(0);
      yield await attempt(`${one}, alone`, () => compareTensor(`${one}, alone`, run(), want, MODULE));
    }
    yield* layout(name, id, tensors, rows, transformer);
    yield* parts(name, id, tensors, rows, transformer);
  }
}

/** Angles of tokens, and which of them are learned ones. */
async function* layout(
  name: string,
  id: string,
  tensors: Tensors,
  rows: readonly number[],
  { config }: ZImageTransformer2DModel,
): Verdicts {
  for (const row of rows) {
    const length = tensors.get(`${id}/cap.${row}`)!.shape[0]!;
    const [, , H, W] = tensors.get(`${id}/x.${row}`)!.shape as Shape<4>;
    const side = config.all_patch_size[0]!;
    const grid = [1, H / side, W / side] as const;
    const { cos, sin, capPads } = layoutOf({ grid, captions: [length], given: length }, config);
    const L = padded(grid[1] * grid[2]);
    for (const [part, first, last] of [["x", 0, L], ["cap", L, undefined]] as const) {
      const want = tensors.get(`${id}/${part}_rope.${row}`);
      const one = `${name}/${part}_rope.${row}`;
      const both = [cos, sin].map((table) => table.slice(0, first, last).unsqueeze(2));
      if (want) yield await attempt(one, () => compareTensor(one, cat(both, 2), want, { abs: 1e-6 }));
    }
    const want = tensors.get(`${id}/cap_pad_mask.${row}`);
    if (want) yield compare(`${name}/cap_pad_mask.${row}`, await capPads.data(), want.data, EXACT);
  }
}

const TAP = /\/tap\.(.*)$/;

/** The parts, by diffusers' paths: of each row the tokens that are its own, given or learned. */
async function* parts(
  name: string,
  id: string,
  tensors: Tensors,
  rows: readonly number[],
  transformer: ZImageTransformer2DModel,
): Verdicts {
  const { x, t, capFeats, capLengths } = inputsOf(tensors, id, rows);
  const paths = [...tensors.keys()].filter((key) => key.startsWith(`${id}/`))
    .flatMap((key) => TAP.exec(key)?.[1] ?? []);
  const known = paths.filter((path) => transformer.paths.includes(path));
  for (const path of paths.filter((path) => !known.includes(path))) {
    yield { id: `${name}/tap.${path}`, status: "failed", note: "no part of this name" };
  }
  const { taps } = transformer.forward(x, t, capFeats, { capLengths, taps: known });
  const side = transformer.config.all_patch_size[0]!;
  const pictures = rows.map(() => x.shape[2]! * x.shape[3]! / side ** 2);
  for (const path of known) {
    const want = tensors.get(`${id}/tap.${path}`)!;
    const given = path.startsWith("cap_embedder") ? capLengths : pictures; // by the layers in front of the blocks
    const [image, caption] = [pictures.map(padded), capLengths.map(padded)];
    const first = path.split(".")[0]!;
    const own = { noise_refiner: image, context_refiner: caption }[first] ??
      image.map((L, row) => L + caption[row]!);
    for (const row of rows) {
      const mine = taps[path]!.slice(0, row, row + 1).squeeze(0);
      let theirs = at(want, row);
      let count = theirs.shape[0]!;
      if (first === "all_x_embedder" || first === "cap_embedder") { // all rows of all captions, one below the other
        const before = given.slice(0, row).reduce((sum, n) => sum + padded(n), 0);
        [theirs, count] = [rowsFrom(want, before), given[row]!];
      } else if (want.shape.length === 3) count = own[row]!;
      const one = `${name}/tap.${path}.${row}`;
      yield await attempt(
        one,
        () => compareTensor(one, mine.slice(0, 0, count), rowsFrom(theirs, 0, count), MODULE),
      );
    }
  }
}

/** What the model was called with in some rows of a case. Captions are filled up by numbers that must not be read. */
export function inputsOf(tensors: Tensors, id: string, rows: readonly number[]) {
  const captions = rows.map((row) => upload(tensors.get(`${id}/cap.${row}`)!));
  const capLengths = captions.map(({ shape }) => shape[0]!);
  const most = Math.max(...capLengths);
  const filled = captions.map((caption) => caption.pad([0, 0, 0, most - caption.shape[0]!], { value: 7 }));
  const { data: times } = tensors.get(`${id}/t`)!;
  return {
    x: stack(rows.map((row) => upload(frameOf(tensors.get(`${id}/x.${row}`)!)))),
    t: rows.map((row) => times[row]!),
    capFeats: stack(filled),
    capLengths,
  };
}

/** A picture [C, 1, H, W] of a set without its axis of frames. */
function frameOf({ shape: [C, , H, W], data, dtype }: HostTensor): HostTensor {
  return { dtype, shape: [C!, H!, W!], data };
}

/** One of the entries along the first axis. */
function at({ dtype, shape: [, ...rest], data }: HostTensor, index: number): HostTensor {
  const size = rest.reduce((a, b) => a * b, 1);
  return { dtype, shape: rest, data: data.subarray(index * size, (index + 1) * size) };
}

/** Some entries along the first axis. */
function rowsFrom(
  { dtype, shape: [all, ...rest], data }: HostTensor,
  first: number,
  count = all! - first,
): HostTensor {
  const size = rest.reduce((a, b) => a * b, 1);
  return { dtype, shape: [count, ...rest], data: data.subarray(first * size, (first + count) * size) };
}
