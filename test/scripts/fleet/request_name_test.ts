import assert from "node:assert/strict";
import { canonicalRequest, filesOf, nameOf } from "../../../scripts/fleet/request_name.ts";

const name = (value: unknown, model = "sd") => nameOf(canonicalRequest(value, model));
const photo = new Uint8Array([1, 2, 3]);

Deno.test("the same request has the same name, however it was written, and whoever writes it", () => {
  const one = { prompt: "a cat", seed: 5, size: "512x512", image: "AQID", strength: 0.5 };
  const forms: unknown[] = [
    { strength: 0.5, seed: "5", size: { width: 512, height: 512 }, image: [photo], prompt: "a cat" },
    { ...one, model: "sd", count: 1, seed: 5n, size: "512" },
    JSON.parse(JSON.stringify(canonicalRequest(one, "sd"))),
  ];
  for (const form of forms) assert.equal(name(form), name(one));
  assert.match(name(one), /^[0-9a-f]{40}$/);
  assert.equal(name({ prompt: "a cat" }), "adff961d5a49f11f7d6874c2fb332a67b478ffd4"); // as other versions have it
});

Deno.test("all sizes of a request are texts in its one form", () => {
  const sides = { width: 64, height: 96 };
  const request = canonicalRequest({ size: "32x48", hires: sides, "seed-size": sides }, "sd");
  assert.deepEqual([request["size"], request["hires"], request["seed-size"]], ["32x48", "64x96", "64x96"]);
  assert.equal(
    nameOf(request),
    name({ "seed-size": "64x96", hires: "64X96", size: { width: 32, height: 48 } }),
  );
  for (const value of Object.values(request)) assert.notEqual(Object.getPrototypeOf(value), Object.prototype);
});

Deno.test("requests that differ in anything have other names", () => {
  const one = { prompt: "a cat" };
  const others: unknown[] = [
    ...[{ prompt: "a cat " }, { ...one, seed: 1 }, { ...one, count: 2 }, { ...one, model: "xl" }],
    ...[{ ...one, negative: "" }, { ...one, lora: ["style"] }, { ...one, guidance: 1 }, {
      ...one,
      image: "AQID",
    }],
  ];
  const names = [one, ...others].map((value) => name(value));
  assert.equal(new Set(names).size, names.length);
});

Deno.test("a seed of 64 bits keeps all of them", () => {
  assert.notEqual(name({ seed: "9007199254740993" }), name({ seed: "9007199254740992" }));
  assert.equal(canonicalRequest({ seed: 2n ** 64n - 1n }, "sd")["seed"], "18446744073709551615");
});

Deno.test("each picture of a request has a file", () => {
  const request = canonicalRequest({ prompt: "a cat", count: 2 }, "sd");
  assert.deepEqual(filesOf(request), [`${nameOf(request)}-1.png`, `${nameOf(request)}-2.png`]);
  assert.deepEqual(filesOf(canonicalRequest({}, "sd")), [`${name({})}.png`]);
});

Deno.test("what is no request is refused", () => {
  const line = /^Cannot [^\n]*$/;
  for (
    const value of [
      null,
      5,
      { promt: "a cat" },
      { prompt: 5 },
      { prompt: "a\0" },
      {
        model: "\ud800",
      },
      { seed: "x" },
      { image: "/etc/passwd" },
      {
        count: 1001,
      },
    ]
  ) {
    assert.throws(() => name(value), { name: "RefusalError", message: line }, JSON.stringify(value));
  }
});
