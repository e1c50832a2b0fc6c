import assert from "node:assert/strict";
import { RequestsFile } from "../../../scripts/fleet/requests_file.ts";
import { inFolder } from "../../support/script.ts";

Deno.test("requests come in groups of 1,000, or fewer where their pictures are large", () =>
  inFolder(async (folder) => {
    const sizesOf = async (lines: readonly object[]) => {
      const path = `${folder}/requests.jsonl`;
      await Deno.writeTextFile(path, lines.map((line) => `${JSON.stringify(line)}\n`).join("\n"));
      await using file = await RequestsFile.open(path);
      const groups = await Array.fromAsync(file.groups("sd"));
      const all = await Array.fromAsync(file.lines("sd"));
      assert.deepEqual(groups.flat(), all.map(({ request }) => request)); // and it is read twice
      assert.deepEqual(all.map(({ place }) => place), lines.map((_, i) => `line ${2 * i + 1} of ${path}`));
      return groups.map(({ length }) => length);
    };
    const seeds = (count: number) => Array.from({ length: count }, (_, seed) => ({ prompt: "a cat", seed }));
    assert.deepEqual(await sizesOf(seeds(2001)), [1000, 1000, 1]);
    assert.deepEqual(await sizesOf(seeds(1000)), [1000]);
    const image = "A".repeat(6_000_000);
    assert.deepEqual(await sizesOf(seeds(5).map((one) => ({ ...one, image }))), [2, 2, 1]);
  }));
