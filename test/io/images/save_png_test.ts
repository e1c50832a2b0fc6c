import assert from "node:assert/strict";
import { loadPng, openDevice, savePng, showImage, tensor, zeros } from "../../../src/mod.ts";
import { readPng } from "../../../src/io/images/png.ts";
import { assertRefused } from "../../support/refused.ts";
import { TestFolder } from "../../support/files.ts";

await openDevice();
const names = (folder: TestFolder) => [...Deno.readDirSync(folder.path)].map(({ name }) => name).sort();

/** `count` pictures of one pixel of gray: 0, 1, 2 … of 255. */
const grays = (count: number) => tensor(Array.from({ length: count }, (_, i) => i / 255), [count, 1, 1, 1]);

Deno.test("savePng() writes a batch as files, each with the recipe, and gives their paths", async () => {
  using folder = new TestFolder();
  const paths = await savePng(`${folder.path}/a.b.png`, grays(3), { prompt: "x" });
  assert.deepEqual(paths, [1, 2, 3].map((i) => `${folder.path}/a.b-${i}.png`));
  assert.deepEqual(names(folder), ["a.b-1.png", "a.b-2.png", "a.b-3.png"]);
  for (const [i, path] of paths.entries()) {
    const { data, recipe } = await loadPng(path);
    assert.deepEqual([...data], [i, i, i, 255]);
    assert.equal(recipe?.["prompt"], "x");
  }
});

Deno.test("savePng() writes one picture under the name that is given", async () => {
  using folder = new TestFolder();
  for (const x of [zeros([3, 2, 2]), zeros([1, 3, 2, 2]), zeros([1, 1, 2, 2]), zeros([4, 2, 2])]) {
    assert.deepEqual(await savePng(`${folder.path}/a.png`, x), [`${folder.path}/a.png`]);
  }
  assert.deepEqual(names(folder), ["a.png"]);
  assert.deepEqual([...(await readPng(`${folder.path}/a.png`)).data.subarray(0, 4)], [0, 0, 0, 0]); // alpha 0
});

Deno.test("savePng() lays a batch out as a grid", async () => {
  using folder = new TestFolder();
  const path = `${folder.path}/a.png`;
  const gray = async (grid: boolean | number) => {
    assert.deepEqual(await savePng(path, grays(5), { grid }), [path]);
    const { width, data } = await readPng(path);
    return [width, data.filter((_, i) => i % 4 === 0)];
  };
  assert.deepEqual(await gray(true), [3, Uint8Array.of(0, 1, 2, 3, 4, 0)]);
  assert.deepEqual(await gray(2), [2, Uint8Array.of(0, 1, 2, 3, 4, 0)]);
  assert.deepEqual(await gray(9), [5, Uint8Array.of(0, 1, 2, 3, 4)]);
  assert.equal((await loadPng(path)).recipe?.["grid"], undefined);
  await assertRefused(
    savePng(path, grays(5), { grid: 1.5 }),
    /expected grid true or a number of columns, got 1.5$/,
  );
});

Deno.test("savePng() refuses names and folders before anything is computed", async () => {
  using folder = new TestFolder();
  const unread = zeros([1, 3, 2, 2]).div(0); // NaN, which would be refused once it is read
  const refused = (name: string, line: RegExp) =>
    assertRefused(savePng(`${folder.path}/${name}`, unread), line);
  await refused("z.jpg", /z\.jpg: expected a name that ends in \.png, got \.jpg; only PNG is written$/);
  await refused("z.WEBP", /got \.webp; only PNG is written$/);
  await refused("none/a.png", /^Cannot write .*a\.png: expected a folder .*none, got none; create it first$/);
  Deno.mkdirSync(`${folder.path}/b.png`);
  await refused("b.png", /expected a file, got a folder; name a file in it$/);
  await refused("a.png", /the picture holds NaN or infinity; .*--check finite, says which layer made it$/);
  await assertRefused(
    savePng(`${folder.path}/a.png`, zeros([1, 2, 2, 2])),
    /^Cannot save .*: expected pictures \[B, C, H, W\] or one \[C, H, W\] of 1, 3 or 4 channels, got \[1, 2, 2, 2\]$/,
  );
  assert.deepEqual(names(folder), ["b.png"]);
});

Deno.test("showImage() gives Jupyter a PNG", async () => {
  const shown = await showImage(grays(3));
  const { "image/png": png, "text/plain": text } = shown[Symbol.for("Jupyter.display")]!();
  assert.equal(text, "2 x 2 pixels");
  using folder = new TestFolder();
  const path = folder.write("a.png", Uint8Array.from(atob(png!), (letter) => letter.charCodeAt(0)));
  assert.deepEqual([...(await readPng(path)).data].filter((_, i) => i % 4 === 0), [0, 1, 2, 0]);
  assert.deepEqual(new Uint8Array(shown.png), Deno.readFileSync(path));
});
