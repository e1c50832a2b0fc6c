import type { Redis } from "ioredis";

const LEAST = [6, 2]; // whose scripts and commands BullMQ and we use
const APART = 10; // seconds between two clocks that do no harm
const FULL = 0.9; // of the server's memory, which requests may fill: workers need some to take one

/** A server on which no queue can be. */
export class UnusableError extends Error {}

/** Refuses a server on which no queue can be. Returns what its operator had better know, a line each. */
export async function expectUsable(client: Redis): Promise<readonly string[]> {
  const info = await infoOf(client);
  const version = info.get("redis_version");
  if (version !== undefined && isOlder(version)) {
    throw new UnusableError(`expected Valkey or Redis ${LEAST.join(".")} or newer, got ${version}`);
  }
  if (["redis_mode", "server_mode"].some((name) => info.get(name) === "sentinel")) {
    throw new UnusableError(
      "it is a Sentinel, which holds no queue; say the address of the primary which it watches",
    );
  }
  if (info.get("role") === "slave") {
    throw new UnusableError("it is a replica, which can only be read; say the address of its primary");
  }
  if (info.get("cluster_enabled") === "1") {
    throw new UnusableError(
      "it is of a cluster, over which a queue cannot be spread; say the address of a server alone",
    );
  }
  const notices: string[] = [];
  const policy = info.get("maxmemory_policy") ?? "noeviction";
  if (policy !== "noeviction" && Number(info.get("maxmemory")) > 0) {
    notices.push(
      `it throws requests away when its memory is full (${policy}); set its maxmemory-policy to noeviction`,
    );
  }
  const ahead = Math.round(Date.now() / 1000 - Number((await client.time())[0]));
  if (Math.abs(ahead) > APART) {
    const where = ahead > 0 ? "behind" : "ahead of";
    notices.push(
      `its clock is ${
        Math.abs(ahead)
      } s ${where} this machine's; what is tried again comes too early or late, and rates are wrong`,
    );
  }
  return notices;
}

/** Refuses to put more bytes on a server than nearly fill its memory: workers could take nothing from one that is full. */
export async function expectRoom(client: Redis, bytes: number): Promise<void> {
  const info = await infoOf(client, "memory");
  const [used, most] = ["used_memory", "maxmemory"].map((name) => Number(info.get(name) ?? 0)) as [
    number,
    number,
  ];
  if (most === 0 || used + bytes < FULL * most) return;
  throw new Error(
    `Cannot send all requests: the queue's server uses ${megabytes(used)} of the ${
      megabytes(most)
    } that its maxmemory ` +
      "allows, and workers need the rest; send the file again when some are drawn, or raise it: none is added twice",
  );
}

/** What a server tells of itself; nothing where it may not, as some that are rented. */
async function infoOf(client: Redis, ...sections: string[]): Promise<ReadonlyMap<string, string>> {
  const text = await client.info(...sections).catch((error: Error) => {
    if (/^(NOPERM|ERR unknown command)/.test(error.message)) return "";
    throw error;
  });
  return new Map([...text.matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, name, value]) => [name!, value!]));
}

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major < LEAST[0]! || major === LEAST[0]! && minor < LEAST[1]!;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}
