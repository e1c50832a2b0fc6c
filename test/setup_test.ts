import assert from "node:assert/strict";
import { join } from "node:path";
import { advice } from "../scripts/setup/advice.ts";
import { backportsFile } from "../scripts/setup/apt_sources.ts";
import { cacheDriver } from "../scripts/setup/cached_driver.ts";
import { parseDistribution } from "../scripts/setup/distribution.ts";

const linux = Deno.build.os === "linux";

const stanzas = `# Docker's packages come first and have no main
Types: deb
URIs: http://docker.example/linux/debian
Suites: bookworm
Components: stable

Types: deb deb-src
# a comment within a stanza
URIs: http://debian.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBGPL0BUBEADmW5NdOOHwPIJlgPu6JDcKw/NZJPR8lsD3K87ZM18gzyQZJD+w
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main
`;

Deno.test("backportsFile() keeps URI and key of the stanza that has the suite and main", () => {
  const file = backportsFile([{ name: "debian.sources", text: stanzas }], "bookworm");
  assert.equal(file?.name, "denoise-backports.sources");
  assert.equal(
    file?.text,
    `Types: deb deb-src
URIs: http://debian.example/debian
Suites: bookworm-backports
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBGPL0BUBEADmW5NdOOHwPIJlgPu6JDcKw/NZJPR8lsD3K87ZM18gzyQZJD+w
 -----END PGP PUBLIC KEY BLOCK-----
`,
  );
});

Deno.test("backportsFile() keeps the options of a one-line source and skips comments", () => {
  const text = `# deb http://old.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] http://debian.example/debian bookworm main contrib # ours
deb http://security.example/debian-security bookworm-security main
`;
  const file = backportsFile([{ name: "sources.list", text }], "bookworm");
  assert.equal(file?.name, "denoise-backports.list");
  assert.equal(
    file?.text,
    "deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] http://debian.example/debian bookworm-backports main contrib\n",
  );
});

Deno.test("backportsFile() adds nothing where a source already has the backports", () => {
  const backports = "deb http://debian.example/debian bookworm-backports main\n";
  const files = [{ name: "debian.sources", text: stanzas }, { name: "backports.list", text: backports }];
  assert.equal(backportsFile(files, "bookworm"), undefined);
});

Deno.test("backportsFile() ignores a stanza that is switched off", () => {
  const text =
    "Enabled: no\nTypes: deb\nURIs: http://debian.example/debian\nSuites: bookworm\nComponents: main\n";
  assert.throws(() => backportsFile([{ name: "debian.sources", text }], "bookworm"), {
    message: "Cannot add bookworm-backports: expected an apt source of bookworm main, got none in /etc/apt",
  });
});

Deno.test("parseDistribution() reads quoted and bare values", () => {
  const text = 'PRETTY_NAME="Linux Mint 22"\nID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=wilma\n';
  assert.deepEqual(parseDistribution(text), { ids: ["linuxmint", "ubuntu", "debian"], codename: "wilma" });
  assert.deepEqual(parseDistribution("ID=arch\n"), { ids: ["arch"], codename: "" });
});

Deno.test("advice() gives each system its own command", () => {
  const nowhere = { ids: [], codename: "" };
  assert.match(advice("darwin", nowhere), /xattr/);
  assert.match(advice("windows", nowhere), /windowsupdate/);
  assert.match(
    advice("linux", { ids: ["rocky", "rhel", "centos", "fedora"], codename: "" }),
    /sudo dnf install/,
  );
  assert.match(advice("linux", { ids: ["arch"], codename: "" }), /sudo pacman -S/);
  assert.match(
    advice("linux", { ids: ["opensuse-tumbleweed", "suse"], codename: "" }),
    /sudo zypper install/,
  );
  assert.match(
    advice("linux", { ids: ["ubuntu", "debian"], codename: "noble" }),
    /sudo apt-get install mesa/,
  );
  assert.match(advice("linux", { ids: ["debian"], codename: "bookworm" }), /-t bookworm-backports/);
  assert.match(advice("linux", { ids: ["void"], codename: "" }), /package manager/);
});

Deno.test("cacheDriver() describes what was unpacked and leaves nothing else", async () => {
  await withCache(async (cache) => {
    await cacheDriver((folder) => Deno.writeTextFile(join(folder, "some_icd.x86_64.json"), "{}"));
    assert.deepEqual([...Deno.readDirSync(join(cache, "denoise"))].map(({ name }) => name), ["vulkan"]);
    const driver = JSON.parse(Deno.readTextFileSync(join(cache, "denoise/vulkan/driver.json")));
    assert.deepEqual(driver, { libraries: [], manifests: ["some_icd.x86_64.json"] });
  });
});

Deno.test("cacheDriver() keeps the old driver when the new one cannot be unpacked", async () => {
  await withCache(async (cache) => {
    await cacheDriver((folder) => Deno.writeTextFile(join(folder, "old_icd.json"), "{}"));
    await assert.rejects(cacheDriver(() => Promise.reject(new Error("no network"))), {
      message: "no network",
    });
    await assert.rejects(
      cacheDriver(() => Promise.resolve()),
      /nothing that was unpacked is a Vulkan driver/,
    );
    assert.deepEqual([...Deno.readDirSync(join(cache, "denoise"))].map(({ name }) => name), ["vulkan"]);
    assert.ok(Deno.statSync(join(cache, "denoise/vulkan/old_icd.json")).isFile);
  });
});

Deno.test("useCachedDriver() adds the cached driver to what the user added", { ignore: !linux }, async () => {
  await withCache(async (cache) => {
    await cacheDriver((folder) => Deno.writeTextFile(join(folder, "some_icd.json"), "{}"));
    const manifest = join(cache, "denoise/vulkan/some_icd.json");
    assert.equal(await driversOf({ VK_ADD_DRIVER_FILES: "/own.json" }), `${manifest}:/own.json`);
    assert.equal(await driversOf({ VK_ADD_DRIVER_FILES: manifest }), manifest); // as a child process inherits it
    assert.equal(await driversOf({ VK_DRIVER_FILES: "/chosen.json", VK_ADD_DRIVER_FILES: "" }), "");
    assert.equal(await driversOf({ VK_ICD_FILENAMES: "/chosen.json", VK_ADD_DRIVER_FILES: "" }), "");
  });
});

Deno.test("useCachedDriver() says what to do about a damaged driver", { ignore: !linux }, async () => {
  await withCache(async (cache) => {
    await cacheDriver((folder) => Deno.writeTextFile(join(folder, "some_icd.json"), "{}"));
    Deno.writeTextFileSync(join(cache, "denoise/vulkan/driver.json"), "{");
    assert.match(await driversOf({}), /Cannot use the driver in .*denoise.vulkan: .*; run `deno task setup`/);
  });
});

Deno.test("set-up is silent where an adapter opens", async () => {
  const script = join(import.meta.dirname!, "../scripts/setup.ts");
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", script],
  })
    .output();
  assert.deepEqual([code, stdout.length, stderr.length], [0, 0, 0]);
});

/** Runs a test with an empty cache folder of its own. */
async function withCache(test: (cache: string) => Promise<void>) {
  const before = Deno.env.get("XDG_CACHE_HOME");
  const cache = Deno.makeTempDirSync();
  Deno.env.set("XDG_CACHE_HOME", cache);
  try {
    await test(cache);
  } finally {
    if (before === undefined) Deno.env.delete("XDG_CACHE_HOME");
    else Deno.env.set("XDG_CACHE_HOME", before);
    Deno.removeSync(cache, { recursive: true });
  }
}

/** VK_ADD_DRIVER_FILES, or the error, after useCachedDriver() in a process with these variables. */
async function driversOf(variables: Record<string, string>): Promise<string> {
  const module = import.meta.resolve("../src/gpu/open/driver.ts");
  const code = `import { useCachedDriver } from ${JSON.stringify(module)};
    useCachedDriver();
    console.log(Deno.env.get("VK_ADD_DRIVER_FILES"));`;
  const env = { VK_DRIVER_FILES: "", VK_ICD_FILENAMES: "", NO_COLOR: "1", ...variables };
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), { args: ["eval", "-q", code], env })
    .output();
  return new TextDecoder().decode(stdout.length > 0 ? stdout : stderr).trim();
}
