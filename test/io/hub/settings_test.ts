import assert from "node:assert/strict";
import { join } from "node:path";
import { readJson } from "../../../src/io/config.ts";
import { expandPath, hidesDownloads, homeFolder, hubSettings } from "../../../src/io/hub/settings.ts";
import { fixture } from "../../support/fixtures.ts";
import { TestFolder } from "../../support/files.ts";

/** What huggingface_hub makes of variables; see generator/hub_settings.py. */
interface Case {
  env: Record<string, string>;
  expected: {
    endpoint: string;
    cache: string;
    offline: boolean;
    token: string;
    timeout: number;
    etagTimeout: number;
    hidesDownloads: boolean;
    symlinks: boolean;
  };
}

for (const { env, expected } of await readJson(fixture("hub/settings.json")) as Case[]) {
  Deno.test(`hubSettings() reads ${JSON.stringify(env)} as huggingface_hub does`, async () => {
    using folder = new TestFolder();
    const home = folder.path;
    folder.write("signed-in/token", "hf_file\n");
    folder.write("other-token", "hf_other");
    const all: Record<string, string> = { HOME: home, BIG: "/big", HF_X: "x", TILDE: "~" };
    for (const [name, value] of Object.entries(env)) all[name] = value.replaceAll("{home}", home);
    const read = await hubSettings((name) => all[name]);
    assert.deepEqual({ ...read, hidesDownloads: hidesDownloads((name) => all[name]) }, {
      ...expected,
      cache: expected.cache.replaceAll("{home}", home),
      token: expected.token || undefined,
      timeout: 1000 * expected.timeout,
      etagTimeout: 1000 * expected.etagTimeout,
    });
  });
}

Deno.test("hubSettings() refuses a timeout that is no number, and a token file that is a folder, in one line", async () => {
  using folder = new TestFolder();
  const read = (env: Record<string, string>) => hubSettings((name) => ({ HOME: folder.path, ...env })[name]);
  for (const text of ["soon", "", "-1"]) {
    await assert.rejects(read({ HF_HUB_ETAG_TIMEOUT: text }), {
      message:
        `Cannot use HF_HUB_ETAG_TIMEOUT: expected a number of seconds, got "${text}"; set it to e.g. 30`,
    });
  }
  await assert.rejects(
    read({ HF_TOKEN_PATH: folder.path }),
    /^Error: Cannot read the hub's token from [^\n]+$/,
  );
});

Deno.test("expandPath() knows the homes of other users, and one's own where HOME is not set", () => {
  const lines = Deno.readTextFileSync("/etc/passwd").split("\n").map((line) => line.split(":"));
  const [user, , , , , home = ""] = lines[0]!;
  const none = () => undefined;
  assert.equal(expandPath(`~${user}/hf`, none), join(home, "hf"));
  assert.equal(homeFolder(none), lines.find(([, , uid]) => uid === `${Deno.uid()}`)?.[5]);
  assert.equal(expandPath("~/hf", (name) => name === "HOME" ? "/me/" : undefined), "/me/hf");
});
