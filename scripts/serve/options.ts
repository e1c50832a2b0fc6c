import { basename, resolve } from "node:path";
import { existsSync } from "node:fs";
import * as option from "../command_line/options.ts";
import { Address } from "./http/address.ts";
import type { Offer } from "./models/offered.ts";
import { isName } from "./request/request.ts";
import { BODY, LIMITS } from "./request/limits.ts";

/** The command in the first line of `--help`. */
export const usage = "scripts/serve.ts";

/** The purpose in the second. */
export const about =
  "Draws what clients of OpenAI's images API (/v1/images/…) or of A1111's (/sdapi/v1/…) ask for.";

const PLACE = "a folder, a file or a repository";

/** Options of the command line. */
export const options = {
  model: option.list<Offer>({
    help: "a model to offer, a folder, a repository or one file; the first is drawn with where none is named",
    takes: "[NAME=]PATH_OR_REPO",
    value: undefined,
    shown: "emoji-diffusion, the embedded one",
    read: (text) => readOffer(text, PLACE),
  }),
  lora: offered(
    "a LoRA to offer, which requests name with a scale, as style:0.8",
    "a file or a repository",
    ":,",
  ),
  embedding: offered(
    "a textual inversion to offer, whose token may stand in the prompts of requests that name it",
    "a file or a repository",
    "=",
  ),
  vae: offered("an autoencoder to offer in place of models' own, e.g. madebyollin/taesd"),
  controlnet: offered(
    "a ControlNet to offer, which requests name with a picture, and a scale, as canny:0.8",
    PLACE,
    ":",
  ),
  "t2i-adapter": offered("a T2I-Adapter to offer, likewise", PLACE, ":"),
  "ip-adapter": offered("an IP-Adapter to offer, likewise", "a file or a repository", ":"),
  host: option.text("the address to listen at; others than this machine's own need --key", "127.0.0.1"),
  address: {
    ...option.text("where clients find it, if not as they call it: behind a proxy, or below a path"),
    takes: "https://HOST/PATH",
    read: (text: string) => {
      new Address(text);
      return text;
    },
  },
  port: option.count("to listen at; 0 takes any that is free", 7860, 0, 65535),
  key: {
    ...option.text(
      "what clients must send as a bearer token, as OpenAI's do; DENOISE_KEY in the environment, too",
    ),
    takes: "KEY",
    secret: true,
    read: (text: string) => {
      if (text === "") throw new TypeError("expected a key");
      return text;
    },
  },
  memory: option.memory("of the GPU, for all models together; default: nine tenths"),
  dtype: option.choice("of weights; default: f16 on a GPU that computes in it", ["f32", "f16"]),
  quantize: option.choice("stores matrices in fewer bits", ["int8", "int4"]),
  engine: option.choice("of WebGPU; default: Dawn, else Deno's", ["dawn", "deno"]),
  adapter: option.text("part of the name of the GPU, where there are several"),
  "max-pixels": option.count("of a picture", LIMITS.pixels),
  "max-steps": option.count("of a request", LIMITS.steps),
  "max-count": option.count("pictures of a request", LIMITS.count),
  "max-seconds": option.count("from a request's turn to its last picture", LIMITS.seconds),
  "max-waiting": option.count("requests in the queue", LIMITS.waiting, 0),
  "log-prompts": option.flag("the log has the prompts, too"),
  "max-body": { ...option.memory("of a request's body"), value: BODY, shown: "64MiB" },
};

/** An option that offers what stands beside models, under names without some characters, which come behind names in requests. */
function offered(help: string, place = PLACE, without = ""): option.Option<readonly Offer[] | undefined> {
  return option.list<Offer>({
    help,
    takes: "[NAME=]PATH_OR_REPO",
    value: undefined,
    read: (text) => {
      const offer = readOffer(text, place);
      if (![...without].some((letter) => offer.name.includes(letter))) return offer;
      throw new TypeError(`expected NAME=PATH_OR_REPO with a name without ${[...without].join(" and ")}`);
    },
  });
}

/** Reads `NAME=PATH_OR_REPO`; without a name a repository has its own, a file or folder of this machine the last of its path. */
function readOffer(text: string, expected: string): Offer {
  const at = existsSync(text) ? -1 : text.indexOf("="); // which a path may have, too
  const path = text.slice(at + 1);
  const name = at < 0 ? ownName(path) : text.slice(0, at);
  if (!path || !name) throw new TypeError(`expected ${expected}, perhaps with a name: NAME=PATH_OR_REPO`);
  if (!isName(name)) throw new TypeError("expected NAME=PATH_OR_REPO with a name without control characters");
  return { name, path };
}

function ownName(path: string): string {
  return existsSync(path) ? basename(resolve(path)).replace(/\.(safetensors|ckpt|gguf|bin|pt)$/i, "") : path;
}
