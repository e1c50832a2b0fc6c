import * as option from "../command_line/options.ts";
import type { Values } from "../command_line/options.ts";
import { options as serving } from "../serve/options.ts";
import { queueAddress } from "./address.ts";
import { LAST_PRIORITY } from "./queues.ts";

const PRIORITY = 100; // so that both sides of it are free

const queue = {
  help:
    "the Valkey or Redis server, rediss:// for TLS, unix:///PATH for a socket; DENOISE_QUEUE in the environment, too",
  takes: "redis://HOST",
  value: Deno.env.get("DENOISE_QUEUE") || undefined,
  shown: "none",
  secret: true, // it may hold a password
  read: (text: string): string | undefined => {
    queueAddress(text);
    return text;
  },
};

const out = {
  ...option.text("where pictures are put, under their requests' names", "out/fleet"),
  takes: "FOLDER|s3://BUCKET/PREFIX",
};

/** Options of a device and of the models on it, as a server's. */
const drawing = {
  model: {
    ...serving.model,
    help:
      "a model to draw with, a folder, a repository or one file, and the name under which requests ask for it",
  },
  lora: { ...serving.lora, help: "a LoRA to draw with, which requests name with a scale, as style:0.8" },
  embedding: serving.embedding,
  vae: serving.vae,
  controlnet: serving.controlnet,
  "t2i-adapter": serving["t2i-adapter"],
  "ip-adapter": serving["ip-adapter"],
  out,
  memory: serving.memory,
  dtype: serving.dtype,
  quantize: serving.quantize,
  engine: serving.engine,
  adapter: serving.adapter,
  "max-pixels": serving["max-pixels"],
  "max-steps": serving["max-steps"],
  "max-count": serving["max-count"],
  "max-seconds": serving["max-seconds"],
};

/** Options of scripts/worker.ts. */
export const workerOptions = {
  queue,
  ...drawing,
  lease: option.count(
    "seconds without a sign of life after which another worker gets a request, the same for all workers",
    30,
    3,
  ),
  turn: option.count("seconds with one model while nobody serves the queue of another", 300),
};

/** Options of scripts/submit.ts. */
export const submitOptions = {
  requests: option.file("a request in JSON on each line, with the names that --help of generate.ts has"),
  queue: { ...queue, help: `${queue.help}; without one this process draws` },
  wait: option.flag("waits until all are done, or have failed; this process always does"),
  priority: option.count("in the queue of their model: 1 comes first", PRIORITY, 1, LAST_PRIORITY),
  ...drawing,
  model: {
    ...drawing.model,
    help: "the first is drawn with where a request names none; all are opened where this process draws",
  },
};

/** Refuses options of scripts/submit.ts that would do nothing. */
export function expectUsed(given: Partial<Values<typeof submitOptions>>, queue: string | undefined): void {
  if (queue === undefined) {
    if (given.priority === undefined) return;
    throw new TypeError("Cannot take --priority without --queue: requests are drawn here in their order");
  }
  const sent = ["requests", "queue", "wait", "priority", "model"];
  const other = Object.keys(given).find((name) => !sent.includes(name));
  if (other !== undefined) {
    throw new TypeError(
      `Cannot take --${other} with a queue: its workers draw, with options of their own; leave it out`,
    );
  }
  if ((given.model?.length ?? 0) > 1) {
    throw new TypeError(
      "Cannot take several --model with a queue: expected one, for requests that name none",
    );
  }
}

/** Options of scripts/fleet.ts. */
export const fleetOptions = {
  queue,
  once: option.flag("prints the state once; by default it follows until nothing waits"),
  json: option.flag("prints the state once, as JSON"),
  failed: option.flag("prints the requests that failed for good, as JSON, a line each"),
  retry: option.flag("lets these be drawn once more"),
  forget: option.flag("throws these away"),
  model: { ...option.text("only the queue of this model"), takes: "NAME" },
};
