/** Fingerprints, which tell that files are the same as before without reading all of many gigabytes. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { neededFiles, type WeightOptions } from "../../src/io/hub/needed_files.ts";
import { resolveRepo } from "../../src/io/hub/resolve_repo.ts";
import { findLora } from "../../src/io/lora/find.ts";
import { isSingleFile } from "../../src/io/single_file/options.ts";
import { readIndex } from "../../src/pipelines/model_index.ts";

const WHOLE = 2 ** 26; // bytes: smaller files are read whole
const SAMPLES = 256; // of larger ones: as many pieces, spread evenly from the first byte to the last
const PIECE = 2 ** 12; // bytes
const SHOWN = 16; // digits

/**
 * Fingerprint of the configs, weights and tokenizers of some folders of a model, those that are drawn with, or of a model's
 * one file.
 */
export async function fingerprintOfModel(
  model: string,
  folders: ReadonlySet<string>,
  options: { base?: string | undefined; config?: string | undefined; variant?: string | undefined },
): Promise<string> {
  if (isSingleFile(model)) return await fingerprintOfFile(model);
  const { base, config, variant } = options;
  const { components } = await readIndex(model, { base, config });
  const all: string[] = [];
  for (const [subfolder, name] of Object.entries(components)) {
    if (!folders.has(subfolder) || /Scheduler/.test(name)) continue; // a scheduler's config is in the recipe
    const kind = /Tokenizer/.test(name) ? "tokenizer" : "model";
    const library = /^(CLIP|T5)/.test(name) ? "transformers" : "diffusers";
    const { folder, files } = await resolveRepo(model, {
      files: (listing) => neededFiles(listing, { kind, subfolder, variant, library }),
    });
    all.push(...await namesAndContents(folder, files));
  }
  return digestOf(all);
}

/**
 * Fingerprint of a model beside the pipeline's, which was loaded before: of its one file, or of its config and weights;
 * only the name where these are not on this machine.
 */
export async function fingerprintOfPart(pathOrRepo: string, weights: WeightOptions = {}): Promise<string> {
  try {
    if (isSingleFile(pathOrRepo)) {
      return await fingerprintOfFile(await findLora(pathOrRepo, { localFilesOnly: true }));
    }
    const { folder, files } = await resolveRepo(pathOrRepo, {
      localFilesOnly: true,
      files: (listing) => neededFiles(listing, { kind: "model", ...weights }),
    });
    return digestOf(await namesAndContents(folder, files));
  } catch {
    return pathOrRepo;
  }
}

/** The names of files and the fingerprint of each. */
async function namesAndContents(folder: string, files: readonly string[]): Promise<string[]> {
  const pairs = await Promise.all(
    files.map(async (file) => [file, await fingerprintOfFile(join(folder, file))]),
  );
  return pairs.flat();
}

function digestOf(texts: readonly string[]): string {
  return createHash("sha256").update(texts.join("\n")).digest("hex").slice(0, SHOWN);
}

/** Fingerprint of one file; only the name for a folder, or a repository that is not on this machine. */
export async function fingerprintOfFile(path: string): Promise<string> {
  try {
    using file = await Deno.open(path);
    const { size } = await file.stat();
    return await fingerprintOf(size, async (start, piece) => {
      await file.seek(start, Deno.SeekMode.Start);
      for (let done = 0; done < piece.length;) {
        const read = await file.read(piece.subarray(done));
        if (read === null) break;
        done += read;
      }
    });
  } catch {
    return path;
  }
}

/** Fingerprint of bytes: that of a file which holds them. */
export async function fingerprintOfBytes(bytes: Uint8Array): Promise<string> {
  return await fingerprintOf(bytes.length, (start, piece) => {
    piece.set(bytes.subarray(start, start + piece.length));
  });
}

async function fingerprintOf(
  size: number,
  read: (start: number, piece: Uint8Array) => void | Promise<void>,
): Promise<string> {
  const hash = createHash("sha256");
  hash.update(`${size}\n`);
  const [count, length] = size <= WHOLE ? [1, size] : [SAMPLES, PIECE];
  for (let i = 0; i < count; i++) {
    const piece = new Uint8Array(length);
    await read(Math.floor(i * (size - length) / Math.max(1, count - 1)), piece);
    hash.update(piece);
  }
  return hash.digest("hex").slice(0, SHOWN);
}
