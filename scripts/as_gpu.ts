/**
 * Runs a command as if an AMD GPU were here: everything is validated, compiled for it and encoded, nothing is computed.
 * NULL_GPU_STATS=FILE and NULL_GPU_CODE=FOLDER keep what the compiler made of each pipeline; see null_gpu/null_gpu.c, and
 * `deno task mix`, which counts what is in FOLDER.
 * Run: deno task as-gpu navi31 deno run -A scripts/stable_diffusion.ts
 */
import "./plain_errors.ts";
import { readArguments } from "./command_line/arguments.ts";
import { FAMILIES, type Family, nullGpu } from "./null_gpu/layer.ts";

const [family, command, ...args] = Deno.args;
if (family?.startsWith("-")) {
  readArguments(
    "scripts/as_gpu.ts <family> <command …>",
    `Runs a command as if an AMD GPU were here: ${FAMILIES.join(", ")}.`,
    {},
  );
}
if (!FAMILIES.includes(family as Family) || command === undefined) {
  throw new TypeError(
    `Cannot run as a GPU: expected ${FAMILIES.join(", ")} and a command, got ${
      Deno.args.join(" ") || "nothing"
    }`,
  );
}
const { NULL_GPU_CODE: folder, NULL_GPU_STATS: stats } = Deno.env.toObject();
if (folder && !stats) {
  throw new TypeError("Cannot keep machine code: expected NULL_GPU_STATS beside NULL_GPU_CODE, got none");
}
if (folder) await Deno.mkdir(folder, { recursive: true });
const env = await nullGpu(family as Family);
const { code } = await new Deno.Command(command, { args, env }).spawn().status;
Deno.exit(code);
