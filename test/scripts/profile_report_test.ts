import assert from "node:assert/strict";
import { join } from "node:path";
import { compareProfiles } from "../../scripts/profile/compare.ts";
import { type Profile, readProfile } from "../../scripts/profile/form.ts";
import { bundle, htmlOf } from "../../scripts/profile/html.ts";
import type { Report } from "../../scripts/profile/page/report.ts";
import { describeProfile } from "../../scripts/profile/text.ts";
import { BrowserPage, findChromium } from "../support/browser.ts";
import { TestFolder } from "../support/files.ts";
import { madeProfile } from "../support/profiles.ts";
import { inFolder, runScript } from "../support/script.ts";

const HOSTILE = `</script><img src=x onerror="document.title='run'">`;

const rows = [
  { kernel: "a", path: "down.0.conv" },
  { kernel: "b", path: "down.0.norm", flops: 10, shape: [1, 1, 5, 7] },
  { kernel: "a", path: "up" },
  { kernel: "copy", path: HOSTILE, flops: 0 },
];
const profile = madeProfile(rows, [[0, "0.1", 0, 2], [1, "0.1", 2, 1], [2, "0.1", 3, 3], [3, "0.1", 6, 0.5]]);
const slower: Profile = {
  ...profile,
  dispatches: profile.dispatches.map(([row, occurrence, start, ms, live]) => [
    row,
    occurrence,
    start,
    row === 0 ? 3 * ms : ms,
    live,
  ]),
};

const chromium = findChromium();
if (!chromium) console.log("skipped: tests of the report's page, as there is no Chromium in PATH");

/** Opens the report of some profiles. */
async function withPage(
  report: Parameters<typeof htmlOf>[0],
  use: (page: BrowserPage) => Promise<void>,
): Promise<void> {
  await inFolder(async (folder) => {
    const file = join(folder, "report.html");
    await Deno.writeTextFile(file, await htmlOf(report));
    await using page = await BrowserPage.open(chromium!, `file://${file}`, { width: 1280, height: 900 });
    await page.until(`document.querySelector(".flame button")`);
    await use(page);
    assert.deepEqual(page.messages, []);
    assert.deepEqual(page.requests, [`file://${file}`]);
    assert.notEqual(await page.value("document.title"), "run");
  });
}

function browserTest(
  name: string,
  use: (page: BrowserPage) => Promise<void>,
  report: Report = { profile },
): void {
  Deno.test({ name, ignore: !chromium, fn: () => withPage(report, use) });
}

const texts = (selector: string) =>
  `[...document.querySelectorAll(${JSON.stringify(selector)})].map((found) => found.textContent)`;
/** Takes a word of a choice. */
async function choose(page: BrowserPage, select: string, word: string): Promise<void> {
  await page.value(`{
    const select = document.querySelector(${JSON.stringify(select)});
    select.value = ${JSON.stringify(word)};
    select.dispatchEvent(new Event("change"));
  }`);
}

const COLUMN = (n: number) => `#table tbody td:nth-child(${n})`;

Deno.test("a report needs no other file, and no name in it ends its data", async () => {
  const html = await htmlOf({ profile });
  const [, data] = /<script type="application\/json" id="report">(.*?)<\/script>/s.exec(html)!;
  assert.deepEqual(JSON.parse(data!).profile, profile);
  assert.ok(!/\b(?:src|href)="|@import|\bimport\s*\(|url\(/.test(html.replace(data!, "")));
  const code = await bundle(join(import.meta.dirname!, "../../scripts/profile/page/main.ts"));
  assert.ok(!/innerHTML|outerHTML|insertAdjacentHTML|document\.write|^import |^export /m.test(code));
});

browserTest(
  "a report begins with what binds, the figures of the text, and the kernels to look at",
  async (page) => {
    assert.match(
      await page.value(`document.querySelector(".verdict").textContent`),
      /^GPU-bound A step takes 6\.50 ms; /,
    );
    const figures = await page.value<string>(`document.querySelector(".figures").textContent`);
    assert.match(figures, /6\.50 ms, 6\.50 of them on the GPU/);
    assert.match(figures, /f32 100 GFLOP\/s, memory 10 GB\/s/);
    const first = await page.value<string[]>(texts(".first button"));
    assert.match(first[0]!, /^a 2×3.*5\.00 ms, .* of memory.*up and 1 more$/);
  },
);

browserTest("the table sorts by any column, groups and filters", async (page) => {
  assert.deepEqual((await page.value<string[]>(texts(COLUMN(2)))).map(Number), [3, 2, 1, 0.5]);
  await page.click("#table th:nth-child(2) button");
  assert.deepEqual((await page.value<string[]>(texts(COLUMN(2)))).map(Number), [0.5, 1, 2, 3]);
  assert.equal(await page.value(`document.querySelector("#table th:nth-child(2)").ariaSort`), "ascending");
  await page.click("#table th:nth-child(1) button");
  assert.match((await page.value<string[]>(texts(COLUMN(1))))[0]!, /^<\/script><img/);
  await choose(page, "#table select", "kernel");
  assert.deepEqual(await page.value(texts(COLUMN(1))), ["a", "b", "copy"]);
  await page.click("#filter");
  await page.type("down 5×7");
  assert.deepEqual(await page.value(texts(COLUMN(1))), ["b"]);
  assert.equal(await page.value(`document.querySelectorAll("svg .dot.dim").length`), 1); // a's point
});

browserTest("the table is used by keys alone, and Escape closes what it opened", async (page) => {
  await page.value(`document.querySelector("#table tbody tr").focus()`);
  await page.press("ArrowDown");
  await page.press("ArrowDown");
  await page.press("ArrowUp");
  await page.press("Enter");
  await page.until(`!document.querySelector("#details").hidden`);
  assert.match(
    await page.value(`document.querySelector("#details h2").textContent`),
    /^down\.0\.conv a /,
  );
  assert.equal(await page.value(`document.querySelectorAll("#table tr[aria-selected=true]").length`), 1);
  await page.press("Escape");
  assert.ok(await page.value(`document.querySelector("#details").hidden`));
});

browserTest("a kernel's WGSL is there as compiled, with what the host set marked", async (page) => {
  await page.value(`document.querySelector(".dot").dispatchEvent(new MouseEvent("click"))`);
  assert.equal(await page.value(`document.querySelector("#details h2").textContent`), "a 2×3");
  assert.match(
    (await page.value<string[]>(texts("#details ul.modules"))).join(),
    /Model\.up 3\.00 ms.*Model\.down\.0\.conv 2\.00/,
  );
  assert.deepEqual(await page.value(texts("#details h3")), [
    "a, as compiled, 1 of 2 texts: 3.00 ms",
    "a, as compiled, 2 of 2 texts: 2.00 ms",
  ]);
  const marked = await page.value<string[]>(texts("#details .wgsl:last-child .line.set"));
  assert.deepEqual(marked, ["enable f16;\n", "const WG: u32 = 64;\n"]);
  const { text } = profile.kernels[0]!.parts[1]!;
  assert.equal(
    await page.value(`document.querySelector("#details .wgsl details:last-child pre").textContent`),
    text,
  );
});

const count = { part: 1, executions: 64, stored: 0, shared: 0, barriers: 0, subgroups: 0, atLeast: false };
const lines = {
  calls: 1,
  flops: 2,
  bytes: 3,
  counts: [
    { ...count, line: 1, flops: 30, others: 0, loaded: 10 },
    { ...count, line: 4, flops: 60, others: 10, loaded: 0 },
  ],
};

browserTest(
  "lines of WGSL that were counted say how often they run, and their share of the work",
  async (page) => {
    await page.value(`document.querySelector(".dot").dispatchEvent(new MouseEvent("click"))`);
    const gutters = "#details .wgsl:last-child details:last-child .gutter";
    assert.deepEqual(await page.value(texts(gutters)), ["×64", "", "", "×64"]);
    const parts =
      `[...document.querySelectorAll("${gutters}")].map((one) => one.style.getPropertyValue("--part"))`;
    assert.deepEqual(await page.value(parts), ["100%", "", "", "70%"]);
    assert.equal(await page.value(`document.querySelectorAll("#details .gutter").length`), 4);
  },
  { profile: { ...profile, kernels: profile.kernels.map((kernel, i) => i ? kernel : { ...kernel, lines }) } },
);

browserTest(
  "a click in the flame graph fills the width with a module, and one above leads back",
  async (page) => {
    const width = (name: string) =>
      page.value<number>(
        `[...document.querySelectorAll(".flame button")].find((found) => found.textContent === ${
          JSON.stringify(name)
        })?.clientWidth`,
      );
    const whole = await width("all");
    assert.ok(Math.abs(await width("down.0") / whole - 3 / 6.5) < 0.01);
    await page.value(
      `[...document.querySelectorAll(".flame button")].find((found) => found.textContent === "down.0").click()`,
    );
    assert.ok(await width("down.0") > 0.99 * whole);
    assert.equal(await width("up"), undefined);
    assert.match(
      await page.value(`document.querySelector(".path").textContent`),
      /^allModeldown\.0: 3\.00 ms, 46\.2%$/,
    );
    await page.click(".path button");
    assert.ok(Math.abs(await width("down.0") / whole - 3 / 6.5) < 0.01);
  },
);

browserTest(
  "the timeline zooms into a module at a click, moves by keys, and a click on a dispatch selects it",
  async (page) => {
    const pixels = () => page.value<string>(`document.querySelector("#timeline canvas").toDataURL()`);
    const first = await pixels();
    const width = await page.value<number>(`document.querySelector("#timeline canvas").clientWidth`);
    const at = (ms: number, lane: number) => ({ x: ms / 6.5 * width, y: 18 + 18 * lane + 9 });
    await page.click("#timeline canvas", at(4, 4)); // steps, model, down.0, conv, a: under "up" there is nothing
    assert.ok(await page.value(`document.querySelector("#details").hidden`));
    await page.click("#timeline canvas", at(0.5, 4));
    assert.match(
      await page.value(`document.querySelector("#details h2").textContent`),
      /^Model\.down\.0\.conv a$/,
    );
    await page.press("Escape");
    await page.click("#timeline canvas", at(1, 2)); // down.0 now takes the whole width
    assert.notEqual(await pixels(), first);
    await page.click("#timeline canvas", { x: 0.9 * width, y: 18 + 18 * 4 + 9 });
    assert.match(
      await page.value(`document.querySelector("#details h2").textContent`),
      /^Model\.down\.0\.norm b$/,
    );
    await page.press("Escape");
    await page.value(`document.querySelector("#timeline canvas").focus()`);
    await page.press("ArrowRight");
    const moved = await pixels();
    await page.press("0");
    assert.notEqual(await pixels(), moved);
    assert.equal(await pixels(), first);
  },
);

browserTest(
  "the timeline zooms by ctrl and the wheel, and moves by drags; the wheel alone scrolls the page",
  async (page) => {
    const pixels = () => page.value<string>(`document.querySelector("#timeline canvas").toDataURL()`);
    const changes = (before: string) =>
      page.until(`document.querySelector("#timeline canvas").toDataURL() !== ${JSON.stringify(before)}`);
    const first = await pixels();
    await page.wheel("#timeline canvas", { x: 100, y: 40 }, true);
    await changes(first);
    const zoomed = await pixels();
    await page.drag("#timeline canvas", { x: 600, y: 40 }, { x: -50, y: 0 });
    await changes(zoomed);
    assert.ok(await page.value(`document.querySelector("#details").hidden`));
    const [moved, top] = [await pixels(), await page.value<number>("scrollY")];
    await page.wheel("#timeline canvas", { x: 100, y: 40 }, false);
    await page.until(`scrollY !== ${top}`);
    assert.equal(await pixels(), moved);
  },
);

browserTest("a result in the memory map leads to its kernel", async (page) => {
  const width = await page.value<number>(`document.querySelector("#memory canvas").clientWidth`);
  await page.click("#memory canvas", { x: width * 2.5 / 3, y: 18 + 300 * 130 / 160 }); // of arena 1, in dispatch 2
  assert.match(await page.value(`document.querySelector("#details h2").textContent`), /^down\.0\.norm b$/);
  assert.match(
    await page.value(`document.querySelector("#memory").textContent`),
    /At most 130 B are needed at once/,
  );
});

const compared = { before: profile, changes: compareProfiles(profile, slower, 0.1), tolerance: 0.1 };

browserTest("with an earlier profile the report has what changed, and its points as rings", async (page) => {
  assert.match(
    await page.value(`document.querySelector("#changes p + p").textContent`),
    /^1 slower · 2 same · by more than 10\.0%/,
  );
  const cells = await page.value<string[]>(texts("#changes tbody td"));
  assert.match(cells[0]!, /^a \[1, 1, 2, 3\]/);
  assert.deepEqual(cells.slice(1, 5), ["5.000", "9.000", "+80.0%", "slower"]);
  assert.equal(await page.value(`document.querySelectorAll(".ring").length`), 2);
  await choose(page, "#changes select", "module");
  const modules = await page.value<string[]>(texts("#changes tbody td:first-child"));
  assert.equal(modules[0], "down.0.conv");
  assert.deepEqual(new Set(modules.slice(1)), new Set(["down.0.norm", HOSTILE, "up"]));
  await page.click("#changes tbody tr");
  assert.equal(await page.value(`document.querySelector("#details h2").textContent`), "down.0.conv");
}, { profile: slower, compared });

browserTest("a report begins with what --only leaves", async (page) => {
  assert.equal(await page.value(`document.querySelector("#filter").value`), "down.0");
  assert.deepEqual(await page.value(texts(COLUMN(2))), ["2.00", "1.00"]);
}, { profile, only: "down.0" });

Deno.test(
  "a report fits a phone",
  { ignore: !chromium },
  () =>
    withPage({ profile, compared }, async (page) => {
      await page.show({ width: 400, height: 800, scheme: "dark" });
      assert.equal(await page.value("document.documentElement.scrollWidth"), 400);
      await page.until(`document.querySelector("svg").clientWidth < 400`);
    }),
);

Deno.test("profile.ts --html writes a report, of an earlier profile too, and refuses what would not count", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "before.json"), JSON.stringify(profile));
    const run = (...args: string[]) => runScript(folder, "profile.ts", "--from", "before.json", ...args);
    const shown = await run("--html", "report.html");
    assert.equal(shown.code, 0, shown.stderr);
    assert.match(shown.stdout, /GPU-bound[^]*report\.html: open it in a browser/);
    assert.equal(await Deno.readTextFile(join(folder, "report.html")), await htmlOf({ profile }));
    const refused = await run("--steps", "3");
    assert.match(refused.stderr, /^Cannot take --steps with --from: before\.json was measured before; /);
    const below = await run("--compare", "before.json", "--tolerance", "-1");
    assert.match(below.stderr, /^Cannot take --tolerance -1: expected a number above 0/);
    const odd = await run("--html", "report.pdf");
    assert.match(odd.stderr, /^Cannot take --html report\.pdf: expected a name such as profile\.html/);
  }));

Deno.test("a profile whose numbers name nothing is refused, and none steers the terminal", async () => {
  using folder = new TestFolder();
  const refused = async (change: (profile: Profile) => void, at: RegExp) => {
    const odd = structuredClone(profile);
    change(odd);
    const path = folder.write("odd.json", JSON.stringify(odd));
    await assert.rejects(readProfile(path), ({ message }: Error) => {
      assert.match(message, /^Cannot read .*odd\.json: expected a profile that --json of this version wrote/);
      assert.match(message, at);
      return true;
    });
  };
  for (const row of [999999, -1, 1.5]) {
    await refused(({ dispatches }) => dispatches[1]![0] = row, /at "dispatches\.1\.0"/);
    await refused(({ rows }) => rows[0]!.text = row, /at "rows\.0\.text"/);
    await refused(({ memory }) => memory.plans[0]!.values[0]!.arena = row, /at "memory\.plans\.0\.values\.0/);
  }
  await refused((odd) => odd.rows = [], /at "rows"/);
  await refused((odd) => odd.dispatches = [], /at "dispatches"/);
  await refused(({ subject }) => subject.steps = 0, /at "subject\.steps"/);
  const path = folder.write("good.json", JSON.stringify(profile));
  assert.deepEqual(await readProfile(path), profile);

  const hostile = { ...profile, subject: { ...profile.subject, model: "a\x1b[2Jb", steps: 1 } };
  const text = describeProfile(hostile, { only: undefined, depth: 2, rows: 30 });
  assert.ok(text.includes("a\uFFFD[2Jb") && !text.includes("\x1b"));
  assert.match(text, /; 1 step, /);
});

Deno.test("as many times of a kernel as a long run has are compared", () => {
  const dispatches = Array.from(
    { length: 200_000 },
    (_, i): Profile["dispatches"][number] => [0, `step ${i}`, i, 1 + i % 7 / 100, 0],
  );
  const long = { ...profile, dispatches };
  assert.deepEqual(compareProfiles(long, long, 0.1).map(({ verdict }) => verdict), ["same"]);
  const slow = {
    ...long,
    dispatches: dispatches.map(([row, turn, start, ms, live]) => [row, turn, start, 2 * ms, live]),
  };
  assert.deepEqual(compareProfiles(long, slow as Profile, 0.1).map(({ verdict }) => verdict), ["slower"]);
});
