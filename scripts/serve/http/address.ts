import { getPath } from "hono/utils/url";

/** Where clients find a server: as they called it or, behind a proxy or below a path, as its operator says. */
export class Address {
  /** Path in front of all others, as "/draw"; empty for none. */
  readonly base: string;
  /** Scheme, host and port; undefined where they are as clients call them. */
  readonly origin: string | undefined;

  /** Of an address as "https://example.org/draw", or a path alone, as "/draw". */
  constructor(text = "/") {
    const isPath = text.startsWith("/");
    const url = URL.parse(text, isPath ? "http://localhost" : undefined);
    if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username || url.password) {
      throw new TypeError(`Cannot take the address ${text}: expected https://HOST/PATH or /PATH`);
    }
    this.origin = isPath ? undefined : url.origin;
    this.base = url.pathname.replace(/\/+$/, "");
  }

  /** Name of its host without port; undefined where any may be. */
  get host(): string | undefined {
    return this.origin && new URL(this.origin).hostname;
  }

  /** A request's path below the base; a proxy may have taken that away before. */
  pathOf(request: Request): string {
    const path = getPath(request);
    return path.startsWith(`${this.base}/`) ? path.slice(this.base.length) : path;
  }

  /** A path below the base as clients of a request find it. */
  of(path: string, { url }: Request): string {
    return new URL(this.base + path, this.origin ?? url).href;
  }
}
