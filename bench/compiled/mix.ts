/**
 * Counts a turn of the hottest loop in each text of machine code that NULL_GPU_CODE kept, by kind of instruction.
 * Run: NULL_GPU_CODE=code NULL_GPU_STATS=stats deno task as-gpu navi31 COMMAND …; deno task mix code/*.txt
 */
import "../../scripts/plain_errors.ts";
import { basename } from "node:path";
import { hotLoop } from "../../scripts/null_gpu/hot_loop.ts";

if (Deno.args.length === 0) {
  throw new TypeError(
    "Cannot count instructions: expected files of machine code, as NULL_GPU_CODE has them, got none",
  );
}
for (const path of Deno.args) {
  const loop = hotLoop(await Deno.readTextFile(path));
  const counts = Object.entries(loop?.counts ?? {}).filter(([, count]) => count > 0)
    .map(([kind, count]) => `${count} ${kind}`).join(", ");
  const share = loop && `, multiply-adds are ${(100 * loop.arithmetic).toFixed(0)} % of issue cycles`;
  console.log(`${basename(path)}: ${loop ? counts + share : "no loop that multiplies"}`);
}
