import { createHandler, type Drawer, type HandlerOptions, LOOPBACK } from "denoise/serve";

/** A server of a test's, in its own process. */
export class Served implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly address: string;

  constructor(drawer: Drawer, options: HandlerOptions = {}) {
    const handler = createHandler(drawer, { hosts: LOOPBACK, ...options });
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, handler);
    this.address = `http://127.0.0.1:${this.#server.addr.port}`;
  }

  /** Sends JSON, or nothing, and reads JSON. */
  async call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const response = await fetch(this.address + path, {
      method,
      body: body === undefined ? null : JSON.stringify(body),
      headers: { ...body === undefined ? {} : { "content-type": "application/json" }, ...headers },
    });
    // deno-lint-ignore no-explicit-any -- what a test expects of it
    return { status: response.status, headers: response.headers, json: await response.json() as any };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}
