// deno-lint-ignore-file no-control-regex -- escapes are what is tested
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Image } from "../../../src/io/images/image.ts";
import { encodePng, readPng } from "../../../src/io/images/png.ts";
import { cellsFor, iterm2, kitty, picturePainter } from "../../../src/io/terminal/pictures.ts";
import { palette, sixel } from "../../../src/io/terminal/sixel.ts";
import { pictureProtocol } from "../../../src/io/terminal/protocol.ts";
import { Dice } from "../../support/dice.ts";
import { runChild } from "../../support/child.ts";

const cells = { columns: 20, rows: 10 };
const wide = { columns: 80, rows: 24 };

Deno.test("kitty() sends a short PNG in one escape", () => {
  const text = kitty(Uint8Array.of(1, 2, 3), cells);
  assert.equal(text, "\x1b_Ga=T,f=100,i=1147498083,c=20,r=10,C=1,q=2,m=0;AQID\x1b\\");
});

Deno.test("kitty() cuts base64 into chunks of 4096 letters, the last marked as such", () => {
  const bytes = Uint8Array.from({ length: 2 * 3072 + 1 }, (_, i) => i % 251);
  const parts = [...kitty(bytes, cells).matchAll(/\x1b_G([^;]*);([^\x1b]*)\x1b\\/g)];
  assert.deepEqual(parts.map(([, control]) => control), [
    "a=T,f=100,i=1147498083,c=20,r=10,C=1,q=2,m=1",
    "m=1",
    "m=0",
  ]);
  assert.deepEqual(parts.map(([, , letters]) => letters!.length), [4096, 4096, 4]);
  assert.deepEqual(
    new Uint8Array(Buffer.from(parts.map(([, , letters]) => letters).join(""), "base64")),
    bytes,
  );
  assert.equal(parts.map(([whole]) => whole).join("").length, kitty(bytes, cells).length); // nothing between them
});

Deno.test("iterm2() sends a PNG in one OSC 1337 with its size in bytes", () => {
  assert.equal(
    iterm2(Uint8Array.of(1, 2, 3), cells),
    "\x1b]1337;File=inline=1;size=3;width=20;height=10;preserveAspectRatio=0:AQID\x07",
  );
});

Deno.test("sixel() writes bands of six rows, colour by colour, with runs counted", () => {
  const red = [255, 0, 0];
  const blue = [0, 0, 255];
  const left = [red, red, red, red, red, blue];
  const image = {
    width: 6,
    height: 7,
    channels: 3,
    data: Uint8Array.from([left, left, left, left, left, left, left].flat(2)),
  };
  assert.equal(
    sixel(image as Image),
    '\x1bP0;1;0q"1;1;6;7#0;2;0;0;100#1;2;100;0;0#0!5?~$#1!5~-#0!5?@$#1!5@-\x1b\\',
  );
});

Deno.test("sixel() paints each pixel once in its colour", () => {
  const image = noise(13, 20, 40);
  const { colors, indices } = palette(image.data);
  const painted = readSixel(sixel(image));
  assert.deepEqual([painted.width, painted.height], [13, 20]);
  painted.pixels.forEach((color, i) => assert.equal(color, indices[i], `pixel ${i}`));
  assert.deepEqual(
    painted.colors,
    colors.map((color) => color.map((value) => Math.round(value * 100 / 255))),
  );
});

Deno.test("palette() keeps up to 256 colours that differ in their high bits as they are", () => {
  const colors = Array.from({ length: 200 }, (_, i) => [8 * (i % 32), 8 * Math.floor(i / 32), 7]);
  const { colors: kept, indices } = palette(Uint8Array.from(colors.flat()));
  assert.equal(kept.length, 200);
  colors.forEach((color, i) => assert.deepEqual(kept[indices[i]!], color));
});

Deno.test("palette() takes 256 colours for thousands, each near to what it stands for", () => {
  const { data } = noise(64, 64, 256);
  const { colors, indices } = palette(data);
  assert.equal(colors.length, 256);
  let worst = 0;
  indices.forEach((index, i) =>
    colors[index]!.forEach((value, c) => worst = Math.max(worst, Math.abs(value - data[3 * i + c]!)))
  );
  assert.ok(worst <= 48, `off by ${worst}`);
});

Deno.test("a picture gets cells of its shape that fit into the terminal", () => {
  assert.deepEqual(cellsFor({ width: 64, height: 64 }, wide), { columns: 32, rows: 16 });
  assert.deepEqual(cellsFor({ width: 128, height: 64 }, wide), { columns: 64, rows: 16 });
  assert.deepEqual(cellsFor({ width: 512, height: 64 }, wide), { columns: 80, rows: 5 });
  assert.deepEqual(cellsFor({ width: 64, height: 64 }, { columns: 80, rows: 6 }), { columns: 8, rows: 4 });
  assert.deepEqual(cellsFor({ width: 1, height: 900 }, { columns: 0, rows: 0 }), { columns: 1, rows: 1 });
});

Deno.test("pictures stand above the bar's line, one in the place of the other", () => {
  const paint = picturePainter("kitty", wide);
  const image = noise(8, 8, 4);
  const escape = kitty(encodePng(image), { columns: 32, rows: 16 });
  assert.equal(paint(image), `\r\x1b[2K${"\n".repeat(16)}\x1b7\r\x1b[16A${escape}\x1b8`);
  assert.equal(paint(image), `\x1b7\r\x1b[16A${escape}\x1b8`);
});

Deno.test("what kitty and iTerm2 get is a PNG of the picture, and sixels are as many as the rows have room for", async () => {
  const image = noise(8, 4, 200);
  const [, base64] = picturePainter("iterm2", wide)(image).match(/:([^\x07]*)\x07/)!;
  const path = await Deno.makeTempFile({ suffix: ".png" });
  try {
    await Deno.writeFile(path, Buffer.from(base64!, "base64"));
    const { width, height, data } = await readPng(path);
    assert.deepEqual([width, height], [8, 4]);
    assert.deepEqual(data.filter((_, i) => i % 4 < 3), image.data);
  } finally {
    await Deno.remove(path);
  }
  assert.match(picturePainter("sixel", wide)(image), /\x1bP0;1;0q"1;1;384;192#/);
});

const terminals: [env: Record<string, string>, protocol: string | undefined][] = [
  [{}, undefined],
  [{ TERM: "xterm-256color" }, undefined],
  [{ TERM: "xterm-kitty" }, "kitty"],
  [{ TERM: "xterm-256color", KITTY_WINDOW_ID: "1" }, "kitty"],
  [{ TERM: "xterm-ghostty", TERM_PROGRAM: "ghostty" }, "kitty"],
  [{ TERM: "xterm-256color", KONSOLE_VERSION: "230801" }, "kitty"],
  [{ TERM: "xterm-256color", KONSOLE_VERSION: "210400" }, undefined],
  [{ TERM: "xterm-256color", TERM_PROGRAM: "iTerm.app" }, "iterm2"],
  [{ TERM: "xterm-256color", LC_TERMINAL: "iTerm2" }, "iterm2"],
  [{ TERM: "xterm-256color", TERM_PROGRAM: "WezTerm" }, "iterm2"],
  [{ TERM: "xterm-256color", TERM_PROGRAM: "Apple_Terminal" }, undefined],
  [{ TERM: "xterm-256color", TERM_PROGRAM: "vscode" }, undefined],
  [{ TERM: "foot-extra" }, "sixel"],
  [{ TERM: "xterm-sixel" }, "sixel"],
  [{ TERM: "mlterm-256color" }, "sixel"],
  [{ TERM: "dumb", KITTY_WINDOW_ID: "1" }, undefined],
  [{ TERM: "xterm-kitty", TMUX: "/tmp/tmux-0/default,1,0" }, undefined],
  [{ TERM: "screen-256color", KITTY_WINDOW_ID: "1" }, undefined],
];
for (const [env, protocol] of terminals) {
  const says = Object.entries(env).map((entry) => entry.join("=")).join(" ") || "nothing";
  Deno.test(`a terminal that says ${says} takes ${protocol ?? "no"} pictures`, () => {
    assert.equal(pictureProtocol((name) => env[name]), protocol);
  });
}

Deno.test("where standard output is no terminal no pictures are shown, even if they are asked for", async () => {
  const code = `import { terminalPictures } from "./src/io/terminal/pictures.ts";
    console.log(terminalPictures(), terminalPictures("sixel"));`;
  const { stdout } = await runChild(code, { env: { TERM: "xterm-kitty" } });
  assert.equal(stdout, "undefined undefined\n");
});

/** A picture with values below `most`. */
function noise(width: number, height: number, most: number): Image {
  const dice = new Dice(7);
  const data = Uint8Array.from({ length: 3 * width * height }, () => dice.int(0, most - 1));
  return { width, height, channels: 3, data };
}

/** What a terminal makes of sixels: each pixel's register, and the registers in percent. */
function readSixel(text: string): { width: number; height: number; pixels: number[]; colors: number[][] } {
  const [, size, body] = text.match(/^\x1bP0;1;0q"1;1;(\d+;\d+)(.*)\x1b\\$/)!;
  const [width, height] = size!.split(";").map(Number) as [number, number];
  const pixels = new Array(width * height).fill(-1);
  const colors: number[][] = [];
  let [x, top, color] = [0, 0, -1];
  for (
    const [token, defined, rgb, chosen, run, letter] of body!.matchAll(
      /#(\d+);2;([\d;]+)|#(\d+)|(?:!(\d+))?([?-~])|[$-]/g,
    )
  ) {
    if (defined) colors[Number(defined)] = rgb!.split(";").map(Number);
    else if (chosen) color = Number(chosen);
    else if (token === "$") x = 0;
    else if (token === "-") [x, top] = [0, top + 6];
    else {
      for (let n = Number(run ?? 1); n > 0; n--, x++) {
        for (let bit = 0; bit < 6; bit++) {
          if (!((letter!.charCodeAt(0) - 63) >> bit & 1)) continue;
          assert.equal(pixels[(top + bit) * width + x], -1, "a pixel is painted twice");
          pixels[(top + bit) * width + x] = color;
        }
      }
    }
  }
  return { width, height, pixels, colors };
}
