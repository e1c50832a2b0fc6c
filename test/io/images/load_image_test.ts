import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { loadImage, openDevice, resizeImage, tensor } from "../../../src/mod.ts";
import { encodePng } from "../../../src/io/images/png.ts";
import { assertRefused } from "../../support/refused.ts";
import { fixture } from "../../support/fixtures.ts";
import { readRaw } from "../../support/raw_tensors.ts";
import { TestFolder } from "../../support/files.ts";

const expected = await readRaw(fixture("pictures/expected.safetensors"));
const path = fixture("pictures/files/plain.jpg");
const device = await openDevice();

/** Pixels [H, W, C] of a fixture as values [C, H, W]. */
function valuesOf(name: string): number[] {
  const { shape: [H, W, C], bytes } = expected.get(name)!;
  const pixels = H! * W!;
  return Array.from(
    { length: bytes.length },
    (_, i) => Math.fround(bytes[i % pixels * C! + Math.floor(i / pixels)]! / 255),
  );
}

Deno.test("loadImage() gives [1, 3, H, W] in [0, 1] from a path, an address and bytes", async () => {
  const bytes = Deno.readFileSync(path);
  for (const source of [path, pathToFileURL(path), pathToFileURL(path).href, bytes, bytes.buffer]) {
    const image = await loadImage(source);
    assert.deepEqual(image.shape, [1, 3, 17, 23]);
    assert.deepEqual([...await image.data()], valuesOf("load/plain.jpg"));
  }
});

Deno.test("loadImage() reads a picture by its bytes, whatever its name says", async () => {
  using folder = new TestFolder();
  const named = folder.write("a.png", Deno.readFileSync(path));
  assert.deepEqual([...await (await loadImage(named)).data()], valuesOf("load/plain.jpg"));
});

Deno.test("loadImage() resizes, and gives luma or alpha", async () => {
  const source = fixture("pictures/files/alpha.png");
  const crop = await loadImage(source, { size: [20, 40], fit: "crop" });
  assert.deepEqual(crop.shape, [1, 3, 20, 40]);
  assert.deepEqual([...await crop.data()], valuesOf("resize/crop_40x20"));
  const cubic = await loadImage(source, { size: [31, 9], resample: "bicubic", mode: "RGBA" });
  assert.deepEqual([...await cubic.data()], valuesOf("resize/bicubic_9x31_RGBA"));
  assert.deepEqual([...await (await loadImage(source, { mode: "L" })).data()], valuesOf("luma"));
  assert.deepEqual((await loadImage(source, { size: 8 })).shape, [1, 3, 8, 8]);
});

Deno.test("resizeImage() resizes each picture of a batch as Pillow does", async () => {
  const rgb = await loadImage(fixture("pictures/files/plain.png"));
  const both = await resizeImage(rgb.expand([2, 3, 17, 23]), [40, 31]);
  assert.deepEqual(both.shape, [2, 3, 40, 31]);
  const values = valuesOf("resize/lanczos_31x40_RGB");
  assert.deepEqual([...await both.data()], [...values, ...values]);
  await assertRefused(
    resizeImage(tensor([1, 2]), 4),
    /^Cannot resize: expected pictures \[B, C, H, W\].*, got \[2\]$/,
  );
});

Deno.test("loadImage() fetches addresses, and says in one line why it cannot", async () => {
  const bytes = Deno.readFileSync(path);
  await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/moved") return new Response(null, { status: 302, headers: { location: "/picture" } });
    if (pathname === "/page") return new Response("<!DOCTYPE html>");
    return pathname === "/picture" ? new Response(bytes) : new Response("none", { status: 404 });
  });
  const home = `http://127.0.0.1:${server.addr.port}`;
  for (const source of [`${home}/picture`, new URL(`${home}/moved`)]) {
    assert.deepEqual([...await (await loadImage(source)).data()], valuesOf("load/plain.jpg"));
  }
  await assertRefused(loadImage(`${home}/none`), /^Cannot load http:.*none: status 404; check the address/);
  await assertRefused(
    loadImage(`${home}/page`),
    /^Cannot load http:.*page: .* got a page of HTML; name a picture$/,
  );
  await assertRefused(
    loadImage("http://127.0.0.1:9/x.png"),
    /^Cannot load http:\/\/127.0.0.1:9\/x.png: no connection/,
  );
});

Deno.test("loadImage() refuses more pixels than a tensor of the adapter holds, but not with a size", async () => {
  const width = 16384;
  const height = Math.ceil((device.limits.maxStorageBufferBindingSize + 1) / (4 * 3 * width));
  if (height > 16384) return; // no picture is so large
  const png = encodePng({ width, height, channels: 1, data: new Uint8Array(width * height).fill(255) });
  await assertRefused(
    loadImage(png),
    /^Cannot load the picture: expected at most \d+ pixels in one tensor on .*, got 16384 x \d+; say a smaller size$/,
  );
  assert.deepEqual([...await (await loadImage(png, { size: 1, mode: "L" })).data()], [1]);
});

Deno.test("loadImage() refuses what is not there, and words that it does not know", async () => {
  await assertRefused(loadImage("no/such.png"), /^Cannot load no\/such.png: no such file; check the path$/);
  await assertRefused(loadImage(fixture("pictures")), /expected a file, got a folder/);
  await assertRefused(loadImage(path, { size: 0 }), /^Cannot resize: expected height and width from 1/);
  await assertRefused(
    loadImage(path, { mode: "P" as "L" }),
    /^Cannot take mode "P": expected one of "L", "RGB", "RGBA"$/,
  );
  await assertRefused( // before the file is read
    loadImage("no/such.png", { fit: "cover" as "crop" }),
    /^Cannot take fit "cover": expected one of "default", "crop", "fill"$/,
  );
  await assertRefused(
    loadImage("no/such.png", { sizes: 5 } as never),
    /^Cannot load a picture with sizes: no such option; did you mean size\?$/,
  );
});
