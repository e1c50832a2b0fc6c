/**
 * The small trained models of Denoise's repository. A clone has them in its folder models/; a published
 * package does not, and downloads them when they are asked for.
 */

import { createHash } from "node:crypto";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import files from "./embedded_models.json" with { type: "json" };
import { isFile } from "./hub/cache.ts";
import { downloadBlob } from "./hub/download.ts";
import type { Progress } from "./hub/resolve_repo.ts";

/** Source of an embedded model. */
export interface EmbeddedModelOptions {
  /** A folder or an address that has the models' folders; by default the package's own models/. */
  from?: string | undefined;
  /** Called with the progress of downloads, as by `fromPretrained`. */
  onProgress?: ((progress: Progress) => void) | undefined;
  /** Ends a download. */
  signal?: AbortSignal | undefined;
}

/** Names of the embedded models. */
export type EmbeddedModel = keyof typeof files;

const RETRY = { tries: 5, pause: 500, timeout: 10_000 }; // ms

/**
 * The folder of a small trained model that belongs to Denoise, for `fromPretrained`: "emoji-diffusion" draws prompts
 * in 64 × 64 as Stable Diffusion does, "emoji-ddpm" pictures without one. A clone of Denoise has them; from
 * elsewhere they are downloaded once, checked by their hashes, into the user's cache folder.
 *
 * ```ts ignore
 * using pipeline = await StableDiffusionPipeline.fromPretrained(await embeddedModel("emoji-diffusion"));
 * ```
 */
export async function embeddedModel(
  name: EmbeddedModel,
  options: EmbeddedModelOptions = {},
): Promise<string> {
  if (!Object.hasOwn(files, name)) {
    throw new RangeError(`Cannot find model ${name}: expected ${Object.keys(files).join(" or ")}`);
  }
  const { from = import.meta.resolve("../../models") } = options;
  const base = URL.canParse(from) ? new URL(`${from}/${name}`) : undefined;
  if (base && /^https?:$/.test(base.protocol)) return await download(name, base.href, options);
  const folder = base?.protocol === "file:" ? fileURLToPath(base) : join(from, name);
  if (await isFile(join(folder, "model_index.json"))) return folder;
  throw new Error(
    `Cannot find ${name}: expected it in ${folder}, as in a clone of Denoise; name a folder or an address that ` +
      `holds it as \`from\``,
  );
}

async function download(
  name: EmbeddedModel,
  base: string,
  { onProgress, signal }: EmbeddedModelOptions,
): Promise<string> {
  const cache = join(Deno.env.get("XDG_CACHE_HOME") || join(homedir(), ".cache"), "denoise", "models");
  const wanted = files[name];
  const edition = createHash("sha256").update(JSON.stringify(wanted)).digest("hex").slice(0, 8);
  const folder = join(cache, `${name}-${edition}`);
  for (const [file, { sha256, size }] of Object.entries(wanted)) {
    const path = join(folder, file);
    if (await isFile(path, size)) continue;
    await Deno.mkdir(join(path, ".."), { recursive: true });
    const refuse = ({ status }: Response) =>
      new Error(`Cannot download ${base}/${file}: expected status 200, got ${status}; check \`from\``);
    await downloadBlob(path, { url: `${base}/${file}`, name: file, etag: sha256, size, refuse }, {
      ...RETRY,
      signal,
      onBytes: (loaded) => onProgress?.({ file, loaded, total: size, done: false }),
    });
    onProgress?.({ file, loaded: size, total: size, done: true });
  }
  return folder;
}
