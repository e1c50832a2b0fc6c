/** What the hub tests share: a small repository, a cache that goes away again, and one call to resolve it. */
import { join } from "node:path";
import { neededFiles } from "../../../src/io/hub/needed_files.ts";
import {
  type Progress,
  type ResolvedRepo,
  type ResolveOptions,
  resolveRepo,
} from "../../../src/io/hub/resolve_repo.ts";
import { commit, HubServer, noise, repo } from "./hub_server.ts";

export const weights = noise(200_001);

/** A repository with one component, a decoy for each wrong choice and a file in the root. */
export const files = {
  "model_index.json": "{}",
  "unet/config.json": '{"sample_size": 8}',
  "unet/diffusion_pytorch_model.safetensors": weights,
  "unet/diffusion_pytorch_model.bin": noise(10),
  "unet/diffusion_pytorch_model.fp16.safetensors": noise(20),
  "README.md": "# tiny",
};
export const wanted = ["unet/config.json", "unet/diffusion_pytorch_model.safetensors"];

/** All files of a folder by their paths within it, as a repository has them. */
export function filesOf(folder: string, front = ""): Record<string, Uint8Array<ArrayBuffer>> {
  return Object.assign(
    {},
    ...[...Deno.readDirSync(join(folder, front))].map(({ name, isDirectory }) =>
      isDirectory
        ? filesOf(folder, `${front}${name}/`)
        : { [front + name]: Deno.readFileSync(join(folder, front, name)) }
    ),
  );
}

export class Cache implements AsyncDisposable {
  private constructor(readonly path: string) {}

  static async create(): Promise<Cache> {
    return new Cache(await Deno.makeTempDir({ prefix: "hub" }));
  }

  /** A path in the repository's own folder. */
  at(...parts: string[]): string {
    return join(this.path, "models--owner--tiny", ...parts);
  }

  /** The blobs whose download has not ended. */
  async partials(): Promise<string[]> {
    const names = await Array.fromAsync(Deno.readDir(this.at("blobs")), ({ name }) => name);
    return names.filter((name) => name.endsWith(".partial"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

export interface Opened extends ResolvedRepo {
  progress: Progress[];
  notices: string[];
}

/** Resolves the unet of the server's repository; `env` overrides the environment. */
export async function open(
  server: HubServer | undefined,
  cache: Cache,
  { env = {}, name = repo, ...options }: Partial<Omit<ResolveOptions, "env">> & {
    env?: Record<string, string | undefined> | undefined;
    name?: string | undefined;
  } = {},
): Promise<Opened> {
  const all: Record<string, string | undefined> = {
    HOME: cache.path,
    HF_HUB_CACHE: cache.path,
    HF_ENDPOINT: server?.endpoint ?? "http://127.0.0.1:1", // nobody listens there
    ...env,
  };
  const progress: Progress[] = [];
  const notices: string[] = [];
  const resolved = await resolveRepo(name, {
    files: (listing) => neededFiles(listing, { kind: "model", subfolder: "unet" }),
    env: (variable) => all[variable],
    retryPause: 5,
    onProgress: (step) => progress.push(step),
    onNotice: (line) => notices.push(line),
    ...options,
  });
  return { ...resolved, progress, notices };
}

/** Arguments and environment to resolve the unet in another process. */
export function child(server: HubServer, cache: Cache, flags?: string[]): [string, Deno.CommandOptions] {
  return childOf(cache, { HF_ENDPOINT: server.endpoint }, flags);
}

/** The same without a server. */
export function childOf(
  cache: Cache,
  env: Record<string, string>,
  flags = ["-A"],
): [string, Deno.CommandOptions] {
  const script = join(import.meta.dirname!, "hub_child.ts");
  const all = { HF_HUB_CACHE: cache.path, NO_COLOR: "1", ...env };
  return [Deno.execPath(), {
    args: ["run", "-q", ...flags, script, repo],
    env: all,
    stdout: "piped",
    stderr: "piped",
  }];
}

export { commit, HubServer, repo };

/** Does something whose process has this hub in place of the real one. */
export async function onHub<T>(
  { endpoint, cache, token = "" }: { endpoint: string; cache: Cache; token?: string },
  work: () => Promise<T>,
): Promise<T> {
  const variables = {
    HF_ENDPOINT: endpoint,
    HF_HUB_CACHE: cache.path,
    HF_TOKEN: token,
    HF_TOKEN_PATH: `${cache.path}/none`,
    HF_HUB_OFFLINE: "",
  };
  const before = Object.keys(variables).map((name) => [name, Deno.env.get(name)] as const);
  try {
    for (const [name, value] of Object.entries(variables)) Deno.env.set(name, value);
    return await work();
  } finally {
    for (const [name, value] of before) {
      value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
    }
  }
}
