import { basename, join, relative } from "node:path/posix";
import { BinaryFile, type ByteSource } from "../files/binary_file.ts";
import { type Checkpoint, openCheckpoint, type TensorView } from "../formats/checkpoint.ts";
import { isIndex } from "../formats/shard_index.ts";
import { HubRepo } from "./repo.ts";
import { type ResolveOptions, resolveRepo } from "./resolve_repo.ts";
import { hubSettings, processEnv } from "./settings.ts";

/** A component whose JSON files are on this machine, while its weights stay on the hub. */
export interface RemoteWeights {
  /** The folder that has the JSON files under their own names. */
  readonly folder: string;
  readonly commit: string;
  /** The JSON files, relative to the folder. */
  readonly files: readonly string[];
  /** The file of weights or the index of its shards, in the repository. */
  readonly weights: string;
  /** The weights as messages name them. */
  readonly where: string;
  /** Reads the headers of the weights by requests for ranges of bytes. No tensor can be read. */
  open(view?: TensorView): Promise<Checkpoint>;
}

/** Fetches a component's configs without its weights. `files` chooses as for resolveRepo(). */
export async function openRemoteWeights(
  repo: string,
  { files: choose, ...options }: ResolveOptions,
): Promise<RemoteWeights> {
  let weights = "";
  const isText = (name: string) => name.endsWith(".json");
  const { folder, files, commit } = await resolveRepo(repo, {
    ...options,
    withoutShards: true,
    files: (listing) => {
      const chosen = choose(listing);
      weights = chosen.find((name) => !isText(name) || isIndex(name)) ?? "";
      return chosen.filter(isText);
    },
  });
  const settings = await hubSettings(options.env ?? processEnv, options.token);
  const hub = new HubRepo(settings, repo, { pause: options.retryPause ?? 1000, signal: options.signal });
  return {
    folder,
    commit: commit!, // which only folders lack
    files,
    weights,
    where: `${basename(weights)} of ${join(repo, weights, "..")}`,
    open: (view) => {
      const open = (path: string) => openRemoteFile(hub, commit!, relative(folder, path));
      return openCheckpoint(join(folder, weights), view, open);
    },
  };
}

const HEAD = 1 << 18; // bytes asked for first: most headers lie in them

/** Opens a file on the hub. Each read is a request for a range; only the first bytes are kept. */
async function openRemoteFile(hub: HubRepo, commit: string, file: string): Promise<BinaryFile> {
  const head = await hub.range(commit, file, 0, HEAD);
  const source: ByteSource = {
    async fill(offset, target) {
      const end = offset + target.length;
      const isKnown = end <= head.bytes.length;
      target.set(
        isKnown
          ? head.bytes.subarray(offset, end)
          : (await hub.range(commit, file, offset, target.length)).bytes,
      );
    },
    close() {},
  };
  return new BinaryFile(source, `${file} of ${hub.name}`, head.size);
}
