/** A package registry on this machine that takes what `deno publish` sends and serves it as JSR does. */
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";

/** What a registry keeps of one version. */
interface Version {
  files: Map<string, Uint8Array<ArrayBuffer>>;
  exports: Record<string, string>;
}

/** Plays JSR for one package; `deno` uses it where JSR_URL is its `url`. */
export class Registry implements AsyncDisposable {
  /** What was published, by "@scope/name/version". */
  readonly published = new Map<string, Version>();
  readonly #server = Deno.serve({ port: 0, onListen: () => {} }, (request) => this.#answer(request));

  get url(): string {
    return `http://localhost:${this.#server.addr.port}/`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const upload = /^\/api\/scopes\/(.+)\/packages\/(.+)\/versions\/(.+)$/.exec(pathname);
    if (request.method === "POST" && upload) {
      const [, scope, name, version] = upload;
      const files = untar(gunzipSync(await request.bytes()));
      const { exports } = JSON.parse(new TextDecoder().decode(files.get("/deno.json")));
      this.published.set(`@${scope}/${name}/${version}`, { files, exports });
      return Response.json({ id: "1", status: "success", error: null });
    }
    if (upload) return new Response(null, { status: 404 }); // not published yet
    if (pathname.startsWith("/api/")) return Response.json({});
    return this.#file(pathname.slice(1)) ?? new Response(null, { status: 404 });
  }

  #file(path: string): Response | undefined {
    for (const [key, { files, exports }] of this.published) {
      const [scope, name, version] = key.split("/");
      if (path === `${scope}/${name}/meta.json`) {
        return Response.json({ scope, name, latest: version, versions: { [version!]: {} } });
      }
      if (path === `${scope}/${name}/${version}_meta.json`) {
        const manifest = Object.fromEntries([...files].map(([name, bytes]) => [name, {
          size: bytes.length,
          checksum: `sha256-${createHash("sha256").update(bytes).digest("hex")}`,
        }]));
        return Response.json({ exports, manifest });
      }
      const bytes = path.startsWith(`${key}/`) ? files.get(path.slice(key.length)) : undefined;
      if (!bytes) continue;
      const type = path.endsWith(".ts") ? "text/typescript" : "text/plain";
      return new Response(bytes, { headers: { "content-type": type } });
    }
    return undefined;
  }
}

/** The plain files of a tar, by "/path". */
function untar(tar: Uint8Array): Map<string, Uint8Array<ArrayBuffer>> {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const text = (at: number, length: number) =>
    new TextDecoder().decode(tar.subarray(at, at + length)).split("\0", 1)[0]!;
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0;) {
    const size = parseInt(text(at + 124, 12), 8);
    const [name, prefix] = [text(at, 100), text(at + 345, 155)];
    const path = prefix ? `${prefix}/${name}` : name;
    if (["", "0"].includes(text(at + 156, 1))) {
      files.set(`/${path.replace(/^\.?\//, "")}`, tar.slice(at + 512, at + 512 + size));
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
