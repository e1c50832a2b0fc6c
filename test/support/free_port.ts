const [FIRST, END] = [10_000, 32_000]; // below those that systems give to connections, which might take it meanwhile

/** A port where nobody listens. */
export function freePort(): number {
  for (;;) {
    const port = FIRST + Math.floor((END - FIRST) * Math.random());
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}
