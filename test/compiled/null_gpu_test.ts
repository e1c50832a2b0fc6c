import assert from "node:assert/strict";
import { join } from "node:path";
import { FAMILIES, nullGpu } from "../../scripts/null_gpu/layer.ts";
import { missingNullGpu } from "../support/null_gpu.ts";

const PROGRAM = `
  import { openDevice, tensor } from "denoise";
  using device = await openDevice();
  const x = tensor([1, 2, 3], [3]);
  await x.add(1).data();
  console.log(JSON.stringify({ name: device.adapterName, ...device.traits }));
`;

for (const family of FAMILIES) {
  Deno.test({
    name: `a null ${family} opens, and tells what its compiler made of each pipeline`,
    ignore: missingNullGpu !== undefined,
    async fn() {
      const folder = await Deno.makeTempDir();
      try {
        const [stats, code] = [join(folder, "stats"), folder];
        const env = { ...await nullGpu(family), NULL_GPU_STATS: stats, NULL_GPU_CODE: code };
        const command = new Deno.Command(Deno.execPath(), {
          args: ["eval", "--ext=ts", PROGRAM],
          cwd: join(import.meta.dirname!, "../.."),
          env,
        });
        const { success, stdout, stderr } = await command.output();
        const text = new TextDecoder();
        assert.ok(success, text.decode(stderr));
        const traits = JSON.parse(text.decode(stdout));
        assert.match(traits.name, new RegExp(family));
        assert.equal(traits.software, false);
        assert.equal(traits.f16, true);
        const lines = (await Deno.readTextFile(stats)).trim().split("\n").map((line) => JSON.parse(line));
        assert.ok(lines.length > 0);
        for (const [i, line] of lines.entries()) {
          assert.ok(line["VGPRs"] > 0 && line["Subgroups per SIMD"] > 0);
          assert.equal(line["Spilled VGPRs"], 0);
          const texts = await Deno.readTextFile(join(folder, `${String(i).padStart(3, "0")}.txt`));
          assert.match(texts, /^==== Assembly[^]*\bs_endpgm\b/m);
        }
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}
