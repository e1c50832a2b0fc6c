/**
 * SwiftShader, a Vulkan driver that runs on the CPU, with a Vulkan loader: for x86-64 Linux without apt. Both
 * are in the browser that an npm package carries for servers without libraries of their own.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { run } from "./command.ts";
import { cacheDriver } from "./cached_driver.ts";

const npmPackage = "npm:@sparticuz/chromium@153.0.0";
const sha256 = {
  "libvk_swiftshader.so": "2f3ceffaaca7d031bc3943f8eacf398a5d9c42c5fe0d15d8840b9acfa630b58e",
  "libvulkan.so.1": "8ee5ac00fd7968e863b05e0f6808057db16a00ad322777e5a05bed51d4f84085",
  "vk_swiftshader_icd.json": "c9eef28b6b984fec220ef0abfecc40b502d46946706e47bfe97707027cb818bd",
};

/** Downloads SwiftShader and unpacks it into the user's cache folder. */
export function cacheSwiftShader(): Promise<void> {
  return cacheDriver(async (folder) => {
    const npm = join(folder, "npm");
    Deno.mkdirSync(npm);
    const config = { nodeModulesDir: "auto", imports: { chromium: npmPackage } };
    Deno.writeTextFileSync(join(npm, "deno.json"), JSON.stringify(config));
    // A cache of its own: the browser around the driver is 70 MB that nothing else needs.
    await run(Deno.execPath(), ["install"], { cwd: npm, env: { DENO_DIR: join(npm, "cache") } });
    const archive = Deno.readFileSync(join(npm, "node_modules/@sparticuz/chromium/bin/swiftshader.tar.br"));
    const tar = join(folder, "swiftshader.tar");
    Deno.writeFileSync(tar, brotliDecompressSync(archive));
    await run("tar", ["-xf", tar, "-C", folder, ...Object.keys(sha256)]);
    for (const [name, expected] of Object.entries(sha256)) {
      const got = createHash("sha256").update(Deno.readFileSync(join(folder, name))).digest("hex");
      if (got !== expected) {
        throw new Error(`${name} of ${npmPackage}: expected sha256 ${expected}, got ${got}`);
      }
    }
    Deno.removeSync(tar);
    Deno.removeSync(npm, { recursive: true });
  });
}
