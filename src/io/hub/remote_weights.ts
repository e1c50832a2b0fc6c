import { basename, join, relative } from "node:path/posix";
import { type Checkpoint, openCheckpoint, type TensorView } from "../formats/checkpoint.ts";
import { type ResolveOptions, resolveRepo } from "./resolve_repo.ts";
import { isIndex } from "./weight_names.ts";
import { HubRepo } from "./repo.ts";
import { openRemoteFile } from "./remote_file.ts";
import { hubSettings } from "./settings.ts";

/** A component whose texts lie on this machine, while its weights stay on the hub. */
export interface RemoteWeights {
  /** Where the texts lie under their own names. */
  readonly folder: string;
  readonly commit: string;
  /** The texts among the chosen files, relative to the folder. */
  readonly files: readonly string[];
  /** The file of weights or the index of its shards, in the repository. */
  readonly weights: string;
  /** The same for messages. */
  readonly where: string;
  /** Reads the headers of the weights by requests for ranges of bytes. No tensor can be read. */
  open(view?: TensorView): Promise<Checkpoint>;
}

/** Brings the configs of a component of a repository, and no weights. `files` chooses as for resolveRepo(). */
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
  const settings = await hubSettings(options.env ?? ((name) => Deno.env.get(name)), options.token);
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
