import { Redis } from "ioredis";
import { writeLine } from "../../src/core/shown.ts";
import { type QueueAddress, queueAddress } from "./address.ts";
import { expectUsable, UnusableError } from "./server.ts";

/** Options of connecting. */
export interface ConnectOptions {
  /** Tries again, for ever, where no server answers; otherwise that is an error. */
  readonly patient?: boolean | undefined;
  /** Told in one line that a server does not answer, and that it does again. */
  readonly onNotice?: ((line: string) => void) | undefined;
}

const SECONDS = 5; // within which a server must answer
const LONGEST_MS = 20_000; // between two tries

/**
 * Connects to a Valkey or Redis server. Later it connects again by itself when the server goes away, and what was sent waits for
 * it. Throws in one line for what is no address, for a wrong password, and where no server answers within 5 s.
 */
export async function connect(text: string, options: ConnectOptions = {}): Promise<Redis> {
  const { patient = false, onNotice = writeLine } = options;
  const address = queueAddress(text); // which may come from the environment
  for (let times = 1;; times++) {
    try {
      return await connectOnce(address, onNotice);
    } catch (error) {
      const verb = error instanceof UnusableError ? "use" : "reach";
      const line = `Cannot ${verb} the queue at ${address.shown}: ${reasonOf(error as Error)}`;
      if (!patient || isFinal(error as Error)) throw new Error(line, { cause: error });
      if (times === 1) onNotice(`${line}; tries again`);
      await new Promise((resolve) => setTimeout(resolve, pause(times)));
    }
  }
}

async function connectOnce(
  { shown, place, login }: QueueAddress,
  onNotice: (line: string) => void,
): Promise<Redis> {
  let isOpen = false;
  let isTold = false;
  let failure: Error | undefined;
  const client = new Redis(place, {
    ...login,
    lazyConnect: true,
    maxRetriesPerRequest: null, // what was sent waits until the server is back
    connectTimeout: 1000 * SECONDS,
    retryStrategy: (times) => isOpen ? pause(times) : null,
  });
  client.on("error", (error) => failure = error);
  client.on("close", () => {
    if (!isOpen || isTold || client.status === "end") return;
    isTold = true;
    onNotice(`The queue at ${shown} does not answer; tries again`);
  });
  client.on("ready", () => {
    if (isTold) onNotice(`The queue at ${shown} answers again`);
    isTold = false;
  });
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${SECONDS} s`)), 1000 * SECONDS);
  try {
    await Promise.race([client.connect().then(() => client.ping()), late]);
    if (failure) throw failure; // e.g. of choosing a database that is not there: the client would go on with another
    for (const notice of await expectUsable(client)) onNotice(`The queue at ${shown}: ${notice}`);
    isOpen = true;
    return client;
  } catch (error) {
    client.disconnect();
    throw failure ?? error;
  } finally {
    clearTimeout(timer);
  }
}

/** Ms before the next try: twice as long each time, and not the same for all who lost the server at once. */
function pause(times: number): number {
  return Math.min(LONGEST_MS, 250 * 2 ** times) * (0.5 + Math.random() / 2);
}

/** True for what stays as it is: this client may not, or the server is no place for queues. */
function isFinal(error: Error): boolean {
  return isRefusal(error) || error instanceof UnusableError;
}

/** True for an answer which says that this client may not. */
function isRefusal({ message }: Error): boolean {
  return /^(NOAUTH|WRONGPASS|NOPERM|ERR AUTH|ERR invalid)/.test(message);
}

function reasonOf(error: Error & { code?: unknown }): string {
  if (isRefusal(error)) return "it wants another user or password; say them as redis://USER:PASSWORD@HOST";
  if (/ECONNREFUSED|ENOENT|refused/.test(`${error.code} ${error.message}`)) {
    return "no server listens there; start valkey-server or redis-server, or say another --queue";
  }
  const line = error.message.split("\n")[0]!;
  if (/certificate/.test(line)) {
    return `its certificate is not trusted (${line}); DENO_CERT=FILE trusts an authority of your own`;
  }
  if (/ECONNRESET|EPIPE/.test(line)) {
    return `it ends the connection (${line}); servers that want TLS have rediss://`;
  }
  return line;
}
